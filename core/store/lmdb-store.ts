// The store on LMDB with a journal before it: one folder, nothing to set up; a resolved write outlives the daemon's process.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { open, type RootDatabase } from 'lmdb';
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { Journal, type Change } from './journal.js';
import { JournaledStore, type Database } from './journaled-store.js';
import { RecordStore, type RawRecord } from './record-table.js';
import type { Store } from './store.js';

/** What stands under one LMDB key is JSON of the record's own key and value: a long key is stored under its hash. */
type Lmdb = RootDatabase<string, Buffer>;

/** LMDB takes keys of at most 1978 bytes: a longer one is cut here (keeping the order and prefixes) and hashed. */
const mostKeyBytes = 1500;

/** Opens (or makes) the store in the folder `path`. Throws STORE_FAILED when it cannot be opened. */
export function openLmdbStore(path: string, log: Logger): Store {
  probe(path);
  const failed = (error: unknown): HoldfastError => storeFailed(path, 'a write failed', error);
  try {
    // Calls and registrations are nobody's business but the daemon's.
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
    const database: Lmdb = open({
      path,
      keyEncoding: 'binary',
      encoding: 'string',
      useVersions: true,
      // With it, lmdb-js opens a batch of its own per event turn and drops its promise: a full disk would then end the
      // daemon as an unhandled rejection.
      eventTurnBatching: false,
    });
    const journal = Journal.open(path);
    const written = [...database.getRange({ versions: true }).map(({ version }) => version ?? 0)];
    const versions = [...written, ...journal.left.map(({ version }) => version)];
    const raw = new JournaledStore(journal, new LmdbDatabase(database, path), { log, failed });
    return new RecordStore(
      raw,
      log,
      versions.reduce((last, version) => Math.max(last, version), 0),
    );
  } catch (error) {
    throw storeFailed(path, 'cannot be opened', error);
  }
}

/** Has another process read the whole store first: see lmdb-probe.ts. About 0.1 s, once per start. */
function probe(path: string): void {
  if (!existsSync(join(path, 'data.mdb'))) return;
  const script = fileURLToPath(new URL('lmdb-probe.js', import.meta.url));
  const { status, signal, stderr } = spawnSync(process.execPath, [script, path], { encoding: 'utf8', timeout: 60_000 });
  if (status === 0) return;
  const cause =
    signal === null ? (/^\w*Error: .*$/m.exec(stderr)?.[0] ?? stderr.trim()) : `reading it ended in ${signal}`;
  throw storeFailed(path, 'cannot be read', new Error(`${cause} (MDB_CORRUPTED)`));
}

class LmdbDatabase implements Database {
  readonly #database: Lmdb;
  readonly #path: string;

  constructor(database: Lmdb, path: string) {
    this.#database = database;
    this.#path = path;
  }

  read(table: string, key: string): RawRecord | undefined {
    try {
      const entry = this.#database.getEntry(lmdbKey(table, key));
      return entry === undefined ? undefined : recordOf(entry.value, entry.version);
    } catch (error) {
      throw storeFailed(this.#path, `${table}/${key} cannot be read`, error);
    }
  }

  *scan(table: string, prefix: string): Generator<RawRecord> {
    const range = keyRange(table, prefix);
    try {
      for (const { value, version } of this.#database.getRange({ ...range, versions: true, snapshot: false })) {
        const record = recordOf(value, version);
        if (record.key.startsWith(prefix)) yield record;
      }
    } catch (error) {
      throw storeFailed(this.#path, `${table} cannot be read`, error);
    }
  }

  count(table: string): number {
    try {
      return this.#database.getKeysCount(keyRange(table, ''));
    } catch (error) {
      throw storeFailed(this.#path, `${table} cannot be read`, error);
    }
  }

  lastKey(table: string): string | undefined {
    const { start, end } = keyRange(table, '');
    try {
      const [last] = this.#database.getRange({ start: end, end: start, reverse: true, limit: 1 });
      return last && recordOf(last.value, 0).key;
    } catch (error) {
      throw storeFailed(this.#path, `${table} cannot be read`, error);
    }
  }

  async apply(changes: Iterable<Change>): Promise<void> {
    const writes: Promise<boolean>[] = [];
    try {
      await this.#database.batch(() => {
        for (const change of changes) writes.push(this.#write(change));
      });
      await Promise.all(writes);
    } catch (error) {
      throw storeFailed(this.#path, 'a write failed', await commitCause(error));
    }
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  #write({ table, key, version, isDeleted, text }: Change): Promise<boolean> {
    const at = lmdbKey(table, key);
    return isDeleted ? this.#database.remove(at) : this.#database.put(at, text, version);
  }
}

function recordOf(text: string, version = 0): RawRecord {
  const [key, value] = JSON.parse(text) as [key: string, value: unknown];
  return { key, value, version };
}

/** lmdb-js rejects with an error whose `commitError` is a promise that rejects with the true one. */
async function commitCause(error: unknown): Promise<unknown> {
  try {
    await (error as { commitError?: Promise<never> }).commitError;
    return error;
  } catch (cause) {
    return cause;
  }
}

function keyBytes(table: string, key: string): Buffer {
  return Buffer.from(`${table}/${key}`, 'utf8');
}

/** All keys of a table that begin with `prefix`. */
function keyRange(table: string, prefix: string): { readonly start: Buffer; readonly end: Buffer } {
  const start = keyBytes(table, prefix).subarray(0, mostKeyBytes);
  // No UTF-8 text contains the byte 0xff, so this ends right after the last key with the prefix.
  return { start, end: Buffer.concat([start, Buffer.of(0xff)]) };
}

function lmdbKey(table: string, key: string): Buffer {
  const bytes = keyBytes(table, key);
  if (bytes.length <= mostKeyBytes) return bytes;
  const hash = createHash('sha256').update(bytes).digest('hex');
  return Buffer.concat([bytes.subarray(0, mostKeyBytes), Buffer.from(`#${hash}`)]);
}

function storeFailed(path: string, what: string, cause: unknown): HoldfastError {
  if (HoldfastError.is(cause)) return cause;
  const message = messageOf(cause);
  return new HoldfastError('STORE_FAILED', `store ${path}: ${what}: ${message}`, {
    cause,
    details: { path },
    remedy: remedyFor(path, message),
  });
}

function remedyFor(path: string, message: string): string {
  if (/no space|ENOSPC|quota|input\/output error/i.test(message)) {
    // LMDB says "Input/output error" for a write cut short, which is how most file systems report that they are full.
    return `make room on the disk that holds ${path}, or check the disk`;
  }
  if (/EACCES|permission/i.test(message)) return `let the daemon's user read and write ${path}`;
  if (/MDB_(INVALID|CORRUPTED|VERSION_MISMATCH|PANIC|BAD)/i.test(message)) {
    return `the files in ${path} are damaged: stop the daemon, move the folder away and start again; calls in progress are then not taken up`;
  }
  return `check that ${path} is a folder on a working disk that the daemon's user may write`;
}
