// Whole messages in a memory of fixed size, outside of the garbage collector's: the newest take the place of the oldest.

export class RawRing {
  readonly #memory: Buffer;
  /** Bytes ever given out, those left empty at the end of a round included. */
  #given = 0;

  /** `bytes` 0: nothing is kept. Memory that no message was put in yet is not taken from the machine. */
  constructor(bytes: number) {
    this.#memory = Buffer.allocUnsafeSlow(bytes);
  }

  /** Keeps a copy; its place, by which it is found again, or null for one that does not fit. */
  add(message: Buffer): number | null {
    const size = this.#memory.length;
    if (message.length > size || message.length === 0) return null;
    const left = size - (this.#given % size);
    const place = message.length <= left ? this.#given : this.#given + left;
    message.copy(this.#memory, place % size);
    this.#given = place + message.length;
    return place;
  }

  /** A copy of the message of that place and length; undefined once others have taken it. */
  get(place: number, length: number): Buffer | undefined {
    const size = this.#memory.length;
    if (length === 0 || place + length > this.#given || this.#given - place > size) return undefined;
    return Buffer.from(this.#memory.subarray(place % size, (place % size) + length));
  }
}
