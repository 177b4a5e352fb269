// The media side of kamailio.cfg: when RTPEngine is told offer, answer and delete, and the reply route.
import { ports } from '../core/farm/farm-plan.js';
import { bodyRoute } from './cfg-bodies.js';
import { offerRoute } from './cfg-offers.js';
import { srtpFlags, srtpRoutes } from './cfg-srtp.js';
import { publicHostPort } from './cfg-streams.js';
import type { EdgeModel } from './edge-model.js';

/**
 * Our Via carries what a reply must know, as there is no transaction: `hf=<engine>.<policy>.<o|d><profile>.<i|r>.<key id>.<mac>`, o
 * when the request had an offer, d when it was delayed, and the dialog's letter of `profiles`; i for an initial INVITE, r for a request
 * in a dialog. It is signed like the Route parameter: nobody outside can end a call's media by a reply that answers nothing.
 */
export function mediaRoutes(model: EdgeModel): string {
  return [requestMedia, bodyRoute, offerRoute, srtpRoutes, replies(model), replyMedia(model)].join('\n');
}

const common = `replace-origin replace-session-connection replace-SDP-version ICE=remove port-latching ${srtpFlags}`;

const requestMedia = `route[MEDIA_FROM_OUTSIDE] {
  if (is_method("INVITE|UPDATE|PRACK|ACK")) route(BODY);
  if (is_method("INVITE|UPDATE") && has_body("application/sdp")) {
    route(ACCEPTABLE);
    if (!has_totag()) $var(profile) = $var(offered);
    # A PCMU that the policy refuses, and the phone offers, would be taken for the PCMU of the inside: struck before RTPEngine sees it.
    if ($sht(policies=>$var(policy)-in) =~ "codec-strip-PCMU " && sdp_with_codecs_by_name("PCMU")) {
      sdp_remove_codecs_by_name("PCMU");
      msg_apply_changes();
    }
  }
  if (is_method("ACK|PRACK") && has_body("application/sdp")) route(SECURED);
  route(TRANSPORT);
  $var(flags) = "${common} RTP/AVP direction=ext direction=int " + $var(renewed) + " " + $sht(policies=>$var(policy)-in);
  route(MEDIA);
}

# RTPEngine counts the version of o= on from the first one that it hears of a call. The time in milliseconds is higher than all
# that its predecessor can have counted to from the 32 random bits of an Asterisk (RFC 3264 section 8, RFC 4566 section 5.2).
route[VERSION] {
  if ($sht(engines=>moved-$var(engine)) == $null) return;
  subst_body("/^(o=[^ ]+ [^ ]+) [0-9]+ /\\\\1 $(TS)000 /");
  msg_apply_changes();
}

route[MEDIA_FROM_INSIDE] {
  if (has_body("application/sdp")) route(VERSION);
  route(TRANSPORT);
  $var(flags) = "${common} direction=int direction=ext " + $var(transport) + " " + $var(renewed) + " "
    + $sht(policies=>$var(policy)-out);
  route(MEDIA);
}

route[MEDIA] {
  if (!is_method("INVITE|UPDATE|PRACK|ACK|BYE")) return;
  $var(role) = "d";
  if (has_body("application/sdp")) {
    $var(role) = "o";
    route(OFFER);
  }
  $var(kid) = $sht(settings=>routeKey);
  $var(hf) = $var(engine) + "." + $var(policy) + "." + $var(role) + $var(profile) + "." + $var(initial) + "." + $var(kid);
  route(MAC);
  $xavp(via=>hf) = $var(hf) + "." + $var(mac);
  via_add_xavp_params("1");
}

# An initial offer may go to another engine when its own does not answer; a dialog's engine is the one that has its ports.
route[OFFER] {
  if ($sht(engines=>$var(engine)) == $null) route(ENGINE);
  if ($sht(engines=>$var(engine)) == $null) {
    route(NO_ENGINE);
    return;
  }
  $var(set) = $sht(engines=>$var(engine));
  set_rtpengine_set("$var(set)");
  # The answer to what a 2xx or, where the first INVITE had no offer, a reliable provisional response offered (RFC 3262 section 5).
  if (is_method("ACK") || (is_method("PRACK") && $var(invited) == "d")) {
    rtpengine_answer("${common} $var(renewed)");
    return;
  }
  if (rtpengine_offer("$var(flags)")) return;
  if ($var(initial) == "i" && $sht(engineslots=>other-$var(engine)) != $null) {
    $var(engine) = $sht(engineslots=>other-$var(engine));
    $var(set) = $sht(engines=>$var(engine));
    set_rtpengine_set("$var(set)");
    if (rtpengine_offer("$var(flags)")) return;
  }
  route(NO_ENGINE);
}

# In a dialog 503 would end the call at some phones: 500 with Retry-After refuses the change only (RFC 3261 section 14.2).
route[NO_ENGINE] {
  update_stat("failed_media", "+1");
  if (is_method("ACK|PRACK")) return;
  append_to_reply("Retry-After: 2\\r\\n");
  if ($var(initial) == "i") sl_send_reply("503", "No Media Engine");
  else sl_send_reply("500", "No Media Engine");
  exit;
}
`;

function replies(model: EdgeModel): string {
  const { publicVip, privateVip } = model;
  return `# A failing statement at the end of this route would drop the reply: it always ends on return.
onreply_route {
  $var(peer) = 0;
  $var(connection) = "";
#!ifdef STREAMS
  if ($Rp == ${ports.peer}) {
    if ($sht(edges=>$si) == $null) { update_stat("refused_source", "+1"); drop; }
    $var(peer) = 1;
    set_recv_socket_name("int");
  }
  if ($proto == "tls" && $rm == "OPTIONS" && $sel(via[2].host) == $null) { route(GATEWAY_ANSWER); drop; }
#!endif
  if ($sht(fenced=>$si) != $null) { update_stat("refused_fenced", "+1"); drop; }
${model.homer === undefined ? '' : `  sip_trace("sip:${model.homer}");\n`}  $var(via) = "";
  if ($sel(via[1].params.hf) != $null) $var(via) = $sel(via[1].params.hf);
  if ($Ri == "${model.internal}") {
    if ($sht(nodes=>$si) == $null && $si != "${model.daemonAddress}" && $var(peer) == 0) { update_stat("refused_source", "+1"); drop; }
    $var(out) = "ext";
#!ifdef STREAMS
    if ($sel(via[1].params.hfk) != $null) {
      $var(connection) = $sel(via[1].params.hfk);
      route(REPLY_WAY);
      if ($sel(via[2].transport) == "TLS") {
        $var(out) = "tls";
        subst_hf("Record-Route", "/${privateVip}:${ports.sip}/${publicHostPort(model, 'tls')}/", "a");
      } else {
        $var(out) = "tcp";
        subst_hf("Record-Route", "/${privateVip}:${ports.sip}/${publicHostPort(model, 'tcp')}/", "a");
      }
    }
#!endif
    $fsn = $var(out);
    if ($var(out) == "ext") subst_hf("Record-Route", "/${privateVip}:${ports.sip}/${publicHostPort(model, 'udp')}/", "a");
    route(OUTWARD);
    # A phone looks for its own contacts in the 200 to REGISTER: without its cookie topoh leaves them alone.
    if (is_method("REGISTER")) {
      remove_hf_re("^(TH|Path)$");
      # It has proved to a registrar who it is.
      if ($rs == 200) {
        $var(phone) = $sel(via[2].host);
        if ($sel(via[2].params.received) != $null) $var(phone) = $sel(via[2].params.received);
        $sht(known=>$var(phone)) = 1;
      }
    }
  } else if (is_method("REGISTER") && $sel(via[2].host) == $null) {
    route(REGISTER_ANSWER);
    return 1;
  } else {
    # A stateless proxy passes a reply on to whatever its second Via names: only an Asterisk of ours ever sends through us, or the
    # daemon in its stead.
    if ($sht(nodes=>$sel(via[2].host)) == $null && $sel(via[2].host) != "${model.daemonAddress}") { update_stat("refused_reply", "+1"); drop; }
    if ($sel(via[2].params.received) != $null && $sht(nodes=>$sel(via[2].params.received)) == $null
      && $sel(via[2].params.received) != "${model.daemonAddress}") {
      update_stat("refused_reply", "+1");
      drop;
    }
    $fsn = "int";
    subst_hf("Record-Route", "/${publicVip}:[0-9]+(;transport=[a-z]+)?/${privateVip}:${ports.sip}/", "a");
    remove_hf_re("^(X-Holdfast-|TH$)");
    route(BODY);
  }
  if ($var(via) != "") route(REPLY_MEDIA);
#!ifdef STREAMS
  # Of whom more is passed on than a refused REGISTER, it is known who it is.
  if ($var(connection) != "" && !(is_method("REGISTER") && $rs != 200)) {
    forward_reply();
    route(KNOWN_CONNECTION);
    drop;
  }
#!endif
  return 1;
}
`;
}

function replyMedia(model: EdgeModel): string {
  return `# Media end by outcomes: a final failure of an initial INVITE, a 2xx to BYE. A request may be refused, forged or crossed.
# 482 refuses a second INVITE of a dialog that goes on, and whose media must.
route[REPLY_MEDIA] {
  $var(kid) = $(var(via){s.select,4,.});
  if ($var(kid) == "" || $sht(routekeys=>$var(kid)) == $null) return;
  $var(hf) = $(var(via){s.select,0,.}) + "." + $(var(via){s.select,1,.}) + "." + $(var(via){s.select,2,.}) + "."
    + $(var(via){s.select,3,.}) + "." + $var(kid);
  route(MAC);
  $var(expected) = $var(hf) + "." + $var(mac);
  if ($var(via) != $var(expected)) { update_stat("refused_signature", "+1"); return; }
  $var(engine) = $(var(via){s.select,0,.});
  $var(policy) = $(var(via){s.select,1,.});
  $var(role) = $(var(via){s.select,2,.}{s.substr,0,1});
  $var(profile) = $(var(via){s.select,2,.}{s.strip,1});
  $var(initial) = $(var(via){s.select,3,.});
  if ($sht(engines=>$var(engine)) == $null) return;
  $var(set) = $sht(engines=>$var(engine));
  set_rtpengine_set("$var(set)");
  if (($rm == "INVITE" && $rs >= 300 && $rs != 482 && $var(initial) == "i") || ($rm == "BYE" && $rs >= 200 && $rs < 300)) {
    rtpengine_delete("delete-delay=0");
    return;
  }
  if ($rs <= 100 || $rs >= 300 || !has_body("application/sdp")) return;
  # An offer may only come in a reliable response (RFC 3261 section 13.2.1): what a caller could not answer is not shown.
  if ($var(role) == "d" && $rs < 200 && !is_present_hf("RSeq")) {
    remove_hf("Content-Type");
    remove_body();
    return;
  }
  if ($Ri == "${model.internal}") route(VERSION);
  else route(SECURED);
  route(TRANSPORT);
  if ($var(role) == "o") rtpengine_answer("${common} $var(renewed)");
  else if ($Ri == "${model.internal}")
    rtpengine_offer("${common} direction=int direction=ext $var(transport) $var(renewed) $sht(policies=>$var(policy)-out)");
  else
    rtpengine_offer("${common} RTP/AVP direction=ext direction=int $var(renewed) $sht(policies=>$var(policy)-in)");
  return;
}
`;
}
