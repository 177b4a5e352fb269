// Works an outbox off: at once when something comes in, and by the clock, with growing waits, while that fails.

export interface Waits {
  readonly first: number;
  readonly most: number;
}

export interface OutboxLoopOptions {
  /** Works off all that waits. Throws where it cannot be done now. */
  readonly work: () => Promise<void>;
  /** Told of each failure, and how long the next try waits. */
  readonly failed: (error: unknown, waitMs: number) => void;
  /** Told once when it works again. */
  readonly recovered: () => void;
  readonly retryMs: Waits;
  /** The least wait that an error asks for, ms. */
  readonly leastWaitMs?: (error: unknown) => number;
  /** How long what came in waits for more to be worked off with it, ms. Default 0. */
  readonly gatherMs?: number;
}

export class OutboxLoop {
  readonly #options: OutboxLoopOptions;
  #running: Promise<void> | undefined;
  #again = false;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #gathering: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: OutboxLoopOptions) {
    this.#options = options;
  }

  /** Something came in. While it fails, the next try comes by the clock and not with each record. */
  wake(): void {
    if (this.#failures > 0 || this.#closed) return;
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      this.#start();
    }, this.#options.gatherMs ?? 0);
  }

  /** Tries now, whatever failed before, and resolves when nothing runs any more. */
  async run(): Promise<void> {
    this.#start();
    await this.idle();
  }

  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** No try by the clock any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#gathering);
  }

  #start(): void {
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#retry);
    this.#running = this.#attempt().finally(() => {
      this.#running = undefined;
      if (this.#again && this.#failures === 0) this.#start();
    });
  }

  async #attempt(): Promise<void> {
    try {
      this.#again = false;
      await this.#options.work();
      if (this.#failures > 0) this.#options.recovered();
      this.#failures = 0;
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    const { retryMs, leastWaitMs, failed } = this.#options;
    const backOffMs = Math.min(retryMs.most, retryMs.first * 2 ** Math.min(this.#failures, 20));
    const waitMs = Math.max(backOffMs, leastWaitMs?.(error) ?? 0);
    this.#failures++;
    failed(error, waitMs);
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.#start(), waitMs);
    this.#retry.unref();
  }
}
