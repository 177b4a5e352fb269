// The store in memory, with the same contract as the one on LMDB, for tests and dry runs.
import { silentLogger, type Logger } from '../log.js';
import { RecordStore, type RawRecord, type RawStore } from './record-table.js';
import type { Store, StoreWrite } from './store.js';

/** A store that ends with the process. */
export function openMemoryStore(log: Logger = silentLogger): Store {
  return new RecordStore(new MemoryRawStore(), log);
}

class MemoryRawStore implements RawStore {
  readonly #tables = new Map<string, Map<string, { readonly json: string; readonly version: number }>>();

  read(table: string, key: string): RawRecord | undefined {
    const record = this.#tables.get(table)?.get(key);
    return record === undefined ? undefined : { key, value: JSON.parse(record.json), version: record.version };
  }

  *scan(table: string, prefix: string): Generator<RawRecord> {
    const keys = [...(this.#tables.get(table)?.keys() ?? [])].filter(key => key.startsWith(prefix));
    for (const key of keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
      const record = this.read(table, key);
      if (record !== undefined) yield record;
    }
  }

  async count(table: string): Promise<number> {
    return this.#tables.get(table)?.size ?? 0;
  }

  async lastKey(table: string): Promise<string | undefined> {
    return [...this.scan(table, '')].at(-1)?.key;
  }

  commit(writes: readonly StoreWrite[], version: number): boolean {
    const holds = writes.every(({ table, key, ifVersion }) => {
      const present = this.#tables.get(table)?.get(key)?.version ?? 0;
      return ifVersion === undefined || ifVersion === present;
    });
    if (!holds) return false;
    for (const { table, key, value } of writes) {
      const records = this.#tables.get(table) ?? new Map<string, { json: string; version: number }>();
      this.#tables.set(table, records);
      if (value === undefined) records.delete(key);
      else records.set(key, { json: JSON.stringify(value), version });
    }
    return true;
  }

  async close(): Promise<void> {
    this.#tables.clear();
  }
}
