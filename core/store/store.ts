// The store as everything outside core/store sees it: typed tables with versions, compare-and-set, ranges and watch.
import type { ZodType } from 'zod';

/** A value with the version it was written at. Versions only grow, over the whole store, and are never used again. */
export interface Versioned<T> {
  readonly value: T;
  readonly version: number;
}

/** What was done to one record; `value` is undefined where it was deleted. */
export interface StoreChange<T> {
  readonly key: string;
  readonly value: T | undefined;
  readonly version: number;
}

/** One write of a transaction, made by `Table.putting` or `Table.deleting`. */
export interface StoreWrite {
  readonly table: string;
  readonly key: string;
  /** Undefined: delete. */
  readonly value: unknown;
  /** Must be the record's version now; 0: must not exist; undefined: whatever is there. */
  readonly ifVersion: number | undefined;
}

/**
 * One kind of record. Keys are strings of any length, ordered by their UTF-8 bytes. Values are what JSON can carry.
 * A stored record that no longer fits the table's schema is reported in the log by table and key, and read as absent.
 */
export interface Table<T> {
  readonly name: string;
  get(key: string): Promise<Versioned<T> | undefined>;
  /** Resolves with the new version once the write is committed. Throws STORE_CONFLICT when `ifVersion` does not hold. */
  put(key: string, value: T, ifVersion?: number): Promise<number>;
  /** True when there was a record. Throws STORE_CONFLICT when `ifVersion` does not hold. */
  delete(key: string, ifVersion?: number): Promise<boolean>;
  /** Records whose key begins with `prefix`, in key order. */
  range(prefix?: string): AsyncIterable<readonly [key: string, record: Versioned<T>]>;
  /** How many records there are, without reading them. */
  count(): Promise<number>;
  /** The last key in key order. */
  lastKey(): Promise<string | undefined>;
  /** Told of each change after its commit, in commit order; returns the disposer. */
  watch(listener: (change: StoreChange<T>) => void): () => void;
  /** Writes for `Store.transaction`. */
  putting(key: string, value: T, ifVersion?: number): StoreWrite;
  deleting(key: string, ifVersion?: number): StoreWrite;
}

/**
 * Every operation is asynchronous and throws STORE_FAILED (with path and remedy) when the disk is full or the store is
 * broken. A resolved write outlives the daemon's process.
 */
export interface Store {
  table<T>(name: string, schema: ZodType<T>): Table<T>;
  /** All of the writes or, when one `ifVersion` does not hold (STORE_CONFLICT), none. Resolves with their version. */
  transaction(writes: readonly StoreWrite[]): Promise<number>;
  /** How many records the tables have that were opened and are wanted, by name. */
  counts(wanted: (table: string) => boolean): Promise<ReadonlyMap<string, number>>;
  /** Told how long each transaction took until it was committed, ms. */
  onCommit(listener: (ms: number) => void): () => void;
  close(): Promise<void>;
}
