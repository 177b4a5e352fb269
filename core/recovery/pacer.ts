// Lets a number of events pass per second, in order, by a token bucket.

/** How many may pass at once after a pause, as a share of a second's worth. */
const burstSeconds = 0.1;

export class Pacer {
  /** When the next one may pass, ms of the monotonic clock. */
  #nextMs = 0;

  /** Resolves when it is this caller's turn. `perSecond` is what may pass now: a reload may change it. Infinity: no limit. */
  async turn(perSecond: number): Promise<void> {
    if (!Number.isFinite(perSecond)) return;
    const now = performance.now();
    this.#nextMs = Math.max(this.#nextMs, now - burstSeconds * 1000) + 1000 / perSecond;
    const waitMs = this.#nextMs - now;
    if (waitMs > 0) await new Promise(resolve => setTimeout(resolve, waitMs));
  }
}
