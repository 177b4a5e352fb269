// Lets HEP datagrams wait while the daemon needs the cores for something more urgent than to read them; none is lost or overtaken.

export interface Datagram {
  readonly data: Buffer;
  readonly sender: string;
  /** When it arrived, ms of performance.now(). */
  readonly atMs: number;
}

/** More than this are not worth waiting with: some 40 MB. */
const mostHeld = 20_000;
/** How many are taken before the socket is looked at again. */
const takenAtOnce = 200;

export class Backlog {
  readonly #take: (datagram: Datagram) => void;
  #waiting: Datagram[] = [];
  #holdUntilMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #draining = false;

  constructor(take: (datagram: Datagram) => void) {
    this.#take = take;
  }

  /** Has begun to take what waited, and goes on in the next turns. */
  get isDraining(): boolean {
    return this.#draining;
  }

  arrived(datagram: Datagram): void {
    if (this.#waiting.length === 0 && datagram.atMs >= this.#holdUntilMs) {
      this.#take(datagram);
      return;
    }
    this.#waiting.push(datagram);
    if (this.#waiting.length >= mostHeld) this.flush();
  }

  /** What arrives from now on waits, until `release`, a `flush`, or `mostMs` have passed. */
  hold(nowMs: number, mostMs: number): void {
    this.#holdUntilMs = nowMs + mostMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.release(), mostMs);
  }

  release(): void {
    this.#holdUntilMs = 0;
    clearTimeout(this.#timer);
    if (!this.#draining) this.#drain();
  }

  /** Takes all that waits, at once: somebody asks for what it says. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const datagram of waiting) this.#take(datagram);
  }

  #drain(): void {
    for (const datagram of this.#waiting.splice(0, takenAtOnce)) this.#take(datagram);
    this.#draining = this.#waiting.length > 0;
    if (this.#draining) setImmediate(() => this.#drain());
  }
}
