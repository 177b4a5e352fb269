// What kamailio.cfg does with an offer from outside before RTPEngine hears of it.

/** Transports that are not offered to the inside: secure and feedback profiles would be answered as what they are not. */
const foreignTransport = '(RTP/AVPF|RTP/SAVPF?|(UDP|TCP)/[^ ]+)';
const active = '^m=audio [1-9][0-9]*(/[0-9]+)?';

/**
 * RTPEngine's session keeps what it was offered last, also where the offer is refused later: a fax without audio would leave the
 * call silent on the G.711 that its gateway goes on with. So what nobody could take is refused here.
 */
export const offerRoute = `route[ACCEPTABLE] {
  if (!search_body("${active} RTP/AVP ")) {
    if (search_body("${active} ")) $var(warning) = "302 holdfast \\"RTP/AVP only\\"";
    else $var(warning) = "304 holdfast \\"Audio only\\"";
    route(NOT_ACCEPTABLE);
  }
  # Beside a stream that can be taken the others get port 0 (RFC 3264 section 6).
  if (search_body("${active} ${foreignTransport} ")) {
    subst_body("/${escaped(`${active} ${foreignTransport}`)} /m=audio 0 \\\\2 /g");
    msg_apply_changes();
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

/** Within \`/regex/replacement/\`. */
function escaped(regex: string): string {
  return regex.replaceAll('/', '\\\\/');
}
