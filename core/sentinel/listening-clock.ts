// The time in which the sentinel listened: silence is measured by it, as what was not listened to proves nothing.

/** A turn is a little late always, ms. */
const slackMs = 5;

/** Stands still between turns: its thread may be held up anywhere, also in the middle of one, with some servers judged and some not. */
export class ListeningClock {
  readonly #everyMs: number;
  readonly #monotonicMs: () => number;
  #turnedMs: number;
  #turnedAtMs = Date.now();
  #nowMs: number;

  /** A turn is due every so many ms. */
  constructor(everyMs: number, monotonicMs = (): number => performance.now()) {
    this.#everyMs = everyMs;
    this.#monotonicMs = monotonicMs;
    this.#turnedMs = this.#nowMs = monotonicMs();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** When the last turn began, ms since 1970: what is heard before the next one may have come at any time since. */
  get turnedAtMs(): number {
    return this.#turnedAtMs;
  }

  /** Goes on by the time since the last turn, but not by what this one is late: that is given back, ms. */
  turn(): number {
    const passedMs = this.#monotonicMs() - this.#turnedMs;
    this.#turnedMs += passedMs;
    this.#turnedAtMs = Date.now();
    const lateMs = Math.max(0, passedMs - this.#everyMs);
    this.#nowMs += lateMs > slackMs ? this.#everyMs : passedMs;
    return lateMs;
  }
}
