// Rooms that last only so long: a timer each, set anew from the record after a restart of the daemon.
import type { ConferenceRecord } from './conference-record.js';

export class RoomDeadlines {
  readonly #end: (id: string, reason: string) => void;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(end: (id: string, reason: string) => void) {
    this.#end = end;
  }

  changed(before: ConferenceRecord | undefined, after: ConferenceRecord | undefined): void {
    if (!before && after) this.set(after);
    if (!before || after) return;
    clearTimeout(this.#timers.get(before.id));
    this.#timers.delete(before.id);
  }

  set({ id, createdMs, policy: { maxSeconds } }: ConferenceRecord): void {
    if (maxSeconds === 0) return;
    const end = (): void => this.#end(id, `it has lasted ${maxSeconds} s, the most that its room allows`);
    const leftMs = Math.max(0, createdMs + maxSeconds * 1000 - Date.now());
    this.#timers.set(id, setTimeout(end, leftMs).unref());
  }
}
