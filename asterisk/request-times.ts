// How long one Asterisk takes to answer requests now: those that were answered since it was last looked at, and those that wait.
import { performance } from 'node:perf_hooks';
import type { RequestDelay } from '../core/ports/asterisk.js';

/** Where nobody looks, nobody needs more. */
const mostKept = 10_000;

export class RequestTimes {
  readonly #waitingSinceMs = new Set<{ readonly sinceMs: number }>();
  #tookMs: number[] = [];

  async time<T>(request: () => Promise<T>): Promise<T> {
    const waiting = { sinceMs: performance.now() };
    this.#waitingSinceMs.add(waiting);
    try {
      return await request();
    } finally {
      this.#waitingSinceMs.delete(waiting);
      if (this.#tookMs.length < mostKept) this.#tookMs.push(performance.now() - waiting.sinceMs);
    }
  }

  /** Of those since the last look. */
  look(): RequestDelay {
    const now = performance.now();
    const all = [...this.#tookMs, ...[...this.#waitingSinceMs].map(({ sinceMs }) => now - sinceMs)].sort(
      (a, b) => a - b,
    );
    this.#tookMs = [];
    return { requests: all.length, medianMs: all[Math.floor(all.length / 2)] ?? 0 };
  }
}
