// How fast what is to be sent to nodes and trunks is sent, on a clock that stands still until it is moved.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { NodeQueues, type QueuedWork } from '../../core/recovery/node-queues.js';
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

/** Queues whose work is done at once, and what they have sent. A test may change their paces on the way. */
function queues(paces: { node?: number; trunks?: Record<string, number> }) {
  const sent: Sent[] = [];
  const all = new NodeQueues({
    ...{ atOnce: 16, busyMs: 16 },
    perSecond: () => paces.node ?? Infinity,
    trunkPerSecond: trunk => paces.trunks?.[trunk] ?? Infinity,
  });
  const add = (node: string, name: string, part: Partial<QueuedWork> = {}): void => {
    const run = async (): Promise<void> => void sent.push([node, name, sinceStart()]);
    all.add(node, [{ priority: 0, isWanted: () => true, run, ...part }]);
  };
  const times = (of: (one: Sent) => boolean): number[] => sent.filter(of).map(([, , atMs]) => atMs);
  const names = (): string[] => sent.map(([, name]) => name);
  return { all, add, sent, times, names };
}

test('each node has a pace of its own', async () => {
  const { add, times } = queues({ node: 5 });
  for (const name of ['a', 'b', 'c']) for (const node of ['call-2', 'call-3']) add(node, name);
  await clock.advance(5_000);
  for (const node of ['call-2', 'call-3'])
    assert.deepEqual(
      times(one => one[0] === node),
      [100, 300, 500],
    );
});

test('a trunk has one pace for all nodes together, and others do not wait for it', async () => {
  const { add, times } = queues({ trunks: { pbx: 5, other: 2.5 } });
  for (const name of ['a', 'b']) {
    add('call-2', name, { trunk: 'pbx' });
    add('call-3', name, { trunk: 'pbx' });
    add('call-2', `other ${name}`, { trunk: 'other' });
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
  const { add, times } = queues({ node: 2, trunks: { pbx: 5 } });
  for (const name of ['a', 'b', 'c']) add('call-2', name, { trunk: 'pbx' });
  await clock.advance(5_000);
  // 100 ms until the trunk lets the first one pass, 400 until the node does.
  assert.deepEqual(
    times(() => true),
    [500, 1_000, 1_500],
  );
});

for (const [what, paces, trunk] of [
  ['node', { node: 5 }, undefined],
  ['trunk', { trunks: { pbx: 5 } }, 'pbx'],
] as const) {
  const ofTrunk = trunk === undefined ? {} : { trunk };

  test(`who comes late to a paced ${what} has the next turn where nobody who waits has a higher priority`, async () => {
    const { add, names } = queues(paces);
    for (const name of ['a', 'b', 'c', 'd']) add('call-2', name, ofTrunk);
    await clock.advance(150);
    add('call-2', 'higher', { ...ofTrunk, priority: 1 });
    add('call-2', 'highest', { ...ofTrunk, priority: 2 });
    await clock.advance(5_000);
    assert.deepEqual(names(), ['a', 'highest', 'higher', 'b', 'c', 'd']);
  });

  test(`another pace of a ${what} counts for what waits for it already`, async () => {
    const now: Parameters<typeof queues>[0] = structuredClone(paces);
    const { add, times } = queues(now);
    for (const name of ['a', 'b', 'c', 'd']) add('call-2', name, ofTrunk);
    await clock.advance(150);
    Object.assign(now, trunk === undefined ? { node: 20 } : { trunks: { [trunk]: 20 } });
    await clock.advance(5_000);
    // Who was next had its turn already fixed.
    assert.deepEqual(
      times(() => true),
      [100, 300, 350, 400],
    );
  });
}

test('a trunk that has a pace no more lets all pass that wait for it', async () => {
  const trunks: Record<string, number> = { pbx: 5 };
  const { add, times } = queues({ trunks });
  for (const name of ['a', 'b', 'c', 'd']) add('call-2', name, { trunk: 'pbx' });
  await clock.advance(150);
  delete trunks['pbx'];
  await clock.advance(5_000);
  assert.deepEqual(
    times(() => true),
    [100, 300, 300, 300],
  );
});

test('what waited for a trunk on its way to a node that died takes no turn from those that look for another one', async () => {
  const { all, add, sent } = queues({ trunks: { pbx: 5 } });
  let isUp = true;
  const lost = { trunk: 'pbx', isWanted: () => isUp };
  for (let i = 0; i < 50; i++) add('call-2', `lost ${i}`, lost);
  isUp = false;
  all.drop('call-2');
  for (const name of ['a', 'b']) add('call-3', name, { trunk: 'pbx' });
  await clock.advance(5_000);
  assert.deepEqual(sent, [
    ['call-3', 'a', 100],
    ['call-3', 'b', 300],
  ]);
});

test('what waited for a trunk, and is given to the next life of its node, is sent once', async () => {
  const { all, add, names } = queues({ trunks: { pbx: 5 } });
  add('call-2', 'a', { trunk: 'pbx' });
  all.drop('call-2');
  add('call-2', 'a', { trunk: 'pbx' });
  await clock.advance(5_000);
  assert.deepEqual(names(), ['a']);
});
