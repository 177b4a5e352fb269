// Renders kamailio.cfg: a stateless edge (no tm) whose every instance can serve any message of any call.
import { ports } from '../core/farm/farm-plan.js';
import { counterNames } from './edge-counters.js';
import type { EdgeModel } from './edge-model.js';
import { edgeTables } from './edge-tables.js';
import { defenceRoutes, defenceTables } from './cfg-defence.js';
import { gatewayParameters, gatewayRoutes } from './cfg-gateways.js';
import { mediaRoutes } from './cfg-media.js';
import { methodRoutes } from './cfg-methods.js';
import { overloadRoute, overloadTables } from './cfg-overload.js';
import { registrationRoutes } from './cfg-registrations.js';
import { requestRoutes } from './cfg-requests.js';
import { strangerModules, strangerParameters, strangerRoutes } from './cfg-strangers.js';
import { streamGlobals, streamModules, streamParameters, streamRoutes } from './cfg-streams.js';

const modules = [
  'db_text',
  'kex',
  'corex',
  'sl',
  'rr',
  'pv',
  'maxfwd',
  'textops',
  'textopsx',
  'siputils',
  'xlog',
  'sanity',
  'sdpops',
  'htable',
  'dispatcher',
  'crypto',
  'statistics',
  'auth',
  'rtpengine',
  'siptrace',
  'topoh',
  'jsonrpcs',
];

/** The whole kamailio.cfg of one instance. Pure: equal models give equal text. */
export function renderKamailioCfg(model: EdgeModel): string {
  return [
    globals(model),
    parameters(model),
    requestRoutes(model),
    registrationRoutes(model),
    streamRoutes(model),
    gatewayRoutes(model),
    strangerRoutes(model),
    defenceRoutes,
    overloadRoute(model.secrets.nonceSecret),
    methodRoutes,
    mediaRoutes(model),
    hiding(model),
  ].join('\n');
}

function globals(model: EdgeModel): string {
  return `#!KAMAILIO
# Generated: changes are overwritten. What an instance must know of a call is in the call's messages.
debug=1
log_stderror=yes
log_prefix="{$rm $ci} "
fork=yes
children=${model.children}
auto_aliases=no
${streamGlobals(model)}
dns=no
rev_dns=no
# Whoever asks for a name keeps a process waiting, and all of them may ask at once.
dns_retr_time=1
dns_retr_no=1
dns_servers_no=2
dns_use_search_list=no
dns_try_ipv6=no
server_signature=no
sip_warning=0
max_while_loops=10000
xavp_via_params="via"
listen=udp:${model.external}:${ports.sip} advertise ${model.publicVip}:${ports.sip} name "ext"
listen=udp:${model.internal}:${ports.sip} advertise ${model.privateVip}:${ports.sip} name "int"

${[...modules, ...streamModules(model), ...strangerModules(model)].map(name => `loadmodule "${name}.so"`).join('\n')}
`;
}

function parameters(model: EdgeModel): string {
  const { secrets, folder } = model;
  const database = `text://${folder}/tables`;
  const tables = edgeTables.map(name => `modparam("htable", "htable", "${name}=>size=10;dbtable=${name};")`);
  return `modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "udp:${model.internal}:${ports.rpc}")
modparam("db_text", "db_mode", 1)
# One Record-Route per side, rewritten between them (RFC 5658 section 4): two would show the inside to the outside.
modparam("rr", "enable_double_rr", 0)
modparam("rr", "append_fromtag", 1)
modparam("htable", "db_url", "${database}")
${tables.join('\n')}
modparam("htable", "htable", "pins=>size=12;autoexpire=600;")
${defenceTables}
${overloadTables}
${streamParameters(model)}${strangerParameters(model)}${gatewayParameters(model)}modparam("dispatcher", "list_file", "${folder}/dispatcher.list")
modparam("dispatcher", "reload_delta", 0)
modparam("dispatcher", "ds_ping_interval", 0)
# Phones of one user write its address in more ways than one.
modparam("dispatcher", "hash_pvar", "$tU")
modparam("auth", "secret", "${secrets.nonceSecret}")
modparam("auth", "nonce_expire", 30)
modparam("auth", "auth_checks_register", 9)
modparam("auth", "auth_checks_no_dlg", 9)
modparam("auth", "auth_checks_in_dlg", 8)
modparam("rtpengine", "db_url", "${database}")
modparam("rtpengine", "rtpengine_disable_tout", 1)
modparam("rtpengine", "rtpengine_tout_ms", 500)
modparam("rtpengine", "rtpengine_retr", 2)
# The module's own memory of Call-ID to engine must not outlive a message: the choice travels in Route and Via.
modparam("rtpengine", "hash_table_tout", 1)
modparam("siptrace", "duplicate_uri", "sip:${model.daemonAddress}:${ports.hep}")
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", 3)
modparam("siptrace", "hep_capture_id", ${model.index})
modparam("siptrace", "auth_key", "${secrets.hepKey}")
modparam("siptrace", "send_sock_name", "int")
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "trace_on", 1)
modparam("siptrace", "trace_mode", 1)
modparam("topoh", "mask_key", "${secrets.maskKey}")
modparam("topoh", "mask_ip", "${model.publicVip}")
modparam("topoh", "mask_callid", 0)
${counterNames.map(name => `modparam("statistics", "variable", "${name}")`).join('\n')}
`;
}

/** topoh masks what goes outside; what goes to our own Asterisks, or to the daemon in a dead one's stead, stays as it is. */
function hiding(model: EdgeModel): string {
  return `event_route[topoh:msg-outgoing] {
  $var(to) = $sndto(ip);
  if ($sht(nodes=>$var(to)) != $null || $var(to) == "${model.daemonAddress}") drop;
}
`;
}
