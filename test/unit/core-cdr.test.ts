// Call records: exactly one line each, through crashes, full disks and rotation.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { CallDetailRecord } from '../../core/calls/call-facts.js';
import { cdrOutbox } from '../../core/cdr/cdr-outbox.js';
import { CdrWriter } from '../../core/cdr/cdr-writer.js';
import { createLogger, silentLogger } from '../../core/log.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import type { Store } from '../../core/store/store.js';
import { callDetailRecord as record } from '../harness/call-detail-record.js';
import { waitFor } from '../harness/wait-for.js';

let folder: string;
let file: string;
let store: Store;
let writers: CdrWriter[];
const retryMs = { first: 5, most: 10 };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-cdr-'));
  file = join(folder, 'cdr.jsonl');
  store = openMemoryStore();
  writers = [];
});
afterEach(async () => {
  for (const writer of writers) await writer.stop();
  await rm(folder, { recursive: true, force: true });
});

async function startWriter(path = file, log = silentLogger): Promise<CdrWriter> {
  const writer = new CdrWriter({ store, file: path, log, retryMs });
  writers.push(writer);
  await writer.start();
  return writer;
}

const end = (callId: string): Promise<number> => cdrOutbox(store).put(callId, record(callId), 0);

async function written(path = file): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  assert.ok(text === '' || text.endsWith('\n'), 'whole lines only');
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => (JSON.parse(line) as CallDetailRecord).callId);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const limit = Date.now() + 5000; !(await condition()); await new Promise(resolve => setTimeout(resolve, 2))) {
    assert.ok(Date.now() < limit, 'not in time');
  }
}

async function waiting(): Promise<number> {
  let count = 0;
  for await (const _ of cdrOutbox(store).range()) count++;
  return count;
}
const allWritten = (): Promise<void> => until(async () => (await waiting()) === 0);

/** The store as a crash leaves it after the append of `callIds` at `size` was decided. */
async function crashAfterIntent(callIds: string[], size: number, text: string): Promise<void> {
  const before = await readFile(file, 'utf8').catch(() => '');
  await writeFile(file, before.slice(0, size) + text);
  for (const callId of callIds) await end(callId);
  const { z } = await import('zod');
  const { ino: inode } = await stat(file);
  await store.table('cdr-intent', z.unknown()).put('append', { file, inode, size, callIds });
}
const line = (callId: string): string => `${JSON.stringify(record(callId))}\n`;

describe('call records', () => {
  test('are written once each, in one line each, also many at once', async () => {
    await end('before');
    await startWriter();
    await Promise.all(Array.from({ length: 1200 }, (_, i) => end(`call-${i}`)));
    await allWritten();
    const ids = await written();
    assert.equal(ids.length, 1201);
    assert.equal(new Set(ids).size, 1201);
    assert.deepEqual(JSON.parse((await readFile(file, 'utf8')).split('\n')[0]!), record('before'));
    assert.equal((await stat(file)).mode & 0o007, 0);
  });

  test('are not written twice when the daemon died between append and mark', async () => {
    await crashAfterIntent(['a', 'b'], 0, line('a') + line('b'));
    await startWriter();
    await end('c');
    await allWritten();
    assert.deepEqual(await written(), ['a', 'b', 'c']);
  });

  test('are completed when the daemon died in the middle of an append', async () => {
    await crashAfterIntent(['a', 'b'], 0, line('a') + line('b').slice(0, 40));
    await startWriter();
    await allWritten();
    assert.deepEqual(await written(), ['a', 'b']);
  });

  test('are written when the daemon died before the append', async () => {
    await crashAfterIntent(['a', 'b'], 0, '');
    await startWriter();
    await allWritten();
    assert.deepEqual(await written(), ['a', 'b']);
  });

  test('are found in the rotated file after a crash', async () => {
    await crashAfterIntent(['a', 'b'], 0, line('a'));
    await rename(file, `${file}.1`);
    await startWriter();
    await allWritten();
    assert.deepEqual(await written(`${file}.1`), ['a']);
    assert.deepEqual(await written(), ['b']);
  });

  test('go on in a new file after the old one was rotated away or removed', async () => {
    await startWriter();
    await end('a');
    await allWritten();
    await rename(file, `${file}.1`);
    await end('b');
    await allWritten();
    await rm(file);
    await end('c');
    await allWritten();
    assert.deepEqual([await written(`${file}.1`), await written()], [['a'], ['c']]);
  });

  test('wait in the store while the file cannot be written, and the log says what to do', async () => {
    const lines: string[] = [];
    const log = createLogger({ level: 'info', destination: { write: text => void lines.push(text) } });
    await mkdir(file);
    await startWriter(file, log);
    await end('a');
    await until(async () => lines.length >= 2);
    const before = lines.length;
    await Promise.all(Array.from({ length: 50 }, (_, i) => end(`more-${i}`)));
    assert.ok(lines.length <= before + 2, 'no line for each call that ends');
    assert.equal(await waiting(), 51);
    assert.match(lines[0]!, /kept in the store.*make room on the disk/);
    await rmdir(file);
    await allWritten();
    assert.equal((await written()).length, 51);
    await until(async () => lines.at(-1)?.includes('being written again') === true);
  });

  test('of a stopped writer are written by the next', async () => {
    const first = await startWriter();
    await end('a');
    await first.stop();
    await end('b');
    assert.deepEqual(await written(), ['a']);
    await startWriter();
    assert.deepEqual(await written(), ['a', 'b']);
  });

  test('go to another file after a reload', async () => {
    const writer = await startWriter();
    await end('a');
    await writer.moveTo(join(folder, 'other.jsonl'));
    await end('b');
    await allWritten();
    assert.deepEqual([await written(), await written(join(folder, 'other.jsonl'))], [['a'], ['b']]);
  });

  test('have a file that cannot be opened complained of by the reload, before a call ends', async () => {
    const writer = await startWriter();
    const missing = join(folder, 'none', 'cdr.jsonl');
    for (const _ of ['at first', 'again']) {
      assert.match(
        (await writer.moveTo(missing)) ?? '',
        /cannot be written to .*none\/cdr\.jsonl: ENOENT.*mend the path/,
      );
    }
    await end('a');
    assert.match(writer.trouble ?? '', /ENOENT/);
    await mkdir(join(folder, 'none'));
    await waitFor('the next try', () => writer.trouble === undefined);
    assert.equal(await writer.moveTo(file), undefined);
    assert.deepEqual(await written(missing), ['a']);
  });
});
