// A gateway that has not said a word to an INVITE: its leg is given up early, so that the next gateway is tried.
import { targetOf, type CallRecord, type LegRecord } from '../calls/call-record.js';
import type { CallEvent } from '../calls/call-machine.js';

export interface SilentGatewaysOptions {
  /** How long a gateway of this trunk may be silent; undefined: as long as it may ring. */
  readonly patienceMs: (trunk: string) => number | undefined;
  readonly record: (callId: string) => CallRecord | undefined;
  /** What the Kamailios have seen of a leg's dialog; undefined: not even its INVITE, so nobody can tell. */
  readonly heard: (leg: LegRecord) => Promise<boolean | undefined>;
  readonly tell: (callId: string, event: CallEvent) => void;
  /** Told of each gateway that was silent to a call, or took none: `host:port`. */
  readonly failed: (gateway: string) => void;
}

/** An Asterisk tells nothing of a 100: the wire does. */
export class SilentGateways {
  readonly #options: SilentGatewaysOptions;

  constructor(options: SilentGatewaysOptions) {
    this.#options = options;
  }

  changed(before: CallRecord, after: CallRecord): void {
    for (const leg of after.legs.slice(before.legs.length)) {
      const trunk = targetOf(after, leg)?.trunk;
      const patienceMs = trunk === undefined ? undefined : this.#options.patienceMs(trunk);
      if (patienceMs === undefined) continue;
      setTimeout(() => void this.#look(after.id, leg.id), patienceMs).unref();
    }
    for (const leg of before.legs) this.#noteFailure(leg, after);
  }

  /** One that a call found out is asked at once whether it lives: the next call need not try it. */
  #noteFailure(before: LegRecord, call: CallRecord): void {
    if (before.sipStatus !== null || before.direction === 'inbound') return;
    const leg = call.legs.find(({ id }) => id === before.id);
    if (leg?.sipStatus !== 503 && leg?.sipStatus !== 408) return;
    if (targetOf(call, leg)?.trunk !== undefined) this.#options.failed(leg.peer.slice(leg.peer.indexOf('@') + 1));
  }

  async #look(callId: string, legId: string): Promise<void> {
    const leg = this.#waiting(callId, legId);
    if (!leg || (await this.#options.heard(leg)) !== false) return;
    if (this.#waiting(callId, legId)) this.#options.tell(callId, { type: 'legSilent', leg: legId });
  }

  #waiting(callId: string, legId: string): LegRecord | undefined {
    return this.#options.record(callId)?.legs.find(({ id, state }) => id === legId && state === 'trying');
  }
}
