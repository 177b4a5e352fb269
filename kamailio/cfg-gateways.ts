// What goes to gateways of trunks by TCP and TLS: each Kamailio has connections of its own, opened when they are needed.
import { ports } from '../core/farm/farm-plan.js';
import type { EdgeModel } from './edge-model.js';
import { knownSeconds, publicHostPort } from './cfg-streams.js';

/** Has a server name and a profile of tls.cfg chosen for each message. */
const gatewayXavp = 'tls';

/** Whoever sent it has done so again by then, and may have given up. */
const waitSeconds = 4;

/** `verified`: which connection of this instance has shown a gateway's certificate. `waiting`: what is sent once one has. */
export function gatewayParameters({ streams }: EdgeModel): string {
  if (streams?.tls === undefined) return '';
  return `modparam("htable", "htable", "verified=>size=8;")
modparam("htable", "htable", "waiting=>size=8;autoexpire=${waitSeconds};")
modparam("tls", "xavp_cfg", "${gatewayXavp}")
`;
}

/**
 * `hfn=gw~<transport>~<gateway>` in our Record-Route, and in the Route of a new leg: any instance can send there. The next hop's URI says
 * where, and by what if it says it; else what the dialog began with, so that what was TLS does not go on in the clear.
 *
 * A gateway's certificate is of a right authority, or there is no connection (tls.cfg). Its name the tls module does not look at, and what is sent
 * leaves as soon as the connection is up: so the first thing that a connection carries is an OPTIONS of our own. What was to be sent waits here, and is
 * taken anew, as if another instance had handed it over, once the name is known.
 */
export function gatewayRoutes(model: EdgeModel): string {
  if (model.streams === undefined) return '';
  return [destination(model), tlsDestination(model)].join('\n');
}

function destination({ streams }: EdgeModel): string {
  const taken = (['tcp', 'tls'] as const).filter(transport => streams?.[transport] !== undefined);
  return `route[TO_GATEWAY] {
  $var(next) = $ru;
  if ($du != $null) $var(next) = $du;
  $var(out) = $(var(next){uri.transport}{s.tolower});
  if ($(var(next){uri.scheme}{s.tolower}) == "sips") $var(out) = "tls";
  if ($var(out) == "") $var(out) = $(var(flow){s.select,1,~});
  if ($var(out) == "udp") { $var(out) = "ext"; return; }
  if (!($var(out) =~ "^(${taken.join('|')})$")) route(NO_WAY);
  $var(conid) = 0;
  $var(name) = $(var(next){uri.host});
  $var(host) = $var(name);
  $var(port) = $(var(next){uri.port});
  if ($var(port) == 0 && $var(out) == "tls") $var(port) = 5061;
  if ($var(port) == 0) $var(port) = 5060;
  $var(at) = "host-" + $(var(name){s.tolower});
  route(HOST);
  if ($var(at) != "") $var(host) = $var(at);
  $du = "sip:" + $var(host) + ":" + $var(port) + ";transport=" + $var(out);
  if ($var(out) == "tls") route(TO_TLS_GATEWAY);
}

# A trunk is reached without the connection that its call came by: by its Contact.
route[GATEWAY_INSTEAD] {
  $var(gateway) = $(var(flow){s.select,6,~});
  if ($var(gateway) == "") route(NO_WAY);
  $var(flow) = "gw~" + $(var(flow){s.select,2,~}) + "~" + $var(gateway);
}
`;
}

function tlsDestination(model: EdgeModel): string {
  const { external, internal, domain, streams } = model;
  if (streams?.tls === undefined)
    return 'route[TO_TLS_GATEWAY] { route(NO_WAY); }\nroute[GATEWAY_ANSWER] { return; }\n';
  return `route[TO_TLS_GATEWAY] {
  $var(gateway) = $(var(flow){s.select,2,~});
  if ($sht(gateways=>$var(gateway)) == $null) route(NO_WAY);
  $xavp(${gatewayXavp}=>server_id) = $(sht(gateways=>$var(gateway)){s.select,1,|});
  if ($(sht(gateways=>$var(gateway)){s.select,0,|}) != "")
    $xavp(${gatewayXavp}[0]=>server_name) = $(sht(gateways=>$var(gateway)){s.select,0,|});
  if ($sht(gateways=>$var(gateway)-names) == $null) return;
  $var(way) = $var(gateway) + "~" + $var(host) + "~" + $var(port);
  if ($sht(verified=>$var(way)) != $null) {
    $var(conid) = $(sht(verified=>$var(way)){s.select,2,~}{s.int});
    if (tcp_conid_alive("$var(conid)")) {
      $du = "sip:" + $(sht(verified=>$var(way)){s.select,0,~}) + ":" + $(sht(verified=>$var(way)){s.select,1,~}) + ";transport=tls";
      set_forward_no_connect();
      return;
    }
    $sht(verified=>$var(way)) = $null;
  }
  $var(question) = $(ci{s.md5}) + "-" + $TV(u);
  if ($var(peer) == 0) $sht(waiting=>$var(question)) = $var(whole);
  $var(ask) = "OPTIONS sip:" + $var(name) + ":" + $var(port) + ";transport=tls SIP/2.0\\r\\n"
    + "Via: SIP/2.0/TLS ${publicHostPort(model, 'tls').replace(/;.*/, '')};branch=z9hG4bK" + $(ci{s.md5}) + $TV(u) + "\\r\\n"
    + "Max-Forwards: 70\\r\\nFrom: <sip:holdfast@${domain}>;tag=" + $var(way) + "\\r\\n"
    + "To: <sip:" + $var(name) + ":" + $var(port) + ">\\r\\nCall-ID: " + $var(question) + "@${domain}\\r\\n"
    + "CSeq: 1 OPTIONS\\r\\nContent-Length: 0\\r\\n\\r\\n";
  sendx("$du", "tls:${external}:${streams.tls}", "$var(ask)");
  exit;
}

# Who answers has a certificate of a right authority where the module says so; of another connection it says nothing.
route[GATEWAY_ANSWER] {
  $var(way) = $ft;
  $var(names) = $sht(gateways=>$(var(way){s.select,0,~})-names);
  if ($var(names) == $null || $var(names) == 0) return;
  # Expressions of Kamailio do not see the ends of lines.
  $var(pem) = $(tls_peer_urlencoded_cert{re.subst,/%0A//gi}{s.unescape.param}{re.subst,/-----[A-Z+ ]+-----//g});
  $var(certificate) = $(var(pem){s.decode.base64}{s.encode.hexa});
  if ($tls_peer_verified == 1 && $var(certificate) =~ $var(names)) {
    $sht(verified=>$var(way)) = $si + "~" + $sp + "~" + $conid;
    tcp_set_connection_lifetime("$conid", "${knownSeconds}");
    $var(conid) = $conid;
    route(PROVED);
    $var(question) = $(ci{s.select,0,@});
    if ($sht(waiting=>$var(question)) == $null) return;
    $var(whole) = $sht(waiting=>$var(question));
    $sht(waiting=>$var(question)) = $null;
    sendx("sip:${internal}:${ports.peer}", "udp:${internal}:${ports.peer}", "$var(whole)");
    return;
  }
  update_stat("refused_certificate", "+1");
  tcp_close_connection();
}
`;
}
