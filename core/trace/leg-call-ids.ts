// The SIP Call-IDs of the legs that the farm originated, by leg id; of the most recent ones only.

export class LegCallIds {
  readonly #most: number;
  readonly #callIds = new Map<string, string>();

  /** Keeps `most` legs; the oldest go first. */
  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#callIds.size;
  }

  /** True when the leg was not known. The first Call-ID of a leg stays its Call-ID. */
  add(legId: string, callId: string): boolean {
    if (this.#callIds.has(legId)) return false;
    this.#callIds.set(copyOf(legId), copyOf(callId));
    if (this.#callIds.size > this.#most) {
      const [oldest] = this.#callIds.keys();
      if (oldest !== undefined) this.#callIds.delete(oldest);
    }
    return true;
  }

  get(legId: string): string | undefined {
    return this.#callIds.get(legId);
  }
}

/** A piece cut out of a message's text would keep the whole text in memory. */
function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
