// The store's contract, asserted on the store in memory and on the one on LMDB.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { z } from 'zod';
import { HoldfastError } from '../../core/errors.js';
import { createLogger, silentLogger } from '../../core/log.js';
import { openLmdbStore } from '../../core/store/lmdb-store.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import type { Store } from '../../core/store/store.js';

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
