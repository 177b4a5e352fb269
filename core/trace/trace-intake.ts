// Turns HEP datagrams into entries of the trace log: who may send, what is refused and why, whose leg a message names.
import { timingSafeEqual } from 'node:crypto';
import { ports } from '../farm/farm-plan.js';
import type { DialogLedger } from '../ledger/dialog-ledger.js';
import type { LegCallIds } from './leg-call-ids.js';
import type { RawRing } from './raw-ring.js';
import { decodeHep, sipPayload, type HepEnd, type HepPacket, type HepRefusal } from './hep-packet.js';
import { scanSip, type SipMessage } from './sip-scanner.js';
import type { TraceFarm, TraceInstance } from './trace-farm.js';
import type { TraceLog } from './trace-log.js';
import type { TraceMessage } from './trace-message.js';

/** Why a datagram is not in the trace. `notSip`: another kind of payload, or no start line or Call-ID in it. */
export type TraceRefusal = HepRefusal | 'unknownSender' | 'wrongKey' | 'notSip';

export interface IntakeCounters {
  readonly received: number;
  /** Became an entry of the log. */
  readonly decoded: number;
  readonly refused: Readonly<Record<TraceRefusal, number>>;
}

export interface IntakeOptions {
  readonly farm: TraceFarm;
  /** Shared with the Kamailios (`hep_auth_key`); undefined: none is asked for. */
  readonly authKey?: string | undefined;
  /** Where whole messages are kept; undefined: nowhere. */
  readonly raw?: RawRing | undefined;
  /** Told of what an Asterisk sent or was sent. */
  readonly ledger?: DialogLedger | undefined;
  /** Told once per leg, in order. */
  readonly onLeg: (legId: string, callId: string) => void;
}

const legHeader = 'x-holdfast-leg';
const legId = /^[\w.:-]{1,128}$/;
/** Longest text kept of a field; a Call-ID has to stay whole to be found, within reason. */
const longest = { field: 256, callId: 4096 };

export class TraceIntake {
  readonly #log: TraceLog;
  readonly #legs: LegCallIds;
  readonly #options: IntakeOptions;
  readonly #authKey: Buffer | undefined;
  #instances = new Map<string, TraceInstance>();
  #asterisks = new Map<string, string>();
  #received = 0;
  #decoded = 0;
  readonly #refused: Record<TraceRefusal, number> = {
    notHep: 0,
    truncated: 0,
    overlong: 0,
    badChunk: 0,
    missingChunk: 0,
    unknownSender: 0,
    wrongKey: 0,
    notSip: 0,
  };

  constructor(log: TraceLog, legs: LegCallIds, options: IntakeOptions) {
    this.#log = log;
    this.#legs = legs;
    this.#options = options;
    this.#authKey = options.authKey === undefined ? undefined : Buffer.from(options.authKey);
    this.setFarm(options.farm);
  }

  get counters(): IntakeCounters {
    return { received: this.#received, decoded: this.#decoded, refused: { ...this.#refused } };
  }

  setFarm(farm: TraceFarm): void {
    this.#instances = new Map(
      farm.instances.flatMap(instance =>
        instance.addresses.flatMap(address => [
          [address, instance] as const,
          ...(instance.captureId === undefined ? [] : [[`${address} ${instance.captureId}`, instance] as const]),
        ]),
      ),
    );
    this.#asterisks = new Map(Object.entries(farm.asterisks));
  }

  /** Takes one datagram from the address it came from. Never throws; what is refused is counted. */
  take(datagram: Buffer, sender: string, nowMs: number): void {
    this.#received++;
    const refusal = this.#take(datagram, sender, nowMs);
    if (refusal) this.#refused[refusal]++;
    else this.#decoded++;
  }

  #take(datagram: Buffer, sender: string, nowMs: number): TraceRefusal | undefined {
    if (!this.#instances.has(sender)) return 'unknownSender';
    const decoded = decodeHep(datagram);
    if (!decoded.ok) return decoded.refusal;
    const { packet } = decoded;
    if (!this.#keyFits(packet.authKey)) return 'wrongKey';
    const instance = this.#instances.get(`${sender} ${packet.captureId ?? ''}`) ?? this.#instances.get(sender);
    const sip = packet.payloadKind === sipPayload ? scanSip(packet.payload) : undefined;
    if (!sip || !instance) return 'notSip';
    this.#log.add(describe(packet, sip, instance, this.#options.raw?.add(packet.payload) ?? null), nowMs);
    this.#learnLeg(packet, sip);
    this.#tellLedger(packet, sip, instance);
    return undefined;
  }

  /** What passed between an Asterisk and a Kamailio, and what a Kamailio answered outside in an Asterisk's stead. */
  #tellLedger({ source, destination, atMs }: HepPacket, sip: SipMessage, instance: TraceInstance): void {
    const { ledger } = this.#options;
    if (!ledger) return;
    const fromNode = this.#nodeOf(source);
    const toNode = this.#nodeOf(destination);
    const isOut = sip.kind === 'response' && instance.addresses.includes(source.address);
    if (fromNode !== undefined || toNode !== undefined || isOut) ledger.take(sip, { fromNode, toNode, atMs });
  }

  #nodeOf({ address, port }: HepEnd): string | undefined {
    return port === ports.sip ? this.#asterisks.get(address) : undefined;
  }

  #keyFits(key: Buffer | undefined): boolean {
    const wanted = this.#authKey;
    if (!wanted) return true;
    return key?.length === wanted.length && timingSafeEqual(key, wanted);
  }

  /** Only an initial INVITE that comes from a node of ours names a leg. */
  #learnLeg({ source }: HepPacket, sip: SipMessage): void {
    const leg = sip.holdfast.get(legHeader);
    if (leg === undefined || !legId.test(leg) || !this.#asterisks.has(source.address)) return;
    if (sip.kind !== 'request' || sip.method !== 'INVITE' || sip.to?.parameters.has('tag')) return;
    const callId = clip(sip.callId, longest.callId);
    if (this.#legs.add(leg, callId)) this.#options.onLeg(leg, callId);
  }
}

function describe(packet: HepPacket, sip: SipMessage, instance: TraceInstance, rawAt: number | null): TraceMessage {
  const [viaBranch, nextViaBranch] = sip.topBranches;
  return {
    atMs: packet.atMs,
    instance: instance.name,
    direction: instance.addresses.includes(packet.source.address) ? 'out' : 'in',
    source: formatEnd(packet.source),
    destination: formatEnd(packet.destination),
    callId: clip(sip.callId, longest.callId),
    startLine: clip(sip.startLine),
    method: clip(sip.method),
    status: sip.status ?? null,
    reason: clip(sip.reason),
    cseq: sip.cseq ?? null,
    fromTag: clip(sip.from?.parameters.get('tag')),
    toTag: clip(sip.to?.parameters.get('tag')),
    viaBranch: clip(viaBranch),
    nextViaBranch: clip(nextViaBranch),
    sizeBytes: packet.payload.length,
    contentType: sip.body.length > 0 ? clip(sip.contentType ?? '') : null,
    rawAt,
  };
}

function clip(text: string, most?: number): string;
function clip(text: string | undefined, most?: number): string | null;
function clip(text: string | undefined, most = longest.field): string | null {
  return text === undefined ? null : text.length <= most ? text : text.slice(0, most);
}

function formatEnd({ address, port }: HepEnd): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
