// Tells every Kamailio of phones that came back by another connection: what belongs to their calls still names the old one.
import type { EdgeFarm } from '../ports/edge.js';

export interface MovedPhonesOptions {
  readonly edge: Pick<EdgeFarm, 'move'>;
  readonly moves: () => readonly { readonly from: string; readonly to: string }[];
}

/** For instances that did not answer. */
const everyMs = 1_000;
/** Requests to one instance at a time: after the death of a Kamailio all of its phones have moved. */
const atOnce = 16;

/** What one Kamailio was told, and is being told. */
interface Told {
  readonly moves: Map<string, string>;
  telling: Promise<void> | undefined;
  again: boolean;
  /** It has had all that there was. */
  whole: boolean;
}

export class MovedPhones {
  readonly #options: MovedPhonesOptions;
  /** By instance. */
  readonly #told = new Map<string, Told>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MovedPhonesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.tellAll(), everyMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** It may have lost its tables: it hears of nothing more until `tell`. */
  forget(instance: string): void {
    this.#told.delete(instance);
  }

  /**
   * Tells an instance all that it has not heard of, and from now on what is new. Rejects where it does not answer. One run at a time
   * for each, and one more for what is new meanwhile.
   */
  tell(instance: string): Promise<void> {
    const told = this.#told.get(instance) ?? { moves: new Map(), telling: undefined, again: false, whole: false };
    this.#told.set(instance, told);
    told.again = true;
    told.telling ??= this.#tellUntilQuiet(instance, told).finally(() => (told.telling = undefined));
    return told.telling;
  }

  /** True from its first `tell` that came to an end; without it, an instance would refuse what goes to those phones (430). */
  knows(instance: string): boolean {
    return this.#told.get(instance)?.whole ?? false;
  }

  /** At once, as a phone that has come back may be hung up on a moment later. One that does not answer is told when it does. */
  async tellAll(): Promise<void> {
    await Promise.allSettled([...this.#told.keys()].map(instance => this.tell(instance)));
  }

  async #tellUntilQuiet(instance: string, told: Told): Promise<void> {
    while (told.again) {
      told.again = false;
      await this.#tellOnce(instance, told.moves);
    }
    told.whole = true;
  }

  async #tellOnce(instance: string, moves: Map<string, string>): Promise<void> {
    const wanted = new Map(this.#options.moves().map(({ from, to }) => [from, to]));
    // The edge forgets by itself; no flow is ever used again.
    for (const from of moves.keys()) if (!wanted.has(from)) moves.delete(from);
    const missing = [...wanted].filter(([from, to]) => moves.get(from) !== to);
    for (let i = 0; i < missing.length; i += atOnce) {
      await Promise.all(
        missing.slice(i, i + atOnce).map(async ([from, to]) => {
          await this.#options.edge.move(instance, from, to);
          moves.set(from, to);
        }),
      );
    }
  }
}
