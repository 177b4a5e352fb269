// What kamailio.cfg does with an offer from outside before RTPEngine hears of it.

/**
 * RTPEngine's session keeps what it was offered last, also where the offer is refused later: a fax without audio would leave the
 * call silent on the G.711 that its gateway goes on with. So what nobody could take is refused here.
 */
export const offerRoute = `route[ACCEPTABLE] {
  route(OFFERED);
  if ($var(offered) == "") {
    if (!search_body("^m=audio [1-9]")) $var(warning) = "304 holdfast \\"Audio only\\"";
    else if ($var(srtp) == "required") $var(warning) = "302 holdfast \\"RTP/SAVP only\\"";
    else $var(warning) = "302 holdfast \\"RTP/AVP only\\"";
    route(NOT_ACCEPTABLE);
  }
  if (!sdp_with_codecs_by_name("$sht(policies=>$var(policy)-names)")) {
    $var(warning) = "305 holdfast \\"None of the codecs\\"";
    route(NOT_ACCEPTABLE);
  }
}

route[NOT_ACCEPTABLE] {
  update_stat("refused_offer", "+1");
  append_to_reply("Warning: $var(warning)\\r\\n");
  sl_send_reply("488", "Not Acceptable Here");
  exit;
}
`;
