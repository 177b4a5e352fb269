// What DNS says of names: asked for as long as they are wanted, by the daemon and nobody else; the last good answer is kept, in the store too.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Table } from '../store/store.js';

export interface DnsAnswer<T> {
  readonly value: T;
  /** Undefined where it is not told. */
  readonly ttlSeconds?: number;
}

export interface DnsAnswersOptions<T> {
  /** In words, of `what of NAME`. */
  readonly what: string;
  /** Of a name of which there is nothing, or of which nothing is known yet. */
  readonly none: T;
  readonly resolve: (name: string) => Promise<DnsAnswer<T>>;
  readonly kept: Table<T>;
  readonly log: Logger;
}

/** Where no time to live is told, as Node tells none of SRV records. */
const usualSeconds = 60;
/** Whatever a zone says: no more often, and no more seldom. */
const [leastSeconds, mostSeconds] = [5, 3_600];
const againMs = 10_000;

export class DnsAnswers<T> {
  readonly #options: DnsAnswersOptions<T>;
  readonly #values = new Map<string, T>();
  readonly #asked = new Map<string, { againMs: number; readonly done: Promise<void> }>();
  readonly #troubles = new Map<string, string>();

  constructor(options: DnsAnswersOptions<T>) {
    this.#options = options;
  }

  /** What an earlier daemon was told. */
  async load(): Promise<void> {
    for await (const [name, { value }] of this.#options.kept.range()) this.#values.set(name, value);
  }

  /** What is known of a name; bound, as it is handed around. */
  readonly of = (name: string): T => this.#values.get(name) ?? this.#options.none;

  /** Why the last question had no answer; undefined where it had one, or none was asked. */
  readonly trouble = (name: string): string | undefined => this.#troubles.get(name);

  /** Asks where that is due; resolves when there has been an answer since, or none could be had. */
  refresh(name: string, nowMs: number): Promise<void> {
    const asked = this.#asked.get(name);
    if (asked && asked.againMs > nowMs) return asked.done;
    const question = { againMs: Number.POSITIVE_INFINITY, done: Promise.resolve() };
    question.done = this.#ask(name)
      .catch((error: unknown) => this.#notKept(name, error))
      .then(afterMs => void (question.againMs = nowMs + afterMs));
    this.#asked.set(name, question);
    return question.done;
  }

  /** Of these names only is anything kept. */
  async keepOnly(wanted: ReadonlySet<string>): Promise<void> {
    for (const name of this.#asked.keys()) if (!wanted.has(name)) this.#asked.delete(name);
    for (const name of this.#values.keys()) {
      if (wanted.has(name)) continue;
      this.#values.delete(name);
      await this.#options.kept.delete(name);
    }
  }

  /** When it is to be asked for again, ms from now. What was known stays where there is no answer. Rejects where the store does not take it. */
  async #ask(name: string): Promise<number> {
    const answer = await this.#options.resolve(name).catch((error: unknown) => ({ error }));
    if ('error' in answer && !isNone(answer.error)) {
      this.#note(name, messageOf(answer.error));
      return againMs;
    }
    this.#note(name, undefined);
    if ('error' in answer) {
      await this.#forget(name);
      return 1000 * usualSeconds;
    }
    const { value, ttlSeconds = usualSeconds } = answer;
    await this.#keep(name, value);
    return 1000 * Math.min(Math.max(ttlSeconds, leastSeconds), mostSeconds);
  }

  /** Of a full disk, as like as not. What DNS said holds for this daemon all the same. */
  #notKept(name: string, error: unknown): number {
    const { what, log } = this.#options;
    log.warn({ name, error }, `${what} of ${name} is not kept for the next daemon: ${messageOf(error)}`);
    return againMs;
  }

  #note(name: string, trouble: string | undefined): void {
    const { what, log } = this.#options;
    const before = this.#troubles.get(name);
    if (trouble === undefined) this.#troubles.delete(name);
    else this.#troubles.set(name, trouble);
    if (trouble === undefined && before !== undefined) log.info({ name }, `${what} of ${name}: DNS answers again`);
    if (trouble === undefined || before !== undefined) return;
    const left = this.#values.has(name) ? 'what it said last is kept' : 'nothing is known yet';
    log.warn({ name }, `${what} of ${name}: DNS gives no answer (${trouble}): ${left}`);
  }

  async #keep(name: string, value: T): Promise<void> {
    if (JSON.stringify(this.#values.get(name)) === JSON.stringify(value)) return;
    this.#values.set(name, value);
    await this.#options.kept.put(name, value);
  }

  async #forget(name: string): Promise<void> {
    if (!this.#values.delete(name)) return;
    this.#options.log.warn({ name }, `${this.#options.what} of ${name}: DNS has none any more`);
    await this.#options.kept.delete(name);
  }
}

/** The name has none. */
function isNone(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENODATA' || code === 'ENOTFOUND';
}
