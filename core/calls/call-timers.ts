// The clocks of one call: of each leg's ringing, of the limit that ends it, of its flow's step, and of a tone or a silence. The
// record says when; this fires.
import type { CallEvent } from './call-events.js';
import type { CallRecord } from './call-record.js';

/** setTimeout's own limit is 24 days; a day is the most that a call may last. */
export class CallTimers {
  readonly #fire: (event: CallEvent) => void;
  readonly #set = new Map<string, { readonly atMs: number; readonly timer: NodeJS.Timeout }>();

  constructor(fire: (event: CallEvent) => void) {
    this.#fire = fire;
  }

  /** As this record has them now. */
  set({ legs, deadline, run, ending }: CallRecord): void {
    this.#one('deadline', ending ? null : deadline?.atMs, atMs => ({ type: 'deadline', atMs }));
    const flow = ending || run?.pausedMs !== null ? null : run;
    const flowAtMs = { step: flow?.timer?.atMs, item: flow?.playback?.untilMs };
    for (const which of ['step', 'item'] as const)
      this.#one(which, flowAtMs[which], atMs => ({ type: 'flow', event: { type: 'timer', which, atMs } }));
    for (const { id: leg, state, ringUntilMs } of legs)
      this.#one(`ringing ${leg}`, state === 'terminated' ? null : ringUntilMs, () => ({ type: 'ringTimeout', leg }));
  }

  clear(): void {
    for (const { timer } of this.#set.values()) clearTimeout(timer);
    this.#set.clear();
  }

  #one(key: string, atMs: number | null | undefined, event: (atMs: number) => CallEvent): void {
    const before = this.#set.get(key);
    if (before?.atMs === (atMs ?? undefined)) return;
    clearTimeout(before?.timer);
    this.#set.delete(key);
    if (atMs === null || atMs === undefined) return;
    const timer = setTimeout(() => this.#fire(event(atMs)), Math.max(0, atMs - Date.now()));
    this.#set.set(key, { atMs, timer });
  }
}
