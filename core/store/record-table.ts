// The one implementation of a table: schema, versions and watch, over a few raw operations that each store brings.
import type { ZodType } from 'zod';
import { HoldfastError } from '../errors.js';
import { Emitter } from '../events/emitter.js';
import type { Logger } from '../log.js';
import type { Store, StoreChange, StoreWrite, Table, Versioned } from './store.js';

/** A record as a store keeps it: any JSON value and its version. */
export interface RawRecord {
  readonly key: string;
  readonly value: unknown;
  readonly version: number;
}

/** What a store must bring: reads, ordered ranges, and one atomic conditional write. */
export interface RawStore {
  read(table: string, key: string): RawRecord | undefined;
  scan(table: string, prefix: string): Iterable<RawRecord>;
  count(table: string): Promise<number>;
  lastKey(table: string): Promise<string | undefined>;
  /** All or nothing, before it returns; false when a condition did not hold. */
  commit(writes: readonly StoreWrite[], version: number): boolean;
  close(): Promise<void>;
}

interface ChangeEvents {
  readonly change: [StoreChange<unknown>];
}

interface CommitEvents {
  readonly commit: [ms: number];
}

/** A Store over raw operations. Versions are given out in the order in which writes are handed to `commit`. */
export class RecordStore implements Store {
  readonly #raw: RawStore;
  readonly #log: Logger;
  readonly #watchers = new Map<string, Emitter<ChangeEvents>>();
  readonly #tables = new Set<string>();
  readonly #commits: Emitter<CommitEvents>;
  #lastVersion: number;
  #closed = false;

  /** `lastVersion`: the highest version that the raw store holds already. */
  constructor(raw: RawStore, log: Logger, lastVersion = 0) {
    this.#raw = raw;
    this.#log = log;
    this.#commits = new Emitter(log);
    this.#lastVersion = lastVersion;
  }

  table<T>(name: string, schema: ZodType<T>): Table<T> {
    if (!/^[a-z][a-z0-9-]*$/.test(name)) throw new TypeError(`store table "${name}" must be a kebab-case word`);
    this.#tables.add(name);
    return new RecordTable(name, schema, this.#raw, this.#log, {
      write: writes => this.transaction(writes),
      watch: listener => this.#watcher(name).on('change', `watch of ${name}`, listener),
    });
  }

  async transaction(writes: readonly StoreWrite[]): Promise<number> {
    if (this.#closed) throw new HoldfastError('STORE_FAILED', 'the store is closed');
    if (writes.length === 0) return this.#lastVersion;
    const version = ++this.#lastVersion;
    const startMs = performance.now();
    const held = this.#raw.commit(writes, version);
    this.#commits.emit('commit', performance.now() - startMs);
    if (!held) {
      const places = writes.map(write => `${write.table}/${write.key}`).join(', ');
      throw new HoldfastError('STORE_CONFLICT', `store: ${places} changed meanwhile`, { details: { places } });
    }
    for (const { table, key, value } of writes) this.#watchers.get(table)?.emit('change', { key, value, version });
    return version;
  }

  async counts(wanted: (table: string) => boolean): Promise<ReadonlyMap<string, number>> {
    const names = [...this.#tables].filter(wanted).sort();
    const counted = names.map(async name => [name, await this.#raw.count(name)] as const);
    return new Map(await Promise.all(counted));
  }

  onCommit(listener: (ms: number) => void): () => void {
    return this.#commits.on('commit', 'store', listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const watcher of this.#watchers.values()) watcher.removeAll();
    await this.#raw.close();
  }

  #watcher(table: string): Emitter<ChangeEvents> {
    const watcher = this.#watchers.get(table) ?? new Emitter<ChangeEvents>(this.#log);
    this.#watchers.set(table, watcher);
    return watcher;
  }
}

interface TableDoor {
  write(writes: readonly StoreWrite[]): Promise<number>;
  watch(listener: (change: StoreChange<unknown>) => void): () => void;
}

class RecordTable<T> implements Table<T> {
  readonly name: string;
  readonly #schema: ZodType<T>;
  readonly #raw: RawStore;
  readonly #log: Logger;
  readonly #door: TableDoor;

  constructor(name: string, schema: ZodType<T>, raw: RawStore, log: Logger, door: TableDoor) {
    this.name = name;
    this.#schema = schema;
    this.#raw = raw;
    this.#log = log;
    this.#door = door;
  }

  async get(key: string): Promise<Versioned<T> | undefined> {
    const record = this.#raw.read(this.name, key);
    return record === undefined ? undefined : this.#parse(record);
  }

  async put(key: string, value: T, ifVersion?: number): Promise<number> {
    return this.#door.write([this.putting(key, value, ifVersion)]);
  }

  async delete(key: string, ifVersion?: number): Promise<boolean> {
    for (;;) {
      const record = this.#raw.read(this.name, key);
      if (record === undefined && ifVersion === undefined) return false;
      try {
        await this.#door.write([this.deleting(key, ifVersion ?? record?.version)]);
        return true;
      } catch (error) {
        // Without a condition of the caller's, somebody else's write in between only means: look again.
        if (ifVersion !== undefined || !HoldfastError.is(error, 'STORE_CONFLICT')) throw error;
      }
    }
  }

  async *range(prefix = ''): AsyncGenerator<readonly [string, Versioned<T>]> {
    for (const record of this.#raw.scan(this.name, prefix)) {
      const parsed = this.#parse(record);
      if (parsed !== undefined) yield [record.key, parsed];
    }
  }

  async count(): Promise<number> {
    return this.#raw.count(this.name);
  }

  async lastKey(): Promise<string | undefined> {
    return this.#raw.lastKey(this.name);
  }

  watch(listener: (change: StoreChange<T>) => void): () => void {
    return this.#door.watch(change => listener(change as StoreChange<T>));
  }

  putting(key: string, value: T, ifVersion?: number): StoreWrite {
    if (value === undefined) throw new TypeError(`store: ${this.name}/${key} cannot be undefined`);
    return { table: this.name, key, value, ifVersion };
  }

  deleting(key: string, ifVersion?: number): StoreWrite {
    return { table: this.name, key, value: undefined, ifVersion };
  }

  #parse({ key, value, version }: RawRecord): Versioned<T> | undefined {
    const parsed = this.#schema.safeParse(value);
    if (parsed.success) return { value: parsed.data, version };
    const problems = parsed.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`).join('; ');
    this.#log.warn({ table: this.name, record: key, problems }, 'store: skipped a record that does not fit its schema');
    return undefined;
  }
}
