// How fast what is to be sent to nodes and trunks is sent, on a clock that stands still until it is moved.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { NodeQueues, type QueuedWork, type TrunkPace } from '../../core/recovery/node-queues.js';
import { Pacer } from '../../core/recovery/pacer.js';
import { FakeClock } from '../../core/testing/fake-clock.js';

/** The process has run for a while. */
const startMs = 10_000;
let clock: FakeClock;

beforeEach(async () => {
  clock = FakeClock.install(0);
  await clock.advance(startMs);
});
afterEach(() => clock.uninstall());

const sinceStart = (): number => Math.round(performance.now() - startMs);

/** When each of `count` turns came, ms since the start of the test. */
async function turns(pacer: Pacer, count: number, perSecond: number): Promise<number[]> {
  const at: number[] = [];
  for (let i = 0; i < count; i++) void pacer.turn(perSecond).then(() => at.push(sinceStart()));
  await clock.advance(60_000);
  return at;
}

test('a pacer lets a tenth of a second pass at once, and then one at a time', async () => {
  assert.deepEqual(await turns(new Pacer(), 8, 50), [0, 0, 0, 0, 0, 20, 40, 60]);
});

test('one of less than ten a second lets nobody pass before his time, also after a pause', async () => {
  const pacer = new Pacer();
  assert.deepEqual(await turns(pacer, 3, 5), [100, 300, 500]);
  assert.deepEqual(await turns(pacer, 3, 5), [60_100, 60_300, 60_500]);
});

test('without a limit all pass at once', async () => {
  assert.deepEqual(await turns(new Pacer(), 3, Infinity), [0, 0, 0]);
});

test('another rate counts from the next turn on', async () => {
  const pacer = new Pacer();
  assert.deepEqual(await turns(pacer, 2, 5), [100, 300]);
  assert.deepEqual(await turns(pacer, 3, 10), [60_000, 60_100, 60_200]);
});

type Sent = readonly [node: string, name: string, atMs: number];

/** Queues whose work is done at once, and what they have sent. */
function queues() {
  const sent: Sent[] = [];
  const all = new NodeQueues({ atOnce: 16, busyMs: 16 });
  const add = (node: string, name: string, part: Partial<QueuedWork> = {}): void => {
    const run = async (): Promise<void> => void sent.push([node, name, sinceStart()]);
    all.add(node, [{ priority: 0, perSecond: Infinity, isWanted: () => true, run, ...part }]);
  };
  const times = (of: (one: Sent) => boolean): number[] => sent.filter(of).map(([, , atMs]) => atMs);
  return { all, add, sent, times };
}

const pbx: TrunkPace = { name: 'pbx', perSecond: 5 };

test('each node has a pace of its own', async () => {
  const { add, times } = queues();
  for (const name of ['a', 'b', 'c']) {
    add('call-2', name, { perSecond: 5 });
    add('call-3', name, { perSecond: 10 });
  }
  await clock.advance(5_000);
  assert.deepEqual(
    times(([node]) => node === 'call-2'),
    [100, 300, 500],
  );
  assert.deepEqual(
    times(([node]) => node === 'call-3'),
    [0, 100, 200],
  );
});

test('a trunk has one pace for all nodes together, and others do not wait for it', async () => {
  const { add, times } = queues();
  for (const name of ['a', 'b']) {
    add('call-2', name, { trunk: pbx });
    add('call-3', name, { trunk: pbx });
    add('call-2', `other ${name}`, { trunk: { name: 'other', perSecond: 2.5 } });
    add('call-3', `free ${name}`);
  }
  await clock.advance(5_000);
  assert.deepEqual(
    times(([, name]) => name.length === 1),
    [100, 300, 500, 700],
  );
  assert.deepEqual(
    times(([, name]) => name.startsWith('other')),
    [300, 700],
  );
  assert.deepEqual(
    times(([, name]) => name.startsWith('free')),
    [0, 0],
  );
});

test('a node that is slower than the trunk keeps its pace for what comes of it', async () => {
  const { add, times } = queues();
  for (const name of ['a', 'b', 'c']) add('call-2', name, { perSecond: 2, trunk: pbx });
  await clock.advance(5_000);
  // 100 ms until the trunk lets the first one pass, 400 until the node does.
  assert.deepEqual(
    times(() => true),
    [500, 1_000, 1_500],
  );
});

test('on a paced trunk the next one is of the highest priority among those that wait', async () => {
  const { add, sent } = queues();
  add('call-2', 'a', { trunk: pbx });
  add('call-2', 'b', { trunk: pbx });
  add('call-3', 'urgent', { trunk: pbx, priority: 1 });
  await clock.advance(5_000);
  assert.deepEqual(
    sent.map(([, name]) => name),
    ['urgent', 'a', 'b'],
  );
});

test('what waited for a trunk on its way to a node that died takes no turn from those that look for another one', async () => {
  const { all, add, sent } = queues();
  let isUp = true;
  const lost = { trunk: pbx, isWanted: () => isUp };
  for (let i = 0; i < 50; i++) add('call-2', `lost ${i}`, lost);
  isUp = false;
  all.drop('call-2');
  for (const name of ['a', 'b']) add('call-3', name, { trunk: pbx });
  await clock.advance(5_000);
  assert.deepEqual(sent, [
    ['call-3', 'a', 100],
    ['call-3', 'b', 300],
  ]);
});
