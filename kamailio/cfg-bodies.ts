// What comes inside of a body that has several parts: its SDP.

/**
 * RFC 5621 section 3.1 wants multipart understood. The other parts (ISUP between carriers, a location, a picture) are for the far end of
 * a leg, and no leg of ours could use them. One without SDP would be a delayed offer to RTPEngine and an offer to whoever looks deeper.
 */
export const bodyRoute = `route[BODY] {
  if ($cT == $null || !($cT =~ "^multipart/")) return;
  if (filter_body("application/sdp")) {
    remove_hf("Content-Type");
    remove_hf("MIME-Version");
    append_hf("Content-Type: application/sdp\\r\\n");
    msg_apply_changes();
    return;
  }
  if ($rs != $null || !is_method("INVITE|UPDATE|PRACK")) return;
  append_to_reply("Accept: application/sdp\\r\\n");
  sl_send_reply("415", "Unsupported Media Type");
  exit;
}
`;
