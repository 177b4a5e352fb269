// What a farm's store keeps at this moment, read beside the daemon: what one that is killed now leaves to the next.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { readJournal } from '../../core/store/journal.js';

/** The records of one table by their keys, as its journal has them, oldest first; undefined for one that was deleted. */
export function journaledRecords(state: string, table: string): (readonly [key: string, value: unknown])[] {
  const folder = join(state, 'store');
  return readdirSync(folder)
    .filter(name => name.startsWith('journal-'))
    .sort()
    .flatMap(name => readJournal(readFileSync(join(folder, name), 'utf8')))
    .filter(change => change.table === table)
    .map(({ key, text }) => [key, (JSON.parse(text) as [string, unknown?])[1]] as const);
}

type Database = RootDatabase<string, Buffer>;

/** Each opening takes a place among the readers that LMDB has, for as long as the process lives. */
const databases = new Map<string, Database>();

/** The records of one table, of journal and database. */
export function keptRecords(state: string, table: string): unknown[] {
  // First: what leaves it while we read is in the database before.
  const changes = journaledRecords(state, table);
  const path = join(state, 'store');
  const database: Database =
    databases.get(path) ?? open({ path, keyEncoding: 'binary', encoding: 'string', useVersions: true, readOnly: true });
  databases.set(path, database);
  const records = new Map<string, unknown>();
  for (const { key, value } of database.getRange({ snapshot: false })) {
    if (key.toString().startsWith(`${table}/`)) records.set(...(JSON.parse(value) as [string, unknown]));
  }
  for (const [key, value] of changes) records.set(key, value);
  return [...records.values()].filter(value => value !== undefined);
}
