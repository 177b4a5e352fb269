// The port to the Kamailio farm: what the edge must know, as plain values, and the operations on its instances.
import { ports, type FarmName, type NodeState } from '../farm/farm-plan.js';
import type { GatewayTls, Transport } from '../trunks/gateway-transport.js';

/** URI parameters of our own entry in the Path of a registration, and of our Record-Route: the address and port of a phone behind NAT, or a gateway. */
export const flowParameter = 'hfn';
/** Of the Path entry only: the phone's Contact headers, escaped, for their q-values. */
export const contactsParameter = 'hfc';

/** URI parameter of our Contact at a trunk that we register with: a token by which its calls are known. */
export const lineParameter = 'line';

/** Of the daemon's own REGISTER: the URI that it is sent to. */
export const registrarHeader = 'X-Holdfast-Registrar';

/** One RTPEngine process from its start to its end. An incarnation's name is never used again. */
export interface EngineIncarnation {
  /** Short and url-safe, e.g. `e1-3fk2`; travels in the signed Route parameters. */
  readonly id: string;
  /** Node that it runs (or ran) on. */
  readonly node: string;
  readonly state: NodeState;
  /** For a dead one: the incarnation that took its sessions over. */
  readonly successor?: string;
}

/**
 * Whether the outside of a leg is SRTP (SDES, RFC 4568). `optional`: where the other side can (RFC 8643 towards it); `required`: or
 * there is no call.
 */
export type SrtpUse = 'off' | 'optional' | 'required';

/** Which codecs the outside may speak on a leg, best first, and whether encrypted. Inside is always plain PCMU. */
export interface TranscodingPolicy {
  /** `[a-z0-9]{1,12}`: travels in the signed Route parameters. */
  readonly id: string;
  /** RTP encoding names (RFC 3551, RFC 7587), e.g. `opus`, `G722`, `PCMA`, `PCMU`. */
  readonly codecs: readonly string[];
  /** Default off. */
  readonly srtp?: SrtpUse;
}

/** A source address let in without a challenge, and the trunk it stands for. */
export interface EdgeSource {
  readonly address: string;
  readonly trunk: string;
  readonly policy: string;
  /** Where we are registered with the trunk: the user part of our Contact. */
  readonly contactUser?: string;
}

/** A gateway that is reached by a connection. Every Kamailio has one of its own to it. */
export interface EdgeGateway {
  readonly id: string;
  readonly trunk: string;
  readonly transport: 'tcp' | 'tls';
  readonly tls?: GatewayTls;
}

/** Where a name of the config's trunks is: the daemon has asked, so that no Kamailio does. */
export interface EdgeHost {
  /** In lower case. */
  readonly name: string;
  /** Undefined: nobody knows. */
  readonly address: string | undefined;
  /** Of the name where it stands without a port; without this, where it has one. */
  readonly port?: number;
}

interface GatewayWay {
  readonly id: string;
  readonly transport: Transport;
}

/** The way to a gateway, as the parameter of a Route has it. */
export function gatewayFlow({ id, transport }: GatewayWay): string {
  return `gw~${transport}~${id}`;
}

/** The Route by which the edge sends a request from inside to a gateway that has a connection. */
export function gatewayRoute(privateVip: string, gateway: GatewayWay): string {
  return `<sip:${privateVip}:${ports.sip};lr;${flowParameter}=${gatewayFlow(gateway)}>`;
}

/** A trunk that we register with. Its calls are let in from any address by the token in our Contact, which nobody else knows. */
export interface EdgeLine {
  readonly trunk: string;
  readonly policy: string;
  readonly contactUser: string;
}

/** A trunk whose calls are let in from any address by digest. */
export interface EdgeLogin {
  readonly user: string;
  /** MD5 of `user:realm:secret`, hex. */
  readonly ha1: string;
  readonly trunk: string;
  readonly policy: string;
}

/** A subscriber who authenticates by digest. Only the digest leaves the daemon (RFC 2617 §3.2.2.2 A1 hashed). */
export interface EdgeSubscriber {
  readonly user: string;
  readonly realm: string;
  /** MD5 of `user:realm:secret`, hex. */
  readonly ha1: string;
  /** SHA-256 of the same (RFC 8760), for the registrars. */
  readonly ha1Sha256: string;
  /** User parts of From that its calls may have, beside `user`. */
  readonly identities: readonly string[];
  readonly policy: string;
}

/** What strangers may do: addresses of which nobody knows anything. */
export interface EdgeDefence {
  /** Requests outside of dialogs per second from one of them. */
  readonly strangerRate: number;
  /** REGISTERs per second from all of them, to one Kamailio. */
  readonly strangerRegisters: number;
  /** Wrong passwords in a minute that get an address banned. */
  readonly mostFailures: number;
  readonly banSeconds: number;
}

/** A source that no Kamailio hears. */
export interface EdgeBan {
  /** An address, or `ADDRESS/USER`: one user at an address that others have proved to be theirs too. */
  readonly source: string;
  readonly reason: string;
  /** s since 1970. */
  readonly untilSeconds: number;
}

/** An INVITE's Call-ID decides which of so many lots it has drawn. */
export const lots = 128;

/** All sources that are not counted by themselves, as they do not call often enough. */
export const quietSources = '*';

/** Of one source's calls to one call node: a trunk's address as `trunk:NAME@ADDRESS`, or `subscriber:NAME`. */
export interface SourceCount {
  readonly node: string;
  /** Undefined for all of them together. */
  readonly source?: string;
  readonly count: number;
}

/** INVITEs outside of dialogs, since its start or since the source last fell silent. */
export interface OfferedCalls {
  readonly offered: readonly SourceCount[];
  readonly refused: readonly SourceCount[];
}

/** How many of all `lots` are refused of those that a source sends for a node. */
export interface ShedShare {
  readonly node: string;
  readonly source: string;
  readonly lots: number;
}

/** What the edge shows to phones on TLS: PEM, the certificate with those that signed it after it. */
export interface EdgeCertificate {
  readonly certificate: string;
  readonly key: string;
}

export interface EdgeNode {
  readonly name: string;
  readonly farm: FarmName;
  readonly address: string;
  readonly state: NodeState;
}

/** All that every Kamailio must know and hold equal. Instances are derived from `nodes` of farm kamailio. */
export interface EdgeState {
  readonly nodes: readonly EdgeNode[];
  readonly engines: readonly EngineIncarnation[];
  readonly sources: readonly EdgeSource[];
  readonly lines: readonly EdgeLine[];
  readonly logins: readonly EdgeLogin[];
  readonly gateways: readonly EdgeGateway[];
  readonly hosts?: readonly EdgeHost[];
  /** Addresses that are never limited and never banned, beside the sources. */
  readonly allowed: readonly string[];
  readonly defence: EdgeDefence;
  /** Numbers whose calls are never refused for want of room. */
  readonly emergency: readonly string[];
  readonly subscribers: readonly EdgeSubscriber[];
  readonly policies: readonly TranscodingPolicy[];
  /** Policies that a reload has replaced: calls that were up before bear their ids. */
  readonly formerPolicies?: readonly TranscodingPolicy[];
  /** Policy of a leg for which nothing else names one. */
  readonly defaultPolicy: string;
  /** True where some plugin may allow a transfer: a REFER of a call reaches its node. */
  readonly transfers: boolean;
  /** Names of fenced nodes: nothing they send is passed on, and nothing is sent to them. */
  readonly fenced: readonly string[];
}

/** A row of a dispatcher list as an instance reports it. */
export interface DispatcherRow {
  readonly setid: number;
  readonly destination: string;
  /** Kamailio's flags, e.g. `AP`, `IX`, `DX`. */
  readonly flags: string;
  readonly priority: number;
}

/** One instance's dispatcher list against what it should hold. */
export interface DispatcherReport {
  readonly instance: string;
  readonly reachable: boolean;
  readonly rows: readonly DispatcherRow[];
  /** Differences in words, one per line; empty when equal. */
  readonly drift: readonly string[];
}

/** What one apply did on one instance. */
export interface InstanceReport {
  readonly instance: string;
  /** True when lists and tables were read back and equal what they should be. */
  readonly equal: boolean;
  readonly error?: string;
}

/** How much of what the Kamailios should hold is looked at: `changes` is what has been changed since the last time. */
export type ApplyExtent = 'all' | 'changes';

export interface EdgeFarm {
  /**
   * Makes every running instance hold exactly `state` (lists and tables), one operation at a time per instance, reading
   * back. An instance that is down is reported, a fenced one not even asked, and one that is not up keeps nobody waiting: it may be at an
   * earlier change still. Refuses (DISPATCHER_REFUSED) a state that would leave a
   * set empty or broken; the last good one stays.
   *
   * `changes`: of an instance that was made to hold an earlier state, only what is different now is set, and of that only the lists are read
   * back: a quarter of the work, for who will have all of it compared soon.
   */
  apply(state: EdgeState, extent?: ApplyExtent): Promise<readonly InstanceReport[]>;
  /** Asks every instance for its lists and compares them with the last applied state. Changes nothing. */
  dispatcher(signal?: AbortSignal): Promise<readonly DispatcherReport[]>;
  /** True when `instance` answers and holds the last applied state: only then may it get traffic. */
  ready(instance: string, signal?: AbortSignal): Promise<boolean>;
  /** Pins an unanswered dialog's Call-ID to a node on every instance, for `seconds`. */
  pin(callId: string, node: string, seconds: number): Promise<void>;
  unpin(callId: string): Promise<void>;
  /** What one instance bans now. */
  bans(instance: string): Promise<readonly EdgeBan[]>;
  ban(instance: string, ban: EdgeBan): Promise<void>;
  unban(instance: string, source: string): Promise<void>;
  /** The address has proved to be a phone's: it is not limited for so long. */
  trust(instance: string, address: string, seconds: number): Promise<void>;
  /** What is for the flow `from` is for `to` now: the phone has come back by another connection. */
  move(instance: string, from: string, to: string): Promise<void>;
  /** What has come to one instance for each call node: by source, or of so many sources that they cannot be told one by one, in all. */
  offeredCalls(instance: string, nodes: readonly string[]): Promise<OfferedCalls>;
  /** Refuses new calls for so long, unless it is told again. */
  shed(instance: string, share: ShedShare, seconds: number): Promise<void>;
  /**
   * Has every instance that runs show this to phones on TLS from now on, and sees that it does. Throws RPC_REFUSED or
   * RPC_TIMEOUT for those that do not.
   */
  certify(certificate: EdgeCertificate): Promise<void>;
  /** Counters of one instance since its start, by name, e.g. `received` (SIP messages), `refused.signature`. */
  counters(instance: string): Promise<Readonly<Record<string, number>>>;
}
