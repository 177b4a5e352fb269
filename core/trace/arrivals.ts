// Has HEP read in bursts: the thread sleeps for some ms between them, and whoever asks meanwhile wakes it and waits for what has arrived.

/** No leg's Call-ID, and no copy, is known so much later than it could be. */
const longestNapMs = 10;
/** What the receive buffer has to take while nobody reads: messages in a ms, and what one takes of it with the kernel's own (1 to 2 kB). */
const burst = { perMs: 20, bytes: 4096 };
/** As many datagrams libuv reads from a socket before it looks at anything else (src/unix/udp.c): there may be more. */
const readAtOnce = 32;
/** Under a load that keeps the socket full a question is answered after this, ms. */
const longestReadMs = 20;

/** How long the thread may sleep, ms: half of a receive buffer of this size must do for a burst. */
export function napMsFor(receiveBufferBytes: number): number {
  return Math.min(longestNapMs, Math.floor(receiveBufferBytes / 2 / (burst.perMs * burst.bytes)));
}

interface Waiting {
  readonly work: () => void;
  readonly sinceMs: number;
}

export class Arrivals {
  readonly #nap: () => void;
  #read = 0;
  #waiting: Waiting[] = [];
  #turn: NodeJS.Immediate | undefined;

  /** `nap` is asked for each time when something was read, and no more is there. */
  constructor(nap: () => void) {
    this.#nap = nap;
  }

  /** A datagram was read. */
  arrived(): void {
    this.#read++;
    this.#turn ??= setImmediate(() => this.#endTurn());
  }

  /** Does the work once all is read that had arrived by now, in the order in which it is given. */
  afterwards(work: () => void): void {
    this.#waiting.push({ work, sinceMs: performance.now() });
    this.#turn ??= setImmediate(() => this.#endTurn());
  }

  /** Each turn of the event loop has looked at the socket before. */
  #endTurn(): void {
    this.#turn = undefined;
    const read = this.#read;
    this.#read = 0;
    const isEmpty = read < readAtOnce;
    const nowMs = performance.now();
    while (this.#waiting[0] !== undefined && (isEmpty || nowMs - this.#waiting[0].sinceMs > longestReadMs))
      this.#waiting.shift()?.work();
    if (isEmpty && read > 0) this.#nap();
    else if (this.#waiting.length > 0) this.#turn ??= setImmediate(() => this.#endTurn());
  }
}
