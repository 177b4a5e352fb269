// The store's contract, asserted on the store in memory and on the one on LMDB.
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { z } from 'zod';
import { HoldfastError } from '../../core/errors.js';
import { createLogger, silentLogger } from '../../core/log.js';
import { openLmdbStore } from '../../core/store/lmdb-store.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import type { Store, StoreWrite } from '../../core/store/store.js';

const callSchema = z.object({ node: z.string(), legs: z.number().optional() });
const conflict = (error: unknown): boolean => HoldfastError.is(error, 'STORE_CONFLICT');

async function collect<T>(records: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const record of records) all.push(record);
  return all;
}

const folders: string[] = [];
async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-store-'));
  folders.push(path);
  return path;
}
after(() => Promise.all(folders.map(path => rm(path, { recursive: true, force: true }))));

const kinds: Record<string, () => Promise<Store>> = {
  'store in memory': async () => openMemoryStore(),
  'store on LMDB': async () => openLmdbStore(await folder(), silentLogger),
};

for (const [kind, openStore] of Object.entries(kinds)) {
  describe(kind, () => {
    test('reads back what was put, with growing versions', async () => {
      const calls = (await openStore()).table('calls', callSchema);
      assert.equal(await calls.get('a'), undefined);
      const first = await calls.put('a', { node: 'call-1' });
      assert.deepEqual(await calls.get('a'), { value: { node: 'call-1' }, version: first });
      const second = await calls.put('a', { node: 'call-2', legs: 2 });
      assert.ok(second > first);
      assert.deepEqual(await calls.get('a'), { value: { node: 'call-2', legs: 2 }, version: second });
    });

    test('refuses a write whose version no longer holds, and lets exactly one of two rivals win', async () => {
      const calls = (await openStore()).table('calls', callSchema);
      const version = await calls.put('a', { node: 'call-1' }, 0);
      await assert.rejects(calls.put('a', { node: 'call-9' }, 0), conflict);
      const rivals = await Promise.allSettled([
        calls.put('a', { node: 'call-2' }, version),
        calls.put('a', { node: 'call-3' }, version),
      ]);
      assert.deepEqual(rivals.map(rival => rival.status).sort(), ['fulfilled', 'rejected']);
      assert.equal((await calls.get('a'))?.value.node, 'call-2');
      await assert.rejects(calls.delete('a', version), conflict);
    });

    test('a version of a deleted record is never used again', async () => {
      const calls = (await openStore()).table('calls', callSchema);
      const version = await calls.put('a', { node: 'call-1' });
      assert.equal(await calls.delete('a', version), true);
      assert.equal(await calls.delete('a'), false);
      await assert.rejects(calls.put('a', { node: 'call-2' }, version), conflict);
      assert.ok((await calls.put('a', { node: 'call-2' }, 0)) > version);
    });

    test('ranges give the keys with the prefix, in order, of this table only', async () => {
      const store = await openStore();
      const calls = store.table('calls', callSchema);
      const other = store.table('calls-old', callSchema);
      await other.put('b1', { node: 'other' });
      for (const key of ['b2', 'a1', 'b1', 'b', 'c', 'ü', 'b10']) await calls.put(key, { node: key });
      const keys = async (prefix?: string): Promise<string[]> =>
        (await collect(calls.range(prefix))).map(([key]) => key);
      assert.deepEqual(await keys('b'), ['b', 'b1', 'b10', 'b2']);
      assert.deepEqual(await keys(), ['a1', 'b', 'b1', 'b10', 'b2', 'c', 'ü']);
      assert.deepEqual(await keys('x'), []);
      assert.deepEqual([await calls.count(), await calls.lastKey()], [7, 'ü']);
      assert.deepEqual([await other.count(), await other.lastKey()], [1, 'b1']);
      const none = store.table('none', callSchema);
      assert.deepEqual([await none.count(), await none.lastKey()], [0, undefined]);
    });

    test('keys of several kilobytes are kept apart and found by prefix', async () => {
      const calls = (await openStore()).table('calls', callSchema);
      const long = 'x'.repeat(5000);
      await calls.put(`${long}1`, { node: 'one' });
      await calls.put(`${long}2`, { node: 'two' });
      assert.equal((await calls.get(`${long}1`))?.value.node, 'one');
      assert.equal((await calls.get(`${long}2`))?.value.node, 'two');
      assert.equal((await collect(calls.range('xxx'))).length, 2);
      assert.equal((await collect(calls.range(long))).length, 2);
      assert.deepEqual(
        (await collect(calls.range(`${long}2`))).map(([key]) => key),
        [`${long}2`],
      );
      assert.equal(await calls.delete(`${long}1`), true);
      assert.equal((await collect(calls.range())).length, 1);
    });

    test('a transaction writes all or nothing, over tables', async () => {
      const store = await openStore();
      const calls = store.table('calls', callSchema);
      const outbox = store.table('outbox', z.object({ id: z.string() }));
      const version = await calls.put('a', { node: 'call-1' });
      const end = (ifVersion: number): Promise<number> =>
        store.transaction([outbox.putting('a', { id: 'a' }, 0), calls.deleting('a', ifVersion)]);
      await assert.rejects(end(version + 100), conflict);
      assert.equal(await outbox.get('a'), undefined);
      assert.ok(await calls.get('a'));
      await end(version);
      assert.deepEqual((await outbox.get('a'))?.value, { id: 'a' });
      assert.equal(await calls.get('a'), undefined);
      await assert.rejects(end(version), conflict);
      await store.transaction([calls.putting('b', { node: 'n' }), calls.putting('c', { node: 'n' })]);
      assert.equal((await collect(calls.range())).length, 2);
    });

    test('watchers hear each commit in order until they are disposed, whatever one of them throws', async () => {
      const calls = (await openStore()).table('calls', callSchema);
      const heard: string[] = [];
      calls.watch(() => {
        throw new Error('broken watcher');
      });
      const dispose = calls.watch(change => heard.push(`${change.key}=${change.value?.node ?? 'gone'}`));
      await Promise.all([calls.put('a', { node: '1' }), calls.put('b', { node: '2' })]);
      await assert.rejects(calls.put('a', { node: '9' }, 0));
      await calls.delete('a');
      dispose();
      await calls.put('c', { node: '3' });
      assert.deepEqual(heard, ['a=1', 'b=2', 'a=gone']);
    });

    test('watchers hear of transactions in the order in which they were begun, whatever is in them', async () => {
      const store = await openStore();
      const calls = store.table('calls', callSchema);
      const heard: number[] = [];
      calls.watch(({ version }) => heard.push(version));
      const put = (key: string, ifVersion?: number): StoreWrite => calls.putting(key, { node: 'n' }, ifVersion);
      const transactions = Array.from({ length: 50 }, (_, i) => [
        [put(`a${i}`, 0), put(`b${i}`, 0), put(`c${i}`)],
        [put(`d${i}`)],
        [put(`e${i}`), put(`f${i}`)],
      ]).flat();
      await Promise.all(transactions.map(writes => store.transaction(writes)));
      assert.equal(heard.length, 300);
      assert.deepEqual(
        heard,
        [...heard].sort((a, b) => a - b),
      );
    });

    test('a record that no longer fits its schema is skipped, and named in the log', async () => {
      const store = await openStore();
      await store.table('calls', z.object({ old: z.number() })).put('bad', { old: 1 });
      const calls = store.table('calls', callSchema);
      await calls.put('good', { node: 'call-1' });
      assert.equal(await calls.get('bad'), undefined);
      assert.deepEqual(
        (await collect(calls.range())).map(([key]) => key),
        ['good'],
      );
    });

    test('a closed store says so', async () => {
      const store = await openStore();
      await store.close();
      await assert.rejects(store.table('calls', callSchema).put('a', { node: 'n' }), /store is closed/);
    });
  });
}

describe('store on LMDB, on disk', () => {
  test('keeps records and goes on counting versions when it is opened again', async () => {
    const path = await folder();
    const before = openLmdbStore(path, silentLogger);
    const version = await before.table('calls', callSchema).put('a', { node: 'call-1' });
    await before.close();
    const store = openLmdbStore(path, silentLogger);
    const calls = store.table('calls', callSchema);
    assert.deepEqual(await calls.get('a'), { value: { node: 'call-1' }, version });
    assert.ok((await calls.put('b', { node: 'call-2' })) > version);
    await store.close();
  });

  /** As a process that was killed leaves it: the database as it was, and the journal. */
  async function killedCopy(path: string): Promise<string> {
    const copy = await folder();
    for (const name of await readdir(path)) await copyFile(join(path, name), join(copy, name));
    return copy;
  }

  async function journalOf(path: string): Promise<string> {
    return join(
      path,
      (await readdir(path))
        .filter(name => name.startsWith('journal-'))
        .sort()
        .at(-1) ?? 'none',
    );
  }

  test('what was written outlives a kill, deletions and versions too, and is read back once more after another', async () => {
    const path = await folder();
    const store = openLmdbStore(path, silentLogger);
    const calls = store.table('calls', callSchema);
    await calls.put('a', { node: 'tab\there' });
    await calls.put('b', { node: 'call-1' });
    // Now the database has them.
    assert.equal(await calls.count(), 2);
    await calls.delete('a');
    const version = await calls.put('ü', { node: 'line\nend' });
    const killed = await killedCopy(path);
    await killedCopy(killed);
    for (const place of [await killedCopy(killed), killed]) {
      const again = openLmdbStore(place, silentLogger);
      const found = again.table('calls', callSchema);
      assert.deepEqual(
        (await collect(found.range())).map(([key, { value }]) => [key, value.node]),
        [
          ['b', 'call-1'],
          ['ü', 'line\nend'],
        ],
      );
      assert.deepEqual([await found.count(), await found.lastKey()], [2, 'ü']);
      assert.ok((await found.put('c', { node: 'n' })) > version);
      await again.close();
    }
    await store.close();
  });

  test('a transaction of which a power cut has left a part is none, nor is what comes after it', async () => {
    const path = await folder();
    const store = openLmdbStore(path, silentLogger);
    const calls = store.table('calls', callSchema);
    await calls.put('a', { node: '1' });
    await store.transaction([calls.putting('b', { node: '2' }), calls.deleting('a')]);
    await calls.put('c', { node: '3' });
    // At once: a second later the database has them all.
    const killed = await killedCopy(path);
    const whole = (await readFile(await journalOf(killed), 'utf8')).split('\n');
    for (const damaged of [
      `${whole[0]}\n${whole[1]?.slice(0, -4)}`,
      `${whole[0]}\n${whole[1]?.slice(0, -4)}\n${whole[2]}\n`,
      `${whole[0]}\n${'\0'.repeat(40)}\n${whole[2]}\n`,
      `${whole[0]}\n${whole[0]}\n`,
    ]) {
      const copy = await killedCopy(killed);
      await writeFile(await journalOf(copy), damaged);
      const again = openLmdbStore(copy, silentLogger);
      const found = await collect(again.table('calls', callSchema).range());
      assert.deepEqual(
        found.map(([key, { value }]) => [key, value.node]),
        [['a', '1']],
      );
      await again.close();
    }
    await store.close();
  });

  test('what is in the journal and what is in the database are one, in order', async () => {
    const calls = openLmdbStore(await folder(), silentLogger).table('calls', callSchema);
    for (const key of ['b', 'd', 'f', 'ü']) await calls.put(key, { node: 'old' });
    assert.equal(await calls.count(), 4);
    for (const key of ['a', 'd', 'e', 'z']) await calls.put(key, { node: 'new' });
    await calls.delete('f');
    const seen = (await collect(calls.range())).map(([key, { value }]) => `${key} ${value.node}`);
    assert.deepEqual(seen, ['a new', 'b old', 'd new', 'e new', 'z new', 'ü old']);
    assert.equal(await calls.get('f'), undefined);
    assert.deepEqual([await calls.count(), await calls.lastKey()], [6, 'ü']);
  });

  test('journals that the database has are removed', async () => {
    const path = await folder();
    const calls = openLmdbStore(path, silentLogger).table('calls', callSchema);
    for (let i = 0; i < 5; i++) {
      await calls.put(`a${i}`, { node: 'n' });
      await calls.count();
    }
    assert.equal((await readdir(path)).filter(name => name.startsWith('journal-')).length, 2);
  });

  test('a store of an earlier version, without a journal, is read as it is', async () => {
    const path = await folder();
    const { open } = await import('lmdb');
    const old = open<unknown, Buffer>({ path, keyEncoding: 'binary', encoding: 'json', useVersions: true });
    await old.put(Buffer.from('calls/a'), ['a', { node: 'call-1', legs: 2 }], 7);
    await old.close();
    const calls = openLmdbStore(path, silentLogger).table('calls', callSchema);
    assert.deepEqual(await calls.get('a'), { value: { node: 'call-1', legs: 2 }, version: 7 });
    assert.equal(await calls.put('a', { node: 'call-2' }, 7), 8);
  });

  test('a damaged file is STORE_FAILED with the path and a remedy', async () => {
    const path = await folder();
    await writeFile(join(path, 'data.mdb'), Buffer.alloc(16384, 0x5a));
    assert.throws(
      () => openLmdbStore(path, silentLogger),
      (error: unknown) =>
        HoldfastError.is(error, 'STORE_FAILED') && error.message.includes(path) && error.remedy !== undefined,
    );
  });

  test('a skipped record is logged once per read, by table and key', async () => {
    const lines: string[] = [];
    const log = createLogger({ level: 'warn', destination: { write: line => void lines.push(line) } });
    const store = openLmdbStore(await folder(), log);
    await store.table('calls', z.object({ old: z.number() })).put('bad', { old: 1 });
    await store.table('calls', callSchema).get('bad');
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /"table":"calls","record":"bad"/);
    await store.close();
  });
});
