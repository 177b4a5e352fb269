// The conferences there are: in memory and, ahead of everything that is done about them, in the store.
import { KeyedQueue } from '../calls/keyed-queue.js';
import type { Store, StoreWrite, Table } from '../store/store.js';
import { conferenceRecordSchema, type ConferenceRecord } from './conference-record.js';

/** Told of each change of a record; undefined: not there yet, or not any more. */
export type ConferenceListener = (before: ConferenceRecord | undefined, after: ConferenceRecord | undefined) => void;

/** Writes that belong to a change of a record. */
export type ConferenceWrites = (...change: Parameters<ConferenceListener>) => readonly StoreWrite[];

/** What is done to one conference is done one after the other, in `run`; different conferences do not wait for each other. */
export class ConferenceBook {
  readonly #store: Store;
  readonly #also: ConferenceWrites;
  readonly #table: Table<ConferenceRecord>;
  readonly #conferences = new Map<string, ConferenceRecord>();
  readonly #byCall = new Map<string, string>();
  readonly #queue = new KeyedQueue();
  readonly #listeners: ConferenceListener[] = [];

  /** `also`: what is written with each change, in one transaction. */
  constructor(store: Store, also: ConferenceWrites) {
    this.#store = store;
    this.#also = also;
    this.#table = store.table('conferences', conferenceRecordSchema);
  }

  /** Reads the conferences an earlier daemon left in the store. */
  async load(): Promise<void> {
    for await (const [, { value }] of this.#table.range()) this.#remember(value);
  }

  run<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(id, work);
  }

  /** In the turn of the conference that a call is in then, whatever it was in before; undefined where it is in none. */
  async runOf<T>(callId: string, work: (conference: ConferenceRecord) => Promise<T>): Promise<T | undefined> {
    for (;;) {
      const id = this.#byCall.get(callId);
      if (id === undefined) return undefined;
      const done = await this.run(id, async () => {
        const conference = this.#conferences.get(id);
        // It has become part of another one while we waited.
        if (this.#byCall.get(callId) !== id) return undefined;
        return { result: conference && (await work(conference)) };
      });
      if (done) return done.result;
    }
  }

  /** In the turns of two; in an order of their own, so that nobody waits for each other. */
  runBoth<T>(one: string, other: string, work: () => Promise<T>): Promise<T> {
    const [first = one, second = other] = [one, other].sort();
    return first === second ? this.run(first, work) : this.run(first, () => this.run(second, work));
  }

  list(): ConferenceRecord[] {
    return [...this.#conferences.values()];
  }

  get(id: string): ConferenceRecord | undefined {
    return this.#conferences.get(id);
  }

  /** Id of the conference that a call is in. */
  idOf(callId: string): string | undefined {
    return this.#byCall.get(callId);
  }

  ofCall(callId: string): ConferenceRecord | undefined {
    const id = this.#byCall.get(callId);
    return id === undefined ? undefined : this.#conferences.get(id);
  }

  /** The call is leaving: what ends of it from now on is not missed. Gives the id of the conference that it was in. */
  unlink(callId: string): string | undefined {
    const id = this.#byCall.get(callId);
    this.#byCall.delete(callId);
    return id;
  }

  /** Told once the store knows. */
  onChange(listener: ConferenceListener): void {
    this.#listeners.push(listener);
  }

  async save(conference: ConferenceRecord): Promise<void> {
    const before = this.#conferences.get(conference.id);
    this.#remember(conference);
    await this.#store.transaction([this.#table.putting(conference.id, conference), ...this.#also(before, conference)]);
    this.#tell(before, conference);
  }

  /** One conference is part of another from now on. */
  async merge(after: ConferenceRecord, goneId: string): Promise<void> {
    const [before, gone] = [this.#conferences.get(after.id), this.#conferences.get(goneId)];
    this.#conferences.delete(goneId);
    this.#remember(after);
    await this.#store.transaction([
      this.#table.putting(after.id, after),
      this.#table.deleting(goneId),
      ...this.#also(gone, undefined),
      ...this.#also(before, after),
    ]);
    this.#tell(gone, undefined);
    this.#tell(before, after);
  }

  /** Gone at once; what of it is on the servers is ended by `work`, before the store forgets it. */
  async delete(id: string, work: () => Promise<unknown>): Promise<void> {
    const before = this.#conferences.get(id);
    this.#conferences.delete(id);
    await work();
    await this.#store.transaction([this.#table.deleting(id), ...this.#also(before, undefined)]);
    this.#tell(before, undefined);
  }

  #tell(before: ConferenceRecord | undefined, after: ConferenceRecord | undefined): void {
    for (const listener of this.#listeners) listener(before, after);
  }

  #remember(conference: ConferenceRecord): void {
    this.#conferences.set(conference.id, conference);
    for (const member of conference.participants) this.#byCall.set(member.callId, conference.id);
  }
}
