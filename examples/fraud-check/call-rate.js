// How often each caller was let through within the last minute.

export class CallRate {
  #most;
  #callsOf = new Map();

  /** @param {number} most Calls a minute that one caller may make. */
  constructor(most) {
    this.#most = most;
  }

  /**
   * Counts a call, unless it is one too many.
   * @param {string} caller
   */
  allows(caller) {
    const calls = this.#recent(caller);
    if (calls.length >= this.#most) return false;
    this.#callsOf.set(caller, [...calls, Date.now()]);
    return true;
  }

  /** Callers who are remembered. */
  get callers() {
    return this.#callsOf.size;
  }

  /** Forgets who has not called within the last minute. */
  sweep() {
    for (const caller of this.#callsOf.keys()) {
      if (this.#recent(caller).length === 0) this.#callsOf.delete(caller);
    }
  }

  /** @param {string} caller */
  #recent(caller) {
    const since = Date.now() - 60_000;
    return (this.#callsOf.get(caller) ?? []).filter((/** @type {number} */ at) => at > since);
  }
}
