// TCP and TLS (RFC 3261 section 18): a phone's connection is held by one Kamailio, and any other that gets something for it hands it over.
import { ports, publicAddress } from '../core/farm/farm-plan.js';
import type { Transport } from '../core/trunks/gateway-transport.js';
import type { EdgeModel } from './edge-model.js';

/** Longest SIP message taken, octets. */
export const maxMessageBytes = 16384;

/** How long a connection of a phone or a trunk may be silent. One whose other end is gone is ended by TCP itself (keepalive). */
export const knownSeconds = 86_400;

export function streamGlobals(model: EdgeModel): string {
  const { streams, external, internal, publicVip, privateVip } = model;
  if (streams === undefined) return 'disable_tcp=yes';
  const { tcp, tls, mostConnections, strangerSilenceSeconds } = streams;
  const listen = (transport: 'tcp' | 'tls', port: number | undefined): string[] =>
    port === undefined
      ? []
      : [`listen=${transport}:${external}:${port} advertise ${publicVip}:${port} name "${transport}"`];
  return [
    '#!define STREAMS',
    'tcp_children=4',
    `tcp_max_connections=${mostConnections}`,
    ...(tls === undefined ? [] : ['enable_tls=yes', `tls_max_connections=${mostConnections}`]),
    `open_files_limit=${mostConnections + 1024}`,
    // What is longer than this ends its connection; what is longer than may be is read to be refused.
    `tcp_rd_buf_size=${2 * maxMessageBytes}`,
    `tcp_conn_wq_max=${8 * maxMessageBytes}`,
    `tcp_connection_lifetime=${strangerSilenceSeconds}`,
    'tcp_connect_timeout=5',
    'tcp_send_timeout=5',
    'tcp_connection_match=1',
    `tcp_source_ipv4=${external}`,
    // Finds out that the other end is gone, and keeps a NAT open.
    ...['tcp_keepalive=yes', 'tcp_keepidle=25', 'tcp_keepintvl=10', 'tcp_keepcnt=4'],
    ...listen('tcp', tcp),
    ...listen('tls', tls),
    'socket_workers=2',
    `listen=udp:${internal}:${ports.peer} advertise ${privateVip}:${ports.sip} name "peer"`,
  ].join('\n');
}

export function streamModules({ streams }: EdgeModel): readonly string[] {
  if (streams === undefined) return [];
  return streams.tls === undefined ? ['tcpops'] : ['tcpops', 'tls'];
}

export function streamParameters({ streams, folder }: EdgeModel): string {
  if (streams === undefined) return '';
  const tls = `modparam("tls", "config", "${folder}/tls.cfg")
modparam("tls", "connection_timeout", ${streams.strangerSilenceSeconds})
`;
  return `modparam("htable", "htable", "self=>size=2;")
modparam("htable", "htable", "moved=>size=12;autoexpire=${knownSeconds};")
${streams.tls === undefined ? '' : tls}`;
}

/** Our address in the Record-Route and Contact that a phone on this transport gets. */
export function publicHostPort({ publicVip, streams }: EdgeModel, transport: Transport): string {
  return publicAddress({ publicVip, streams: streams ?? {} }, transport);
}

/**
 * A connection is `<instance>~<its start>~<number>`: the numbers begin anew with each start of a Kamailio, and a message must not
 * reach the phone that has the same one later. With the phone's address before it, it is a flow (RFC 5626) in Path and Record-Route:
 * `<IP>~<port>~<tcp|tls>~<connection>`. In our Via (`hfk`) it brings the replies back.
 */
export function streamRoutes(model: EdgeModel): string {
  const { internal, index, streams } = model;
  if (streams === undefined) return '';
  return `event_route[htable:mod-init] {
  $sht(self=>start) = "s" + $Ts;
  $sht(self=>newest) = 0;
  $sht(self=>judged) = 0;
  $sht(self=>looks) = 0;
}

# What an Asterisk sent to another Kamailio, for a connection of ours: taken as if it had been sent here.
route[HANDED_OVER] {
  if ($sht(edges=>$si) == $null) { update_stat("refused_source", "+1"); drop; }
  $var(peer) = 1;
  $var(port) = 5060;
  if ($sel(via[1].port) != $null) $var(port) = $(sel(via[1].port){s.int});
  set_source_address("udp:$sel(via[1].host):$var(port)");
  set_recv_socket_name("int");
}

route[HAND_OVER] {
  $var(there) = "sip:" + $sht(edges=>$var(edge)) + ":${ports.peer}";
  remove_hf("TH");
  msg_apply_changes();
  sendx("$var(there)", "udp:${internal}:${ports.peer}", "$mb");
}

# By which connection a request from outside came.
route[CONNECTION] {
  $var(connection) = "${index}~" + $sht(self=>start) + "~" + $conid;
  $var(flow) = $si + "~" + $sp + "~" + $proto + "~" + $var(connection);
  if ($conid > $sht(self=>newest)) $sht(self=>newest) = $conid;
}

# To whom a request from inside goes. A phone may have come back by another connection meanwhile.
route[WAY] {
  if ($var(flow) == "") return;
  $var(whole) = $mb;
  if ($sht(moved=>$var(flow)) != $null) $var(flow) = $sht(moved=>$var(flow));
  $var(edge) = $(var(flow){s.select,3,~});
  if ($var(edge) == "" || $var(edge) == "${index}") return;
  if ($var(peer) == 1 || $sht(edges=>$var(edge)) == $null) {
    route(GATEWAY_INSTEAD);
    return;
  }
  route(HAND_OVER);
  exit;
}

route[TO_CONNECTION] {
  $var(conid) = $(var(flow){s.select,5,~}{s.int});
  if ($(var(flow){s.select,4,~}) != $sht(self=>start) || !tcp_conid_alive("$var(conid)")) {
    route(GATEWAY_INSTEAD);
    route(TO_GATEWAY);
    return;
  }
  $var(out) = $(var(flow){s.select,2,~});
  $du = "sip:" + $(var(flow){s.select,0,~}) + ":" + $(var(flow){s.select,1,~}) + ";transport=" + $var(out);
  set_forward_no_connect();
}

# RFC 5626 section 5.3.1: whoever sent it knows at once, instead of waiting for a phone that cannot hear it.
route[NO_WAY] {
  update_stat("failed_flow", "+1");
  if (!is_method("ACK")) sl_send_reply("430", "Flow Failed");
  exit;
}

# A reply to what came by a connection. One that is gone took its phone's transaction with it.
route[REPLY_WAY] {
  $var(conid) = $(var(connection){s.select,2,~}{s.int});
  $var(edge) = $(var(connection){s.select,0,~});
  if ($var(edge) == "${index}") {
    if ($(var(connection){s.select,1,~}) == $sht(self=>start) && tcp_conid_alive("$var(conid)")) return;
  } else if ($var(peer) != 1 && $sht(edges=>$var(edge)) != $null) {
    route(HAND_OVER);
    drop;
  }
  update_stat("failed_flow", "+1");
  drop;
}

# Each message that we send shortens the connection's life to that of a stranger's (core/tcp_main.c, tcp_send).
route[KNOWN_CONNECTION] {
  if ($var(conid) == 0 && !tcp_get_conid("$var(host):$var(port)", "$var(conid)")) return;
  tcp_set_connection_lifetime("$var(conid)", "${knownSeconds}");
  route(PROVED);
}
`;
}
