// The event stream: numbered events in the store, a socket that is followed from any number, and what is told of rooms.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { followEvents } from '../../core/events/event-client.js';
import { EventLog } from '../../core/events/event-log.js';
import { EventStream } from '../../core/events/event-stream.js';
import { silentLogger } from '../../core/log.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import type { Store } from '../../core/store/store.js';
import { waitFor } from '../harness/wait-for.js';

describe('the log of events', () => {
  const open = async (store: Store): Promise<EventLog> => {
    const log = new EventLog(store, silentLogger);
    await log.load();
    return log;
  };
  const seqs = (log: EventLog, since: number): number[] => log.after(since, 100).map(({ seq }) => seq);

  test('numbers go on under the next daemon, and it reads on from any of them', async () => {
    const store = openMemoryStore();
    const first = await open(store);
    for (const room of ['a', 'b', 'c']) first.append('conference.created', { room });
    await waitFor('three', () => first.lastSeq === 3);
    const second = await open(store);
    assert.deepEqual(seqs(second, 0), [1, 2, 3]);
    second.append('conference.ended', { room: 'a' });
    await waitFor('the fourth', () => second.lastSeq === 4);
    assert.deepEqual(seqs(second, 2), [3, 4]);
    assert.deepEqual(seqs(second, 4), []);
    assert.equal(second.after(3, 1)[0]?.['room'], 'a');
  });

  test('an event of a transaction is told when it is committed, and not where that fails', async () => {
    const store = openMemoryStore();
    const log = await open(store);
    const table = store.table('calls', { safeParse: (data: unknown) => ({ success: true, data }) } as never);
    const ended = { type: 'call.ended', facts: {} };
    await assert.rejects(store.transaction([table.putting('a', {}, 7), ...log.telling([ended])]));
    await store.transaction([table.putting('a', {}), ...log.telling([ended])]);
    assert.deepEqual(seqs(log, 0), [2], 'the number of the one that failed is not used again');
  });

  test('keeps the newest ten thousand', async () => {
    const store = openMemoryStore();
    const log = await open(store);
    for (let i = 0; i < 12_500; i++) log.append('call.ringing', { call: `${i}` });
    await waitFor('all of them', () => log.after(12_499, 1).length === 1);
    assert.ok(log.firstSeq > 1 && log.firstSeq <= 2_501, `${log.firstSeq}`);
    await waitFor(
      'the old ones to be deleted',
      async () => (await store.table('events', {} as never).count()) < 11_001,
    );
  });
});

describe('the socket of events', () => {
  let folder: string;
  let log: EventLog;
  let stream: EventStream | undefined;
  const path = (): string => join(folder, 'events.sock');

  before(() => (folder = mkdtempSync(join(tmpdir(), 'holdfast-events-'))));
  after(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(async () => {
    await stream?.close();
    stream = undefined;
  });

  const start = async (store: Store): Promise<void> => {
    log = new EventLog(store, silentLogger);
    await log.load();
    stream = new EventStream(log, path());
    await stream.listen();
  };
  const tell = async (type: string, times = 1): Promise<void> => {
    const last = log.lastSeq + times;
    for (let i = 0; i < times; i++) log.append(type, { padding: 'x'.repeat(200) });
    await waitFor('the events', () => log.lastSeq === last);
  };
  const follow = (since: number | undefined, lines: string[], missed: number[] = []): ReturnType<typeof followEvents> =>
    followEvents(path(), {
      ...(since === undefined ? {} : { since }),
      follow: true,
      event: line => lines.push(line),
      missed: count => missed.push(count),
    });
  const seqOf = (line: string): number => (JSON.parse(line) as { seq: number }).seq;

  test('a follower that comes back after the death of the daemon has missed nothing and hears nothing twice', async () => {
    const store = openMemoryStore();
    await start(store);
    const lines: string[] = [];
    const first = follow(0, lines);
    await tell('call.started', 3);
    await waitFor('three lines', () => lines.length === 3);
    await stream?.close();
    const { last } = await first;
    await start(store);
    await tell('call.ended', 500);
    void follow(last, lines);
    await tell('call.started', 2);
    await waitFor('all lines', () => lines.length === 505, { describe: () => `${lines.length}` });
    assert.deepEqual(
      lines.map(seqOf),
      Array.from({ length: 505 }, (_, i) => i + 1),
    );
  });

  test('what is kept is printed to its end, and what is not kept any more is counted', async () => {
    await start(openMemoryStore());
    await tell('call.started', 11_500);
    const [lines, missed]: [string[], number[]] = [[], []];
    await followEvents(path(), {
      since: 100,
      follow: false,
      event: line => lines.push(line),
      missed: count => missed.push(count),
    });
    assert.equal(lines.length, log.lastSeq - log.firstSeq + 1);
    assert.deepEqual(missed, [log.firstSeq - 101]);
  });

  test('one that says something else is cut off, and one that does not read holds up nobody', async () => {
    await start(openMemoryStore());
    const garbage = connect(path());
    const cut = new Promise(resolve => garbage.once('close', resolve));
    garbage.on('error', () => undefined);
    garbage.write('{"since": "yesterday"}\n');
    await cut;
    const deaf = connect(path());
    deaf.pause();
    deaf.write('{"since": 0}\n');
    const lines: string[] = [];
    void follow(0, lines);
    await tell('call.started', 5_000);
    await waitFor('all lines', () => lines.length === 5_000);
    deaf.destroy();
  });

  test('nobody answers: that is said, with what to do', async () => {
    await assert.rejects(follow(0, []), /no daemon is up here/);
  });
});
