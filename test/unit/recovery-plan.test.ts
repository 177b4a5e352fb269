// On which nodes the sessions of a dead one are recovered: by live channels, groups that must stay together on one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assignTargets, type RecoveryTarget, type SessionGroup } from '../../core/recovery/recovery-plan.js';
import { seeded, type Random } from '../harness/seeded-random.js';

type Group = SessionGroup<string>;

const group = (key: string, sessions: number, part: Partial<Group> = {}): Group => ({
  ...{ key, sessions, priority: 0, wish: undefined },
  ...part,
});

/** Live channels of each node when all groups are where they go. */
function loads(groups: readonly Group[], targets: readonly RecoveryTarget[]): Map<string, number> {
  const assigned = assignTargets(groups, targets);
  const sessionsOn = (node: string): number =>
    groups.reduce((sum, { key, sessions }) => sum + (assigned.get(key) === node ? sessions : 0), 0);
  return new Map(targets.map(({ node, channels }) => [node, channels + sessionsOn(node)]));
}

/** What each node would have that has not more already, if sessions could be divided at will. */
function shareOf(sessions: number, targets: readonly RecoveryTarget[]): number {
  const channels = targets.map(one => one.channels).sort((a, b) => a - b);
  const shares = channels.map((_, i) => (sessions + channels.slice(0, i + 1).reduce((a, b) => a + b)) / (i + 1));
  return Math.min(...shares);
}

/** Nodes as unevenly loaded as may be, calls of one or two sessions, and some rooms. */
function farm(random: Random): { groups: Group[]; targets: RecoveryTarget[] } {
  const targets = Array.from({ length: 2 + random(7) }, (_, i) => ({ node: `call-${i + 2}`, channels: random(200) }));
  const calls = Array.from({ length: 50 + random(400) }, (_, i) => group(`call ${i}`, 1 + random(2)));
  const rooms = Array.from({ length: random(8) }, (_, i) => group(`room ${i}`, 3 + random(60)));
  return { groups: shuffled([...calls, ...rooms], random), targets };
}

function shuffled<T>(all: readonly T[], random: Random): T[] {
  return all
    .map(one => ({ one, at: random(1_000_000) }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

test('no node gets above 1.25 times its share where groups are small enough, whatever the nodes had before', () => {
  let looked = 0;
  for (let seed = 1; seed <= 500; seed++) {
    const { groups, targets } = farm(seeded(seed));
    const share = shareOf(
      groups.reduce((sum, { sessions }) => sum + sessions, 0),
      targets,
    );
    if (Math.max(...groups.map(one => one.sessions)) > share / 4) continue;
    looked++;
    assert.equal(assignTargets(groups, targets).size, groups.length);
    for (const [node, channels] of loads(groups, targets)) {
      const had = targets.find(one => one.node === node)?.channels ?? 0;
      assert.ok(
        channels <= Math.max(had, 1.25 * share),
        `seed ${seed}: ${node} has ${channels}, its share is ${share}`,
      );
    }
  }
  assert.ok(looked > 100, `${looked} farms looked at`);
});

test('how full nodes get does not depend on the order of calls and rooms', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = seeded(seed);
    const { groups, targets } = farm(random);
    assert.deepEqual(loads(groups, targets), loads(shuffled(groups, random), targets), `seed ${seed}`);
  }
});

test('a room that is as large as all calls together has a node for itself', () => {
  const calls = Array.from({ length: 30 }, (_, i) => group(`call ${i}`, 2));
  const targets = ['call-2', 'call-3'].map(node => ({ node, channels: 0 }));
  assert.deepEqual([...loads([...calls, group('room', 60)], targets).values()], [60, 60]);
});

test('a node that is busy gets nothing before the others are as busy', () => {
  const calls = Array.from({ length: 10 }, (_, i) => group(`call ${i}`, 2));
  const targets = [
    { node: 'call-2', channels: 30 },
    { node: 'call-3', channels: 4 },
    { node: 'call-4', channels: 0 },
  ];
  assert.deepEqual([...loads(calls, targets).values()], [30, 12, 12]);
});

test('groups of a higher priority are spread first, and a wish counts where that node is a target', () => {
  const targets = ['call-2', 'call-3'].map(node => ({ node, channels: 0 }));
  const urgent = ['112 a', '112 b'].map(key => group(key, 2, { priority: 1 }));
  const assigned = assignTargets([group('room', 60), ...urgent], targets);
  assert.deepEqual(
    urgent.map(({ key }) => assigned.get(key)),
    ['call-2', 'call-3'],
  );
  const wishing = [
    group('a', 2, { wish: 'call-3' }),
    group('b', 2, { wish: 'call-3' }),
    group('c', 2, { wish: 'call-9' }),
  ];
  assert.deepEqual([...assignTargets(wishing, targets).values()], ['call-3', 'call-3', 'call-2']);
});

test('without a target nothing is given out', () => {
  assert.equal(assignTargets([group('a', 2)], []).size, 0);
});
