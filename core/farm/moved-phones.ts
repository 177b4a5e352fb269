// Tells every Kamailio of phones that came back by another connection: what belongs to their calls still names the old one.
import type { EdgeFarm } from '../ports/edge.js';

export interface MovedPhonesOptions {
  readonly edge: Pick<EdgeFarm, 'move'>;
  readonly instances: () => readonly string[];
  readonly moves: () => readonly { readonly from: string; readonly to: string }[];
}

/** For instances that did not answer, or are new. */
const everyMs = 1_000;

export class MovedPhones {
  readonly #options: MovedPhonesOptions;
  /** Instance → what it was told. */
  readonly #told = new Map<string, Map<string, string>>();
  #timer: NodeJS.Timeout | undefined;
  #tending: Promise<void> | undefined;
  #again = false;

  constructor(options: MovedPhonesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.tend(), everyMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** It lost its tables. */
  forget(instance: string): void {
    this.#told.delete(instance);
  }

  /** At once, as a phone that has come back may be hung up on a moment later. One run at a time, and one more for what is new meanwhile. */
  tend(): Promise<void> {
    this.#again = true;
    this.#tending ??= this.#tendAll().finally(() => (this.#tending = undefined));
    return this.#tending;
  }

  async #tendAll(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.#tend();
    }
  }

  async #tend(): Promise<void> {
    const wanted = new Map(this.#options.moves().map(({ from, to }) => [from, to]));
    if (wanted.size === 0 && this.#told.size === 0) return;
    await Promise.all(this.#options.instances().map(instance => this.#tell(instance, wanted)));
  }

  async #tell(instance: string, wanted: ReadonlyMap<string, string>): Promise<void> {
    const told = this.#told.get(instance) ?? new Map<string, string>();
    this.#told.set(instance, told);
    // The edge forgets by itself; no flow is ever used again.
    for (const from of told.keys()) if (!wanted.has(from)) told.delete(from);
    for (const [from, to] of wanted) {
      if (told.get(from) === to) continue;
      try {
        await this.#options.edge.move(instance, from, to);
        told.set(from, to);
      } catch {
        // It does not answer: told when it does.
        return;
      }
    }
  }
}
