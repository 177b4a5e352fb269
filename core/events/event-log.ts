// What has happened, numbered and kept for a while: the log that followers of the event stream read from.
import { z } from 'zod';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Store, StoreWrite, Table } from '../store/store.js';

/** One line of the stream: a fact in the past tense, with what belongs to its type. */
const storedEvent = z.looseObject({
  /** Rises from event to event, over restarts of the daemon too; one is missing where its write failed. */
  seq: z.int(),
  /** ISO 8601 with milliseconds. */
  at: z.string(),
  type: z.string(),
});
export type StoredEvent = z.infer<typeof storedEvent>;

export type EventFacts = Readonly<Record<string, unknown>>;

/** An event that has no number yet. */
export interface NewEvent {
  readonly type: string;
  readonly facts: EventFacts;
}

/** Events that are kept, at least. */
const keptEvents = 10_000;
/** Forgotten together: one transaction for so many. */
const pruneAtOnce = 1_000;

export class EventLog {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #table: Table<StoredEvent>;
  readonly #listeners = new Set<() => void>();
  /** Committed ones in their order; the newest `keptEvents` and up to `pruneAtOnce` more. */
  #events: StoredEvent[] = [];
  #lastSeq = 0;

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
    this.#table = store.table('events', storedEvent);
    this.#table.watch(({ value }) => {
      if (value !== undefined) this.#committed(value);
    });
  }

  async load(): Promise<void> {
    const known: StoredEvent[] = [];
    for await (const [, { value }] of this.#table.range()) known.push(value);
    this.#events = known;
    this.#lastSeq = known.at(-1)?.seq ?? 0;
  }

  /** Number of the latest one. */
  get lastSeq(): number {
    return this.#events.at(-1)?.seq ?? this.#lastSeq;
  }

  /** Number of the oldest one that is still kept; one more than the latest where there is none. */
  get firstSeq(): number {
    return this.#events[0]?.seq ?? this.#lastSeq + 1;
  }

  /** Events as writes of a transaction that is begun at once: they are told if, and only if, that is committed. */
  telling(events: readonly NewEvent[]): StoreWrite[] {
    return events.map(({ type, facts }) => {
      const seq = ++this.#lastSeq;
      return this.#table.putting(keyOf(seq), { ...facts, seq, at: new Date().toISOString(), type });
    });
  }

  /** An event of its own. */
  append(type: string, facts: EventFacts): void {
    void this.#store
      .transaction(this.telling([{ type, facts }]))
      .catch((error: unknown) => this.#log.error({ event: type, error }, `event not kept: ${messageOf(error)}`));
  }

  /** At most so many, from the first after `seq`, in their order. */
  after(seq: number, most: number): readonly StoredEvent[] {
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle]?.seq ?? 0) > seq) high = middle;
      else low = middle + 1;
    }
    return this.#events.slice(low, low + most);
  }

  /** Told whenever there is more to read; returns the disposer. */
  onMore(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #committed(event: StoredEvent): void {
    this.#events.push(event);
    if (this.#events.length >= keptEvents + pruneAtOnce) this.#prune();
    for (const listener of this.#listeners) listener();
  }

  #prune(): void {
    const forgotten = this.#events.splice(0, this.#events.length - keptEvents);
    void this.#store
      .transaction(forgotten.map(({ seq }) => this.#table.deleting(keyOf(seq))))
      .catch((error: unknown) => this.#log.warn({ error }, `old events not deleted: ${messageOf(error)}`));
  }
}

/** Ordered as the numbers are. */
function keyOf(seq: number): string {
  return String(seq).padStart(16, '0');
}
