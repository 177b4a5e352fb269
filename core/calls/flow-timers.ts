// The clocks of a running flow: its step's timer, and the end of a tone or a silence. The record says when; this fires.
import type { FlowRun } from '../flows/flow-run.js';
import type { RunEvent } from '../flows/interpreter.js';

type Which = Extract<RunEvent, { type: 'timer' }>['which'];

/** setTimeout's own limit is 24 days; a day is the most that a call may last. */
export class FlowTimers {
  readonly #fire: (event: RunEvent) => void;
  readonly #set = new Map<Which, { readonly atMs: number; readonly timer: NodeJS.Timeout }>();

  constructor(fire: (event: RunEvent) => void) {
    this.#fire = fire;
  }

  /** As this flow has them now; null: none. */
  set(run: FlowRun | null): void {
    const runs = run !== null && run.pausedMs === null ? run : null;
    this.#one('step', runs?.timer?.atMs ?? null);
    this.#one('item', runs?.playback?.untilMs ?? null);
  }

  #one(which: Which, atMs: number | null): void {
    const before = this.#set.get(which);
    if ((before?.atMs ?? null) === atMs) return;
    clearTimeout(before?.timer);
    this.#set.delete(which);
    if (atMs === null) return;
    const fire = (): void => this.#fire({ type: 'timer', which, atMs });
    this.#set.set(which, { atMs, timer: setTimeout(fire, Math.max(0, atMs - Date.now())) });
  }
}
