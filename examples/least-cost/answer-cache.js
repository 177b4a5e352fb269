// What the service said of each number, for a while; of many numbers those are kept that were asked for last.

export class AnswerCache {
  #keepMs;
  #most;
  /** @type {Map<string, { trunks: string[], at: number }>} */
  #answers = new Map();

  /**
   * @param {number} keepMs How long an answer is fresh.
   * @param {number} most Numbers that are remembered.
   */
  constructor(keepMs, most = 10_000) {
    this.#keepMs = keepMs;
    this.#most = most;
  }

  /** @param {string} number */
  fresh(number) {
    const answer = this.#answers.get(number);
    return answer !== undefined && Date.now() - answer.at < this.#keepMs ? answer.trunks : undefined;
  }

  /**
   * The last answer, however old: better than none.
   * @param {string} number
   */
  last(number) {
    return this.#answers.get(number)?.trunks;
  }

  /**
   * @param {string} number
   * @param {string[]} trunks
   */
  put(number, trunks) {
    // A Map keeps the order in which its keys came: the first is the oldest.
    this.#answers.delete(number);
    this.#answers.set(number, { trunks, at: Date.now() });
    const [oldest] = this.#answers.keys();
    if (oldest !== undefined && this.#answers.size > this.#most) this.#answers.delete(oldest);
  }
}
