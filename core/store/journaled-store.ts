// A database with a journal before it: a write is a line in a file at once, and in the database with all others of a second.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Change, Journal } from './journal.js';
import type { RawRecord, RawStore } from './record-table.js';
import type { StoreWrite } from './store.js';

/** What the journal stands before: it is written to now and then. */
export interface Database {
  read(table: string, key: string): RawRecord | undefined;
  scan(table: string, prefix: string): Iterable<RawRecord>;
  count(table: string): number;
  lastKey(table: string): string | undefined;
  /** In one transaction. */
  apply(changes: Iterable<Change>): Promise<void>;
  close(): Promise<void>;
}

/** By table and key, the latest one. */
type Changes = ReadonlyMap<string, Change>;

const settleEveryMs = 1_000;

/**
 * What is in the journal only is kept in memory as well. A call is written a dozen times and forgotten soon after: most of
 * that never reaches the database, whose every transaction costs a thread's work and a flush of the disk.
 */
export class JournaledStore implements RawStore {
  readonly #journal: Journal;
  readonly #database: Database;
  readonly #log: Logger;
  readonly #failed: (error: unknown) => Error;
  #pending: Map<string, Change>;
  /** On their way into the database. */
  #settling: Changes = new Map();
  /** The first journal file that the disk may need, should the power fail. */
  #keptFrom = 0;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #hasFailed = false;

  /** `left`: what is in the journal and may not be in the database. `failed` makes what is thrown of what the disk says. */
  constructor(
    { journal, left }: { readonly journal: Journal; readonly left: readonly Change[] },
    database: Database,
    { log, failed }: { readonly log: Logger; readonly failed: (error: unknown) => Error },
  ) {
    this.#journal = journal;
    this.#database = database;
    this.#log = log;
    this.#failed = failed;
    this.#pending = new Map(left.map(change => [idOf(change), change]));
    if (left.length > 0) this.#settleSoon();
  }

  read(table: string, key: string): RawRecord | undefined {
    const id = idOf({ table, key });
    const change = this.#pending.get(id) ?? this.#settling.get(id);
    return change === undefined ? this.#database.read(table, key) : recordOf(change);
  }

  *scan(table: string, prefix: string): Generator<RawRecord> {
    const changes = this.#changesOf(table, prefix);
    const added = [...changes.values()].flatMap(change => recordOf(change) ?? []).sort(byKey);
    let next = 0;
    for (const record of this.#database.scan(table, prefix)) {
      if (changes.has(record.key)) continue;
      for (let one = added[next]; one !== undefined && byKey(one, record) < 0; one = added[++next]) yield one;
      yield record;
    }
    yield* added.slice(next);
  }

  async count(table: string): Promise<number> {
    await this.#settle();
    return this.#database.count(table);
  }

  async lastKey(table: string): Promise<string | undefined> {
    await this.#settle();
    return this.#database.lastKey(table);
  }

  commit(writes: readonly StoreWrite[], version: number): boolean {
    const holds = ({ table, key, ifVersion }: StoreWrite): boolean =>
      ifVersion === undefined || ifVersion === (this.read(table, key)?.version ?? 0);
    if (!writes.every(holds)) return false;
    const changes = writes.map(({ table, key, value }): Change => {
      const isDeleted = value === undefined;
      return { table, key, version, isDeleted, text: JSON.stringify(isDeleted ? [key] : [key, value]) };
    });
    try {
      this.#journal.append(changes);
    } catch (error) {
      throw this.#failed(error);
    }
    for (const change of changes) this.#pending.set(idOf(change), change);
    this.#settleSoon();
    return true;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    // What the database does not take stays in the journal.
    await this.#settle().catch((error: unknown) => this.#tell(error));
    this.#journal.close();
    await this.#database.close();
  }

  #changesOf(table: string, prefix: string): Map<string, Change> {
    const both = [...this.#settling.values(), ...this.#pending.values()];
    const wanted = both.filter(change => change.table === table && change.key.startsWith(prefix));
    return new Map(wanted.map(change => [change.key, change]));
  }

  #settleSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#settle().catch((error: unknown) => {
        this.#tell(error);
        this.#settleSoon();
      });
    }, settleEveryMs).unref();
  }

  /** Resolves once the database has all that was committed before. */
  async #settle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    if (this.#pending.size === 0) return;
    this.#running = this.#move().finally(() => (this.#running = undefined));
    await this.#running;
  }

  async #move(): Promise<void> {
    try {
      this.#journal.turn();
      const since = this.#journal.number;
      this.#settling = this.#pending;
      this.#pending = new Map();
      await this.#database.apply(this.#settling.values());
      // The journal of this time is kept until the next: by then the disk has what the database was given.
      this.#journal.removeBefore(this.#keptFrom);
      this.#keptFrom = since;
      this.#hasFailed = false;
    } catch (error) {
      this.#pending = new Map([...this.#settling, ...this.#pending]);
      throw this.#failed(error);
    } finally {
      this.#settling = new Map();
    }
  }

  /** Once, however often it is tried: calls go on as long as the journal can be written. */
  #tell(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#log.error({ error }, `${messageOf(error)}; its journal keeps it meanwhile`);
  }
}

function idOf({ table, key }: Pick<Change, 'table' | 'key'>): string {
  return `${table}/${key}`;
}

/** Undefined for one that is deleted. */
function recordOf({ key, version, isDeleted, text }: Change): RawRecord | undefined {
  return isDeleted ? undefined : { key, value: (JSON.parse(text) as [string, unknown])[1], version };
}

/** By their UTF-8 bytes, as LMDB's. */
function byKey(one: RawRecord, other: RawRecord): number {
  return Buffer.compare(Buffer.from(one.key), Buffer.from(other.key));
}
