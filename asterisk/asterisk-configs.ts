// The configs that all three roles share: folders, identity, logging, HTTP and ARI.
import { ports, rtpPorts, type FarmNode } from '../core/farm/farm-plan.js';
import { receivedEnd, stasisApp } from '../core/ports/asterisk.js';

/** Every Asterisk on a host takes the MAC address for its entity id unless it is given one. */
function entityId(node: FarmNode): string {
  const octets = node.address.split('.').map(part => Number(part).toString(16).padStart(2, '0'));
  return ['02', '00', ...octets].join(':');
}

export function renderAsteriskConf(node: FarmNode, prefix: string, folder: string): string {
  return `[directories]
astetcdir => ${folder}
astmoddir => ${prefix}/lib/asterisk/modules
astvarlibdir => ${folder}/lib
astdbdir => ${folder}/lib
astkeydir => ${folder}/lib
astdatadir => ${prefix}/share/asterisk
astagidir => ${folder}/lib
astspooldir => ${folder}/spool
astrundir => ${folder}/run
astlogdir => ${folder}/log
astsbindir => ${prefix}/sbin

[options]
systemname = ${node.name}
entityid = ${entityId(node)}
verbose = 0
debug = 0
nocolor = yes
hideconnect = yes
documentation_language = en_US
live_dangerously = no
`;
}

export const loggerConf = `[general]
dateformat = %F %T.%3q
use_callids = yes

[logfiles]
console = notice,warning,error
`;

export function renderHttpConf(node: FarmNode): string {
  return `[general]
enabled = yes
enablestatic = no
bindaddr = ${node.address}
bindport = ${ports.ari}
sessionlimit = 200
session_inactivity = 120000
session_keep_alive = 3600000
`;
}

export function renderAriConf(password: string): string {
  return `[general]
enabled = yes
pretty = no
channelvars = ${receivedEnd}
websocket_write_timeout = 1000

[${stasisApp}]
type = user
read_only = no
password = ${password}
`;
}

export const rtpConf = `[general]
rtpstart = ${rtpPorts.min}
rtpend = ${rtpPorts.max}
icesupport = no
strictrtp = yes
`;

/** No tone is ever played from here; without a default country Asterisk warns at every start. */
export const indicationsConf = `[general]
country = us

[us]
description = United States
ringcadence = 2000,4000
ring = 440+480/2000,0/4000
busy = 480+620/500,0/500
congestion = 480+620/250,0/250
`;

/** Call records are the daemon's. */
export const noRecords = '[general]\nenable = no\n';

/**
 * Messages inside Asterisk that nobody here hears. The device state is the dearest: it looks at every channel of its endpoint
 * (chan_pjsip.c, chan_pjsip_devicestate), so on an edge endpoint with a thousand of them each change of one would look at a
 * thousand. With patches/0004 it is not computed where its message is declined.
 */
const unheardMessages = [
  'ast_device_state_message_type',
  'ast_presence_state_message_type',
  'ast_channel_varset_type',
  'ast_channel_entered_bridge_type',
  'ast_channel_left_bridge_type',
  'ast_channel_hangup_handler_type',
  'ast_channel_hangup_request_type',
  'ast_channel_dtmf_begin_type',
  'ast_rtp_rtcp_sent_type',
  'ast_rtp_rtcp_received_type',
  'ast_security_event_type',
  'cel_generic_type',
];

export const stasisConf = ['[declined_message_types]', ...unheardMessages.map(type => `decline = ${type}`), ''].join(
  '\n',
);

/** Files that Asterisk reports as missing although it needs nothing from them. */
export const emptyFiles = [
  'acl.conf',
  'ccss.conf',
  'features.conf',
  'manager.conf',
  'pjproject.conf',
  'udptl.conf',
  'websocket_client.conf',
];
