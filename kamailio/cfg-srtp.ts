// What kamailio.cfg does so that the outside of a leg is SRTP where its policy says so (RFC 3711, keys in SDP by RFC 4568).

/**
 * How the audio of a dialog goes outside, one letter: `p` RTP/AVP, `o` RTP/AVP with keys, which is RTP or SRTP as the answer has
 * it (RFC 8643), `s` RTP/SAVP, `f` RTP/SAVPF. It is that of the first INVITE, and travels in our Route and Via: an RTPEngine that takes
 * a dialog over offers the phone what it knows.
 */
export const profiles = { plain: 'p', opportunistic: 'o', secure: 's', feedback: 'f' } as const;

/** Suites that a key may be for, in the order in which RTPEngine offers them. */
const suites = ['AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_32'];
/**
 * All others of RTPEngine 10.5. NULL does not encrypt. A suite before ours would give our keys other tags than a phone gives them that offers
 * ours alone, and RTPEngine takes a key with another tag for a new one: the audio of every hold would have new keys.
 */
const otherSuites = [
  ...['AEAD_AES_256_GCM', 'AEAD_AES_128_GCM'],
  ...['AES_256_CM', 'AES_192_CM', 'F8_128', 'NULL'].flatMap(cipher =>
    ['80', '32'].map(tag => `${cipher}_HMAC_SHA1_${tag}`),
  ),
];

/** ng flags of every offer and answer. */
export const srtpFlags = ['DTLS=off', ...otherSuites.map(suite => `SDES-no-${suite}`)].join(' ');

const active = '^m=audio [1-9][0-9]*(/[0-9]+)?';
const usableKey = `^a=crypto:[0-9]+ (${suites.join('|')}) inline:`;
/** Session parameters that leave a stream in the clear, or unguarded (RFC 4568 section 6.3). */
const weakKey = '^a=crypto:[^\\\\r\\\\n]* UN(ENCRYPTED|AUTHENTICATED)[^\\\\r\\\\n]*\\\\r?\\\\n';

/** Beside the transport that is taken the other streams get port 0 (RFC 3264 section 6). */
function refuse(others: string): string {
  const stream = `${active} (${others}|(UDP|TCP)/[^ ]+) `;
  return `if (search_body("${stream}")) {
      subst_body("/${escaped(stream)}/m=audio 0 \\\\2 /g");
      msg_apply_changes();
    }`;
}

export const srtpRoutes = `# The letter that a dialog begins with where the first offer is ours.
route[PROFILE] {
  $var(profile) = "${profiles.plain}";
  if ($sht(policies=>$var(policy)-srtp) == "required") $var(profile) = "${profiles.secure}";
  if ($sht(policies=>$var(policy)-srtp) == "optional") $var(profile) = "${profiles.opportunistic}";
}

# $var(offered): the letter of what an offer from outside has for the policy; empty where it has nothing.
route[OFFERED] {
  $var(srtp) = "off";
  if ($sht(policies=>$var(policy)-srtp) != $null) $var(srtp) = $sht(policies=>$var(policy)-srtp);
  $var(offered) = "";
  if ($var(srtp) != "off") {
    if (search_body("${active} RTP/SAVP ")) $var(offered) = "${profiles.secure}";
    else if (search_body("${active} RTP/SAVPF ")) $var(offered) = "${profiles.feedback}";
  }
  # Of two streams, one of each kind, the first is what the other side would rather have, and an Asterisk carries first streams best.
  if ($var(srtp) != "required" && ($var(offered) == "" || $(rb{line.sw,m=audio}) =~ "${active} RTP/AVP ")) {
    if (search_body("${active} RTP/AVP ")) $var(offered) = "${profiles.plain}";
  }
  if ($var(offered) == "") return;
  if ($var(offered) == "${profiles.plain}") {
    ${refuse('RTP/AVPF|RTP/SAVPF?')}
  } else if ($var(offered) == "${profiles.secure}") {
    ${refuse('RTP/AVPF?|RTP/SAVPF')}
  } else {
    ${refuse('RTP/AVPF?|RTP/SAVP')}
  }
  route(KEYS);
}

route[KEYS] {
  if (!search_body("^a=crypto:")) {
    if ($var(offered) != "${profiles.plain}") route(NO_KEY);
    return;
  }
  if ($var(srtp) == "off") {
    sdp_remove_line_by_prefix("a=crypto:");
    msg_apply_changes();
    return;
  }
  if (subst_body("/${weakKey}//g")) msg_apply_changes();
  if (search_body("${usableKey}")) {
    if ($var(offered) == "${profiles.plain}") $var(offered) = "${profiles.opportunistic}";
  } else if ($var(offered) != "${profiles.plain}") route(NO_KEY);
}

route[NO_KEY] {
  $var(warning) = "399 holdfast \\"No key for a suite of ours\\"";
  route(NOT_ACCEPTABLE);
}

# Whoever was to answer, or to offer, SRTP and does not gets no audio: RTPEngine would send it in the clear.
route[SECURED] {
  if ($sht(policies=>$var(policy)-srtp) != "required" || !search_body("${active} RTP/AVPF? ")) return;
  subst_body("/${escaped(active)} (RTP\\/AVPF?) /m=audio 0 \\\\2 /g");
  msg_apply_changes();
}

# $var(transport): of an offer to the outside. In a dialog RTPEngine knows what was agreed on last, unless it has taken the dialog over.
# $var(renewed): who has taken one over counts rollovers from 0, and the phone on (RFC 3711 section 3.3.1). What is made ready for injected
# digits goes out as a stream of RTPEngine's own, of which the phone has counted none.
route[TRANSPORT] {
  $var(transport) = "";
  $var(renewed) = "";
  if ($var(profile) =~ "^[osf]$" && $sht(engines=>moved-$var(engine)) != $null) $var(renewed) = "inject-DTMF";
  if ($var(initial) == "r" && $sht(engines=>moved-$var(engine)) == $null) return;
  if ($var(profile) == "${profiles.secure}") $var(transport) = "RTP/SAVP";
  else if ($var(profile) == "${profiles.feedback}") $var(transport) = "RTP/SAVPF";
  else if ($var(profile) == "${profiles.opportunistic}") $var(transport) = "RTP/AVP OSRTP-offer";
  else $var(transport) = "RTP/AVP";
}
`;

/** Within \`/regex/replacement/\`. */
function escaped(regex: string): string {
  return regex.replaceAll('/', '\\\\/');
}
