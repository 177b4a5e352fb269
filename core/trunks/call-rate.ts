// So many calls per second, by a token bucket that holds one second's worth.

export class CallRate {
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#tokens = Math.max(1, perSecond);
    this.#atMs = nowMs;
  }

  /** True where one more may pass now; it is counted with `take`. `perSecond` may be another than before, after a reload. */
  has(perSecond: number, nowMs: number): boolean {
    const most = Math.max(1, perSecond);
    const gained = (Math.max(0, nowMs - this.#atMs) / 1000) * perSecond;
    this.#tokens = Math.min(most, this.#tokens + gained);
    this.#atMs = nowMs;
    return this.#tokens >= 1;
  }

  take(): void {
    this.#tokens -= 1;
  }
}
