// All calls that there are, found by their id, by a leg of theirs, by its SIP Call-ID or by the node that has it.
import { callerLeg, echoPeer, isLive, type CallRecord, type LegRecord } from './call-record.js';
import type { LiveCall } from './live-call.js';
import type { CallLeg } from './transfer-question.js';

export class CallBook {
  readonly #calls = new Map<string, LiveCall>();
  /** Caller's channel id and SIP Call-ID → call. */
  readonly #callOfCaller = new Map<string, string>();
  readonly #wireCallId: (legId: string) => string | undefined;

  /** `wireCallId`: the SIP Call-ID of a leg as seen on the wire, if it was. */
  constructor(wireCallId: (legId: string) => string | undefined) {
    this.#wireCallId = wireCallId;
  }

  add(live: LiveCall): void {
    this.#calls.set(live.record.id, live);
    for (const key of callerKeys(live.record)) this.#callOfCaller.set(key, live.record.id);
  }

  delete(call: CallRecord): void {
    this.#calls.delete(call.id);
    for (const key of callerKeys(call)) this.#callOfCaller.delete(key);
  }

  get(callId: string): LiveCall | undefined {
    return this.#calls.get(callId);
  }

  all(): Iterable<LiveCall> {
    return this.#calls.values();
  }

  get size(): number {
    return this.#calls.size;
  }

  /** The call as it is now; undefined when it is over. */
  record(callId: string): CallRecord | undefined {
    return this.#calls.get(callId)?.record;
  }

  list(): CallRecord[] {
    return [...this.#calls.values()].map(live => live.record);
  }

  /** The call a leg belongs to: the legs we originate are named `<call id>-<n>`. */
  ofLeg(legId: string): LiveCall | undefined {
    return this.#calls.get(this.#callOfCaller.get(legId) ?? legId.slice(0, Math.max(0, legId.lastIndexOf('-'))));
  }

  leg(legId: string): LegRecord | undefined {
    return this.ofLeg(legId)?.record.legs.find(one => one.id === legId);
  }

  /** Id of the call whose caller's INVITE had this Call-ID. */
  idOfCaller(sipCallId: string): string | undefined {
    return this.#callOfCaller.get(sipKey(sipCallId));
  }

  isCaller(legId: string): boolean {
    const call = this.ofLeg(legId);
    return call !== undefined && callerLeg(call.record).id === legId;
  }

  /** The SIP Call-ID of a leg. */
  sipCallIdOf({ id, sipCallId }: Pick<LegRecord, 'id' | 'sipCallId'>): string | undefined {
    return sipCallId ?? this.#wireCallId(id);
  }

  legOfDialog(sipCallId: string): CallLeg | undefined {
    for (const call of this.list()) {
      const leg = call.legs.find(one => this.sipCallIdOf(one) === sipCallId);
      if (leg) return { call, leg };
    }
    return undefined;
  }

  /** SIP Call-IDs of all legs; undefined while one that should have one is not known. */
  sipCallIds(): ReadonlySet<string> | undefined {
    const legs = this.list().flatMap(call => call.legs.filter(leg => isLive(leg) && leg.peer !== echoPeer));
    const known = legs.map(leg => this.sipCallIdOf(leg));
    return known.includes(undefined) ? undefined : new Set(known as string[]);
  }

  /** Inbound dialogs whose INVITE has no final response yet. */
  unanswered(): { readonly sipCallId: string; readonly node: string }[] {
    return this.list().flatMap(call => {
      const { node, sipCallId } = callerLeg(call);
      return sipCallId !== null && call.answeredMs === null ? [{ sipCallId, node }] : [];
    });
  }

  /** Calls with a live leg on this node. */
  withLegsOn(node: string): CallRecord[] {
    return this.list().filter(call => call.legs.some(leg => leg.node === node && isLive(leg)));
  }

  /** Nodes that live legs are on, or on their way to; also such as the config has no more. */
  nodes(): ReadonlySet<string> {
    return new Set(this.list().flatMap(call => call.legs.flatMap(leg => (isLive(leg) ? [leg.node] : []))));
  }

  /** Live legs that are on a node, or on their way there. */
  liveLegsOn(node: string): LegRecord[] {
    return this.list().flatMap(call => call.legs.filter(leg => leg.node === node && isLive(leg)));
  }

  /** Live legs that are to be on a node. One that was to be hung up, and is not as its node was too busy to hear of it, is not. */
  keptLegsOn(node: string): LegRecord[] {
    return this.liveLegsOn(node).filter(leg => !leg.ending || this.isUnderWay(leg));
  }

  /** True while something is under way that may end with a leg's channel not being there, or not yet. */
  isUnderWay(leg: LegRecord): boolean {
    return leg.recovering !== null || (this.ofLeg(leg.id)?.isDialling(leg.id) ?? false);
  }
}

function sipKey(sipCallId: string): string {
  return `sip:${sipCallId}`;
}

function callerKeys(call: CallRecord): string[] {
  const caller = callerLeg(call);
  return [caller.id, ...(caller.sipCallId === null ? [] : [sipKey(caller.sipCallId)])];
}
