// What waits for its turn: at each turn the one of the highest priority goes, however late it came.
import { Pacer } from './pacer.js';

export interface Waiting {
  readonly priority: number;
  /** False where it waits for nothing any more: it is then left out, and takes nobody's turn. */
  readonly isWanted: () => boolean;
}

export interface PacedQueueOptions<T> {
  /** How many a second may pass now: asked at each turn, as a reload may change it. */
  readonly perSecond: () => number;
  /** False while none may pass; whoever makes it true again calls `drain`. */
  readonly isOpen: () => boolean;
  readonly pass: (one: T) => void;
}

export class PacedQueue<T extends Waiting> {
  readonly #options: PacedQueueOptions<T>;
  readonly #pacer = new Pacer();
  /** The next one first. */
  #waiting: T[] = [];
  #draining = false;

  constructor(options: PacedQueueOptions<T>) {
    this.#options = options;
  }

  add(all: readonly T[]): void {
    this.#waiting.push(...all);
    this.#waiting.sort((a, b) => b.priority - a.priority);
    void this.drain();
  }

  /** Takes out those of which this is true. */
  drop(isOver: (one: T) => boolean): void {
    this.#waiting = this.#waiting.filter(one => !isOver(one));
  }

  /** Lets pass what may. Nobody holds a turn before it has come: who is next is asked when one goes. */
  async drain(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    while (this.#options.isOpen() && this.#first()) {
      await this.#pacer.turn(this.#options.perSecond());
      const next = this.#first();
      if (!next) continue;
      this.#waiting.shift();
      this.#options.pass(next);
    }
    this.#draining = false;
  }

  #first(): T | undefined {
    while (this.#waiting[0]?.isWanted() === false) this.#waiting.shift();
    return this.#waiting[0];
  }
}
