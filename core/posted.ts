// Lets a worker thread sleep without keeping those waiting who speak to it: most of what wakes a thread is not worth it by itself.

/**
 * How many messages one thread has posted to the other, in memory of both: who sleeps is woken by the next, and does not fall
 * asleep over one that it has not handled.
 */
export class Posted {
  readonly #count: Int32Array;
  #handled = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#count = new Int32Array(memory);
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  }

  /** After each message. */
  note(): void {
    Atomics.add(this.#count, 0, 1);
    Atomics.notify(this.#count, 0);
  }

  handled(): void {
    this.#handled = (this.#handled + 1) | 0;
  }

  /** Blocks this thread until the next message, or for so long. */
  nap(ms: number): void {
    Atomics.wait(this.#count, 0, this.#handled, ms);
  }
}
