// One death of a node that many tests share, as each costs the farm a restart: all set their calls up, then the node dies, then each sees what became of its own.
import type { TestContext } from 'node:test';

/** Sets its calls up, waits for a death, sees what became of them, and may wait for the next one. */
type Scene = (death: () => Promise<void>, t: TestContext) => Promise<void>;

/** For the tests of one `describe` with `concurrency: true`. */
export class SharedDeath {
  readonly #kill: (count: number) => Promise<void>;
  #playing = 0;
  #waiting: (() => void)[] = [];
  #deaths = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** `kill` is called with 0, 1, … when every scene that has not ended waits for that death. */
  constructor(kill: (count: number) => Promise<void>) {
    this.#kill = kill;
  }

  /** What `test()` is to run. */
  scene(play: Scene): (t: TestContext) => Promise<void> {
    this.#playing += 1;
    return async t => {
      try {
        await play(async () => this.#death(), t);
      } finally {
        this.#playing -= 1;
        await this.#look();
      }
    };
  }

  /** Makes one call after the other: a phone takes them as they come. */
  async inTurn<T>(make: () => Promise<T>): Promise<T> {
    const made = this.#turn.then(make);
    this.#turn = made.catch(() => undefined);
    return made;
  }

  async #death(): Promise<void> {
    const died = new Promise<void>(resolve => this.#waiting.push(resolve));
    await this.#look();
    await died;
  }

  async #look(): Promise<void> {
    if (this.#waiting.length < this.#playing || this.#waiting.length === 0) return;
    const bereaved = this.#waiting;
    this.#waiting = [];
    await this.#kill(this.#deaths++);
    for (const go of bereaved) go();
  }
}
