// Rows that every Kamailio is told one by one as phones come and go: an instance hears at once of what is new, and of all when it is back.

export interface ToldRowsOptions {
  /** Key → value, as every instance should have them now. */
  readonly wanted: () => ReadonlyMap<string, string>;
  /** Rejects where the instance does not answer. */
  readonly tell: (instance: string, key: string, value: string) => Promise<void>;
  /** How often those are looked for that are new, or whose instance did not answer. */
  readonly everyMs: number;
  /** A row is told again after so long; without it, never. */
  readonly againAfterMs?: number;
}

/** So long after a look another one takes all that is new: tens of thousands of phones may move at once, and each look is at all of them. */
const gatherMs = 50;
/** Requests to one instance at a time: after the death of a Kamailio all of its phones have moved. */
const atOnce = 16;

interface Row {
  readonly value: string;
  readonly toldMs: number;
}

/** What one Kamailio was told, and is being told. */
interface Told {
  readonly rows: Map<string, Row>;
  telling: Promise<void> | undefined;
  /** What it is to have next. */
  next: ReadonlyMap<string, string> | undefined;
  /** It has had all that there was. */
  whole: boolean;
}

export class ToldRows {
  readonly #options: ToldRowsOptions;
  /** By instance. */
  readonly #told = new Map<string, Told>();
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #lookedMs = 0;

  constructor(options: ToldRowsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.tellAll(), this.#options.everyMs);
  }

  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
  }

  /** It may have lost its tables: it hears of nothing more until `tell`. */
  forget(instance: string): void {
    this.#told.delete(instance);
  }

  /**
   * Tells an instance all that it has not heard of, and from now on what is new. Rejects where it does not answer. One run at a time
   * for each, and one more for what is new meanwhile.
   */
  tell(instance: string, wanted = this.#options.wanted()): Promise<void> {
    const told = this.#told.get(instance) ?? { rows: new Map(), telling: undefined, next: undefined, whole: false };
    this.#told.set(instance, told);
    told.next = wanted;
    told.telling ??= this.#tellUntilQuiet(instance, told).finally(() => (told.telling = undefined));
    return told.telling;
  }

  /** True from the end of the first `tell` that succeeded. */
  knows(instance: string): boolean {
    return this.#told.get(instance)?.whole ?? false;
  }

  /** As `tellAll`: at once, and a moment later where the last look was just now. */
  tellSoon(): void {
    const waitMs = Math.max(0, this.#lookedMs + gatherMs - Date.now());
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      void this.tellAll();
    }, waitMs);
  }

  /** Every instance that is told at all; one that does not answer is told when it does. */
  async tellAll(): Promise<void> {
    this.#lookedMs = Date.now();
    const wanted = this.#options.wanted();
    await Promise.allSettled([...this.#told.keys()].map(instance => this.tell(instance, wanted)));
  }

  async #tellUntilQuiet(instance: string, told: Told): Promise<void> {
    for (let wanted = told.next; wanted; wanted = told.next) {
      told.next = undefined;
      await this.#tellOnce(instance, told.rows, wanted);
    }
    told.whole = true;
  }

  async #tellOnce(instance: string, rows: Map<string, Row>, wanted: ReadonlyMap<string, string>): Promise<void> {
    const { tell, againAfterMs = Infinity } = this.#options;
    const nowMs = Date.now();
    // The edge forgets by itself what nobody wants any more.
    for (const key of rows.keys()) if (!wanted.has(key)) rows.delete(key);
    const isDue = ([key, value]: [string, string]): boolean => {
      const row = rows.get(key);
      return row?.value !== value || nowMs - row.toldMs >= againAfterMs;
    };
    const due = [...wanted].filter(isDue);
    for (let i = 0; i < due.length; i += atOnce) {
      await Promise.all(
        due.slice(i, i + atOnce).map(async ([key, value]) => {
          await tell(instance, key, value);
          rows.set(key, { value, toldMs: nowMs });
        }),
      );
    }
  }
}
