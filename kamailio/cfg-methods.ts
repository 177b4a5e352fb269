// What the edge answers itself, by method: probes, and requests that no call of ours knows. None of them reaches a node.

/** As our Allow headers have it. REFER is not among them: where a plugin allows transfers, a phone may try. */
export const allowedMethods = 'INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO';

/** Bodies of INFO that carry a digit: the only ones an Asterisk answers. */
const digitTypes = 'application/dtmf-relay, application/dtmf';

/**
 * An Asterisk leaves requests in a dialog that none of its modules knows without an answer, and their sender repeats them for 32 s.
 * Who gets what, and why: docs/signalling.md.
 */
export const methodRoutes = `# RFC 3261 section 11: what we are able to do, to phones, trunks and load balancers that ask whether we live.
route[OPTIONS] {
  append_to_reply("Allow: ${allowedMethods}\\r\\nAccept: application/sdp\\r\\n");
  sl_send_reply("200", "OK");
  exit;
}

# Outside of a dialog: RFC 3261 section 8.2.1 (405, 501), RFC 6665 sections 4.1.3 and 8.3.2 (481, 489).
route[NO_DIALOG] {
  if (is_method("BYE|INFO|UPDATE|PRACK")) {
    update_stat("refused_method", "+1");
    sl_send_reply("481", "Call/Transaction Does Not Exist");
    exit;
  }
  route(NO_METHOD);
}

# What goes outside says nothing of the inside, and names our methods and extensions: an Asterisk counts all that its modules know.
route[OUTWARD] {
  if (is_present_hf("Supported")) subst_hf("Supported", "/, *(replaces|norefersub)//g", "a");
  remove_hf_re("^(X-Holdfast-|Server$|User-Agent$|Warning$)");
  if (is_present_hf("Allow")) {
    remove_hf("Allow");
    append_hf("Allow: ${allowedMethods}\\r\\n");
  }
}

route[IN_DIALOG] {
  if (is_method("INFO")) route(INFO);
  if (is_method("INVITE|ACK|CANCEL|BYE|OPTIONS|UPDATE|PRACK|INFO")) return;
  if (is_method("REFER")) {
    route(REFER);
    return;
  }
  route(NO_METHOD);
}

# Where a plugin may allow it, a transfer goes to the call's node. One without an implicit subscription (RFC 4488) is too
# much for the node's res_pjsip_refer: it gets one.
route[REFER] {
  if ($sht(settings=>transfers) != 1) {
    update_stat("refused_method", "+1");
    sl_send_reply("603", "Decline");
    exit;
  }
  remove_hf("Refer-Sub");
}

route[NO_METHOD] {
  update_stat("refused_method", "+1");
  if (is_method("SUBSCRIBE|PUBLISH")) {
    sl_send_reply("489", "Bad Event");
    exit;
  }
  if (is_method("NOTIFY")) {
    sl_send_reply("481", "Subscription Does Not Exist");
    exit;
  }
  append_to_reply("Allow: ${allowedMethods}\\r\\n");
  if (is_method("MESSAGE|REFER|REGISTER")) sl_send_reply("405", "Method Not Allowed");
  else sl_send_reply("501", "Not Implemented");
  exit;
}

# Without a body it asks whether the dialog lives (RFC 2976 section 2.2); RFC 6086 section 4.2.2 has the 469.
route[INFO] {
  if (is_present_hf("Info-Package")) {
    update_stat("refused_method", "+1");
    append_to_reply("Recv-Info: \\r\\n");
    sl_send_reply("469", "Bad Info Package");
    exit;
  }
  if (!has_body()) {
    sl_send_reply("200", "OK");
    exit;
  }
  # has_body() knows these two types as "other", as it does any other.
  if ($cT =~ "^application/dtmf(-relay)?[ ]*(;|$)") return;
  update_stat("refused_method", "+1");
  append_to_reply("Accept: ${digitTypes}\\r\\n");
  sl_send_reply("415", "Unsupported Media Type");
  exit;
}
`;
