// The request side of kamailio.cfg: who may send what, where it goes, and the signed Route parameter.
import { ports } from '../core/farm/farm-plan.js';
import { flowParameter, lineParameter } from '../core/ports/edge.js';
import { maxMessageBytes, publicHostPort } from './cfg-streams.js';
import type { EdgeModel } from './edge-model.js';

/**
 * The Route parameter: `hf=<node>.<engine incarnation>.<policy>.<o|d><profile>.<key id>.<mac>`, o where the dialog's first INVITE had an
 * offer, d where it was delayed, and its letter of `profiles`; mac the first 20 characters of the base64 HMAC-SHA256 over all before it and the Call-ID (120 bits).
 */
export function requestRoutes(model: EdgeModel): string {
  return [entry(model), inside(model), outside(model), gap, admission(model), destinations, signature].join('\n');
}

function entry(model: EdgeModel): string {
  return `request_route {
  $var(peer) = 0;
#!ifdef STREAMS
  if ($Rp == ${ports.peer}) route(HANDED_OVER);
#!endif
  if ($sht(fenced=>$si) != $null) { update_stat("refused_fenced", "+1"); drop; }
  # The daemon asks at each side whether we live; what it sends on to a phone has a Route.
  if ($si == "${model.daemonAddress}" && is_method("OPTIONS") && !is_present_hf("Route")) { update_stat("answered_probe", "+1"); sl_send_reply("200", "OK"); exit; }
  if ($Ri != "${model.internal}") route(DEFEND);
  if ($ml > ${maxMessageBytes}) { update_stat("dropped_size", "+1"); drop; }
  if (!mf_process_maxfwd_header("70")) {
    if (!is_method("ACK")) sl_send_reply("483", "Too Many Hops");
    exit;
  }
  if (!sanity_check("17895", "7")) { update_stat("refused_malformed", "+1"); exit; }
${model.homer === undefined ? '' : `  sip_trace("sip:${model.homer}");\n`}  $var(initial) = "r";
  if (!has_totag()) $var(initial) = "i";
  if ($Ri == "${model.internal}") route(INSIDE);
  else route(OUTSIDE);
  exit;
}
`;
}

function inside(model: EdgeModel): string {
  return `# From an Asterisk, or from the daemon in a dead one's stead: in-dialog by the signed Route, else a new leg of the daemon's.
route[INSIDE] {
  if ($sht(nodes=>$si) == $null && $si != "${model.daemonAddress}") { update_stat("refused_source", "+1"); drop; }
  if ($si == "${model.daemonAddress}" && is_method("REGISTER")) route(REGISTER_OUT);
  $var(hf) = "";
  $var(flow) = "";
  if (is_present_hf("Route")) {
    $var(hf) = $(route_uri{uri.param,hf});
    $var(flow) = $(route_uri{uri.param,${flowParameter}});
    # A new leg to a contact with a Path: our own entry of it follows the VIP that every request from inside is sent to. So it does in the
    # ACK to a response that is no 2xx, which has a To tag (RFC 3261 section 17.1.1.3); what is in the dialog has our signature before it.
    if ($var(hf) == "" && $(hdr(Route)[1]{nameaddr.uri}{uri.host}) == "${model.privateVip}")
      $var(flow) = $(hdr(Route)[1]{nameaddr.uri}{uri.param,${flowParameter}});
  }
#!ifdef STREAMS
  route(WAY);
#!endif
  loose_route();
  if ($dd == "${model.privateVip}") {
    $du = $null;
    msg_apply_changes();
    loose_route();
  }
  $var(out) = "ext";
  route(FLOW);
  if ($var(out) == "ext") route(TO_HOST);
  $fsn = $var(out);
  if ($var(hf) != "") {
    $var(engine) = $(var(hf){s.select,1,.});
    $var(policy) = $(var(hf){s.select,2,.});
    route(BEGINNING);
    route(MEDIA_FROM_INSIDE);
    # A session that is recovered goes on with its own timer.
    if (is_present_hf("X-Holdfast-Session-Expires")) {
      remove_hf("Session-Expires");
      append_hf("Session-Expires: $hdr(X-Holdfast-Session-Expires)\\r\\n");
    }
    route(OUTWARD);
    route(TO_PHONE);
    exit;
  }
  # The daemon ends what a dead Asterisk began, keeps ways through NAT open, and begins nothing.
  if ($si == "${model.daemonAddress}" && !is_method("CANCEL|OPTIONS")) { update_stat("refused_source", "+1"); drop; }
  if (is_method("INVITE")) {
    $var(policy) = $sht(settings=>defaultPolicy);
    if (is_present_hf("X-Holdfast-Policy")) {
      $var(wanted) = $hdr(X-Holdfast-Policy);
      if ($sht(policies=>$var(wanted)-out) != $null) $var(policy) = $var(wanted);
    }
    $var(node) = $sht(nodes=>$si);
    $var(vip) = "${publicHostPort(model, 'udp')}";
#!ifdef STREAMS
    if ($var(out) == "tcp") $var(vip) = "${publicHostPort(model, 'tcp')}";
    else if ($var(out) == "tls") $var(vip) = "${publicHostPort(model, 'tls')}";
#!endif
    route(ENGINE);
    route(PROFILE);
    route(MEDIA_FROM_INSIDE);
    route(SIGN);
  }
  route(OUTWARD);
  route(TO_PHONE);
}

route[TO_PHONE] {
  forward();
#!ifdef STREAMS
  if ($var(out) != "ext") route(KNOWN_CONNECTION);
#!endif
}
`;
}

function outside(model: EdgeModel): string {
  return `# From a phone or trunk: nothing reaches an Asterisk unauthenticated or unsigned, and nothing goes anywhere else.
route[OUTSIDE] {
  route(NAT);
  if (has_totag()) {
    if (is_method("ACK") && !is_present_hf("Route")) {
      # An ACK to a reply of our own (sl tags are 32 hex digits and a checksum) may meet another instance: it ends here.
      if ($tt =~ "^[0-9a-f]{32}[.-][0-9a-f]{4,8}$") { update_stat("dropped_ack", "+1"); exit; }
      route(SLOT);
      route(TO_NODE);
      exit;
    }
    route(VERIFY);
    if ($sht(nodes=>dead-$rd) != $null) route(GAP);
    route(IN_DIALOG);
    route(MEDIA_FROM_OUTSIDE);
    remove_hf_re("^(X-Holdfast-|TH$|Replaces$)");
    route(TO_NODE);
    exit;
  }
  if (is_method("OPTIONS") && !is_present_hf("Route")) route(OPTIONS);
  if (is_present_hf("Route")) {
    loose_route();
    if ($du != $null) {
      update_stat("refused_nexthop", "+1");
      if (!is_method("ACK")) sl_send_reply("403", "Forbidden");
      exit;
    }
  }
  if (is_method("OPTIONS")) route(OPTIONS);
  # A node would let whoever knows a dialog's tags take it over (RFC 3891): we do not offer that.
  if (is_method("INVITE") && $hdr(Require) =~ "replaces") {
    append_to_reply("Unsupported: replaces\\r\\n");
    sl_send_reply("420", "Bad Extension");
    exit;
  }
  remove_hf_re("^(X-Holdfast-|TH$|Replaces$)");
  if (is_method("CANCEL")) {
    route(SLOT);
    # Pinned to a node that is dead: the daemon sends the final response to the INVITE in its stead.
    if ($sht(nodes=>dead-$dd) != $null) route(GAP);
    route(TO_NODE);
    exit;
  }
  if (is_method("ACK")) { update_stat("dropped_ack", "+1"); exit; }
  # That each hop to the callee is TLS cannot be promised (RFC 5630 section 3): who wanted it tries again without (RFC 3261 section 8.1.3.5).
  if ($ru =~ "^sips:" || $hdr(Contact) =~ "sips:") {
    update_stat("refused_scheme", "+1");
    sl_send_reply("416", "Unsupported URI Scheme");
    exit;
  }
  if (is_method("REGISTER")) { route(REGISTER); exit; }
  if (!is_method("INVITE")) route(NO_DIALOG);
  route(ADMIT);
  # A node would refuse it (RFC 3261 section 8.1.1.8), and as an outcome that would end the media of the call whose INVITE it repeats.
  if (!is_present_hf("Contact")) { update_stat("refused_malformed", "+1"); sl_send_reply("400", "Missing Contact"); exit; }
  route(SLOT);
  $var(node) = $sht(nodes=>$dd);
  route(SHED);
  $var(vip) = "${model.privateVip}:${ports.sip}";
  append_hf("X-Holdfast-Source: $var(source)\\r\\n");
  append_hf("X-Holdfast-Policy: $var(policy)\\r\\n");
  route(ENGINE);
  route(PROFILE);
  route(MEDIA_FROM_OUTSIDE);
  route(SIGN);
  route(TO_NODE);
}

# By UDP, whatever its URI says. Our Via says by which connection the reply goes back.
route[TO_NODE] {
#!ifdef STREAMS
  if ($var(connection) != "") {
    if ($xavp(via=>hf) == $null) $xavp(via=>hfk) = $var(connection);
    else $xavp(via[0]=>hfk) = $var(connection);
    via_add_xavp_params("1");
  }
#!endif
  forward();
}
`;
}

/**
 * Until its session is recovered elsewhere, a phone of a dead node gets what keeps its dialog as it is: 481, 408 and 503 would
 * end it. Nobody but us can end the media of one that hangs up now.
 */
const gap = `route[GAP] {
  update_stat("answered_gap", "+1");
  if (is_method("ACK")) exit;
  if (is_method("CANCEL")) { sl_send_reply("200", "OK"); exit; }
  if (is_method("BYE")) {
    if ($sht(engines=>$var(engine)) != $null) {
      $var(set) = $sht(engines=>$var(engine));
      set_rtpengine_set("$var(set)");
      rtpengine_delete("delete-delay=0");
    }
    sl_send_reply("200", "OK");
    exit;
  }
  append_to_reply("Retry-After: 1\\r\\n");
  sl_send_reply("500", "Being Recovered");
  exit;
}
`;

function admission(model: EdgeModel): string {
  return `# By the token of our Contact or source address, else by digest (RFC 3261 section 22.3): a challenge of one instance is answered at any other.
route[ADMIT] {
  $var(entry) = $sht(sources=>${lineParameter}-$(ru{uri.param,${lineParameter}}));
  if ($var(entry) != 0) $sht(known=>$si) = 1;
  else $var(entry) = $sht(sources=>$si);
  if ($var(entry) != 0) {
    $var(source) = "trunk:" + $(var(entry){s.select,0,|});
    $var(policy) = $(var(entry){s.select,1,|});
#!ifdef STREAMS
    if ($var(connection) != "") $var(flow) = $var(flow) + "~" + $(var(entry){s.select,3,|});
#!endif
    route(CALLED);
    return;
  }
  route(BANNED_USER);
  if (!is_present_hf("Proxy-Authorization")) { auth_challenge("${model.domain}", "1"); exit; }
  # An unknown user takes the same path as a wrong password.
  $var(ha1) = "00000000000000000000000000000000";
  if ($au != $null && $sht(users=>$au) != $null) $var(ha1) = $(sht(users=>$au){s.select,0,|});
  if (!pv_proxy_authenticate("${model.domain}", "$var(ha1)", "1")) {
    if ($rc == -2) { route(WRONG_PASSWORD); auth_challenge("${model.domain}", "1"); exit; }
    # Stale: the phone answers the new nonce without asking its user for a password.
    if ($rc == -4) auth_challenge("${model.domain}", "17");
    else auth_challenge("${model.domain}", "1");
    exit;
  }
  $sht(known=>$si) = 1;
  $var(policy) = $(sht(users=>$au){s.select,1,|});
  $var(trunk) = $(sht(users=>$au){s.select,3,|});
  if ($var(trunk) != "") $var(source) = "trunk:" + $var(trunk);
  else {
    $var(own) = $au + "," + $(sht(users=>$au){s.select,2,|});
    if (!in_list("$fU", "$var(own)", ",")) { update_stat("refused_identity", "+1"); sl_send_reply("403", "Not Your Identity"); exit; }
    $var(source) = "subscriber:" + $au;
  }
  consume_credentials();
}

# A registrar that sends a call to our Contact puts that in the place of what was dialled (RFC 3261 section 16.5): RFC 7315 section 4.2 has it, or To.
route[CALLED] {
  if ($(var(entry){s.select,2,|}) == "" || $rU != $(var(entry){s.select,2,|})) return;
  if (is_present_hf("P-Called-Party-ID")) $var(called) = $(hdr(P-Called-Party-ID){nameaddr.uri}{uri.user});
  else $var(called) = $tU;
  if ($var(called) != "" && $var(called) != 0) $rU = $var(called);
}
`;
}

const destinations = `# Calls in set-up whose list changed are pinned; all others go by hash of Call-ID into slots that never change order.
route[SLOT] {
  if ($sht(pins=>$ci) != $null) $du = $sht(pins=>$ci);
  else if (!ds_select_dst("1", "0")) {
    update_stat("failed_slot", "+1");
    if (!is_method("ACK|CANCEL")) {
      append_to_reply("Retry-After: 5\\r\\n");
      sl_send_reply("503", "Service Unavailable");
    }
    exit;
  }
  $fsn = "int";
}

route[ENGINE] {
  $var(engine) = $sht(engineslots=>$(ci{s.corehash,64}));
}
`;

/** Behind NAT our Record-Route also says by which flow the phone is reached; a phone's own word of it is never asked for. */
const signature = `route[SIGN] {
  $var(kid) = $sht(settings=>routeKey);
  $var(hf) = $var(node) + "." + $var(engine) + "." + $var(policy) + "." + $var(role) + $var(profile) + "." + $var(kid);
  route(MAC);
  if ($var(flow) == "") record_route_preset("$var(vip);hf=$var(hf).$var(mac)");
  else record_route_preset("$var(vip);hf=$var(hf).$var(mac);${flowParameter}=$var(flow)");
}

route[MAC] {
  crypto_hmac_sha256("$var(hf) $ci", "$sht(routekeys=>$var(kid))", "$var(mac)");
  $var(mac) = $(var(mac){s.substr,0,20});
}

# Anybody can send a Route with our address: only one that we signed for this Call-ID is followed, and only to a farm node.
route[VERIFY] {
  $var(given) = "";
  if (is_present_hf("Route")) $var(given) = $(route_uri{uri.param,hf});
  if ($var(given) == "") route(REFUSE);
  $var(kid) = $(var(given){s.select,4,.});
  if ($var(kid) == "" || $sht(routekeys=>$var(kid)) == $null) route(REFUSE);
  $var(hf) = $(var(given){s.select,0,.}) + "." + $(var(given){s.select,1,.}) + "." + $(var(given){s.select,2,.}) + "."
    + $(var(given){s.select,3,.}) + "." + $var(kid);
  route(MAC);
  $var(expected) = $var(hf) + "." + $var(mac);
  if ($var(given) != $var(expected)) route(REFUSE);
  loose_route();
  if ($du != $null || $sht(nodes=>$rd) == $null || $rp != 5060) {
    update_stat("refused_nexthop", "+1");
    if (!is_method("ACK")) sl_send_reply("403", "Forbidden");
    exit;
  }
  $var(engine) = $(var(hf){s.select,1,.});
  $var(policy) = $(var(hf){s.select,2,.});
  route(BEGINNING);
  $du = "sip:" + $rd + ":${ports.sip}";
  $fsn = "int";
}

# How the dialog began. A Route of a version that knew of no profiles has none: RTP/AVP.
route[BEGINNING] {
  $var(invited) = $(var(hf){s.select,3,.}{s.substr,0,1});
  $var(profile) = $(var(hf){s.select,3,.}{s.strip,1});
}

route[REFUSE] {
  update_stat("refused_signature", "+1");
  if (!is_method("ACK")) sl_send_reply("403", "Forbidden");
  exit;
}
`;
