// pjsip.conf of each role: one endpoint for the edge, inner endpoints between call and conference nodes, subscribers.
import { createHash } from 'node:crypto';
import { HoldfastError } from '../core/errors.js';
import type { ObjectProof } from '../core/ports/node-host.js';
import { trunkEndpointName } from '../core/ports/asterisk.js';
import { planFarm, ports, type FarmNode, type FarmPlan } from '../core/farm/farm-plan.js';

/** A subscriber as the registrar knows it: only the digests of the secret. */
export interface RegistrarSubscriber {
  readonly user: string;
  readonly realm: string;
  /** MD5 and SHA-256 of user:realm:secret, hex. */
  readonly ha1: string;
  readonly ha1Sha256: string;
}

/** What a registrar grants. */
export interface RegistrationRules {
  /** Offered in this order (RFC 8760 §2.4). */
  readonly digests: readonly ('SHA-256' | 'MD5')[];
  readonly minSeconds: number;
  readonly maxSeconds: number;
  readonly defaultSeconds: number;
  readonly maxContacts: number;
}

/** How we answer a trunk that challenges our INVITEs. */
export interface TrunkCredentials {
  readonly name: string;
  /** Host part of our callers where we are registered with it: providers know their customers by their own domain. */
  readonly domain?: string;
  readonly username: string;
  readonly secret: string;
}

/** A phone that has sent no RTP for so long is hung up; 0: never. */
export interface RtpTimeout {
  readonly seconds: number;
  /** Of one that has put us on hold. */
  readonly onHoldSeconds: number;
}

/** What the endpoints of a call node are made of. */
export interface CallNodeFacts {
  readonly plan: FarmPlan;
  readonly node: FarmNode;
  readonly domain: string;
  readonly rtpTimeout: RtpTimeout;
}

/** The endpoint that calls to a trunk with credentials are dialled by: `PJSIP/trunk-NAME/sip:…`. */
const global = `[global]
type = global
user_agent = Holdfast
endpoint_identifier_order = ip,username
max_forwards = 70
keep_alive_interval = 0

[system]
type = system
timer_t1 = 500
timer_b = 32000
`;

function transport(node: FarmNode): string {
  return `[udp]
type = transport
protocol = udp
bind = ${node.address}:${ports.sip}
`;
}

/** Media are one stream of PCMU inside; RTPEngine transcodes for the outside. */
function media(node: FarmNode): string {
  return `disallow = all
allow = ulaw
max_video_streams = 0
media_address = ${node.address}
bind_rtp_to_media_address = yes
direct_media = no
rtp_symmetric = no
force_rport = yes
rewrite_contact = no
t38_udptl = no
sdp_session = Holdfast
`;
}

/** Inside addresses that any Kamailio of this farm may have, now or after a reload, and the daemon's, which probes. */
function edgeAddresses(plan: FarmPlan): string[] {
  const kamailios = planFarm(plan.subnet, { kamailio: 9, call: 0, conference: 0, registrar: 0, rtpengine: 0 }).nodes;
  return [plan.privateVip, plan.daemonAddress, ...kamailios.map(node => node.address)];
}

function identify(endpoint: string, addresses: readonly string[]): string {
  return `[${endpoint}-identify]
type = identify
endpoint = ${endpoint}
${addresses.map(address => `match = ${address}`).join('\n')}
`;
}

/**
 * A way to the outside: over the private VIP, with nothing of the inside in From and Contact. Reliable provisional responses and
 * session timers are for those who ask for them; digits go out as INFO to whoever has agreed on no telephone-event. A REFER is the
 * daemon's to answer: Asterisk itself transfers nobody.
 */
function outward(name: string, { plan, node, domain, rtpTimeout }: CallNodeFacts): string {
  return `[${name}]
type = endpoint
transport = udp
context = from-edge
outbound_proxy = sip:${plan.privateVip}:${ports.sip}\\;lr
from_domain = ${domain}
contact_user = holdfast
trust_id_inbound = no
trust_id_outbound = yes
inband_progress = no
allow_subscribe = no
identify_by = ip
${media(node)}dtmf_mode = auto_info
set_var = PJSIP_TRANSFER_HANDLING()=ari-only
100rel = yes
timers = yes
rtp_timeout = ${rtpTimeout.seconds}
rtp_timeout_hold = ${rtpTimeout.onHoldSeconds}
`;
}

function edgeEndpoint(facts: CallNodeFacts): string {
  return `${outward('edge', facts)}
${identify('edge', edgeAddresses(facts.plan))}`;
}

/** Outgoing only: what comes from the trunk comes over the edge. */
function trunkEndpoint(trunk: TrunkCredentials, facts: CallNodeFacts): string {
  const name = trunkEndpointName(trunk.name);
  return `${outward(name, { ...facts, domain: trunk.domain ?? facts.domain })}outbound_auth = ${name}

[${name}]
type = auth
auth_type = digest
username = ${written(trunk, 'username')}
password = ${written(trunk, 'secret')}
`;
}

/** A semicolon begins a comment where it is not escaped, and a line cannot be continued (main/config.c). */
function written(trunk: TrunkCredentials, field: 'username' | 'secret'): string {
  if (/[\r\n\0]/.test(trunk[field]))
    throw new HoldfastError('CONFIG_INVALID', `trunks.${trunk.name}.credentials.${field} must be one line`);
  return trunk[field].replaceAll(';', '\\;');
}

/** Legs between call and conference nodes go node to node, not over the edge. */
function innerEndpoint(name: string, context: string, node: FarmNode): string {
  return `[${name}]
type = endpoint
transport = udp
context = ${context}
allow_subscribe = no
identify_by = ip
${media(node)}dtmf_mode = rfc4733
allow_transfer = no
100rel = no
timers = no
`;
}

export function renderCallPjsip(facts: CallNodeFacts, trunks: readonly TrunkCredentials[]): string {
  const { node } = facts;
  return [
    global,
    transport(node),
    edgeEndpoint(facts),
    ...trunks.map(trunk => trunkEndpoint(trunk, facts)),
    innerEndpoint('conference', 'nowhere', node),
  ].join('\n');
}

export function renderConferencePjsip(plan: FarmPlan, node: FarmNode): string {
  const callNodes = planFarm(plan.subnet, { kamailio: 0, call: 19, conference: 0, registrar: 0, rtpengine: 0 }).nodes;
  return [
    global,
    transport(node),
    innerEndpoint('call', 'from-call', node),
    identify('call', [plan.daemonAddress, ...callNodes.map(call => call.address)]),
  ].join('\n');
}

function subscriber({ user, realm, ha1, ha1Sha256 }: RegistrarSubscriber, rules: RegistrationRules): string {
  return `[${user}]
type = endpoint
transport = udp
context = nowhere
disallow = all
allow = ulaw
auth = ${user}
aors = ${user}
rewrite_contact = no

[${user}]
type = auth
auth_type = digest
username = ${user}
realm = ${realm}
password_digest = MD5:${ha1}
password_digest = SHA-256:${ha1Sha256}
supported_algorithms_uas = ${rules.digests.join(',')}

[${user}]
type = aor
max_contacts = ${rules.maxContacts}
remove_existing = no
minimum_expiration = ${rules.minSeconds}
maximum_expiration = ${rules.maxSeconds}
default_expiration = ${rules.defaultSeconds}
support_path = yes
`;
}

/** What a registrar's pjsip.conf has it hold. */
export interface RegistrarObjects {
  readonly content: string;
  readonly proof: ObjectProof;
}

/** With the proof that the whole file was read: an auth and an AoR that nobody can use, named after all that stands before them. */
export function renderRegistrarPjsip(
  plan: FarmPlan,
  node: FarmNode,
  subscribers: readonly RegistrarSubscriber[],
  rules: RegistrationRules,
): RegistrarObjects {
  const objects = [
    // Each refresh tells of itself: the daemon knows every binding's expiry.
    global
      .replace('ip,username', 'username,ip')
      .replace('max_forwards = 70\n', 'max_forwards = 70\nsend_contact_status_on_update_registration = yes\n'),
    transport(node),
    innerEndpoint('probe', 'nowhere', node),
    identify('probe', [plan.daemonAddress]),
    ...subscribers.map(one => subscriber(one, rules)),
  ].join('\n');
  const hash = createHash('sha256').update(objects).digest('hex');
  const id = `proof-${hash.slice(0, 24)}`;
  const marks = `[${id}]\ntype = auth\nauth_type = digest\nusername = ${id}\npassword_digest = MD5:${hash.slice(0, 32)}\n\n[${id}]\ntype = aor\nmax_contacts = 0\n`;
  const endpoints = ['probe', ...subscribers.map(({ user }) => user)];
  return { content: `${objects}\n${marks}`, proof: { id, objectTypes: ['auth', 'aor'], endpoints } };
}
