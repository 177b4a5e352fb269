// How late this process's own event loop is.
import { performance } from 'node:perf_hooks';

const everyMs = 100;

export class LoopLag {
  #samplesMs: number[] = [];
  #timer: NodeJS.Timeout | undefined;

  start(): void {
    let dueMs = performance.now() + everyMs;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#samplesMs.push(Math.max(0, now - dueMs));
      dueMs = now + everyMs;
    }, everyMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** The median since the last look: one long turn is none. */
  lookMs(): number {
    const sorted = this.#samplesMs.sort((a, b) => a - b);
    this.#samplesMs = [];
    return sorted[Math.floor(sorted.length / 2)] ?? 0;
  }
}
