// Recoveries: the record of one, as a daemon finds it that comes back in the middle of it, and what plugins make of one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CallEvent } from '../../core/calls/call-machine.js';
import { echoPeer, type CallRecord } from '../../core/calls/call-record.js';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import { NodeStates } from '../../core/farm/node-states.js';
import { createLogger, silentLogger } from '../../core/log.js';
import type { AriEvent } from '../../core/ports/asterisk.js';
import { Recoveries, type RecoveriesOptions } from '../../core/recovery/recoveries.js';
import type { RecoverAnswer } from '../../core/recovery/recovery-facts.js';
import { recoveryRecordSchema } from '../../core/recovery/recovery-record.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import { incomingCall } from '../../core/testing/facts.js';
import { policyOf, recoveryConfig } from '../../plugins/session-recovery/recovery-config.js';
import { waitFor } from '../harness/wait-for.js';

test('one that is told of the same death again, as the daemon before it hardly lived, counts its sessions once', async () => {
  const store = openMemoryStore();
  const death = { node: 'call-1', firstSignMs: 1_000, declaredMs: 2_000 };
  const begun = { found: 4, recovered: 1, ended: 0, failed: 0 };
  const record = { ...death, epoch: 'call-1-rs', farm: 'call', sessions: begun, lastUpMs: null, done: false };
  await store.table('recoveries', recoveryRecordSchema).put('call-1-rs', { ...record, farm: 'call' });
  const told: string[] = [];
  const options = {
    ...{ store, nodes: new NodeStates(silentLogger), policy: () => undefined, log: silentLogger },
    engine: { onRecovering: () => undefined, save: async () => undefined, book: { withLegsOn: () => [] } },
    cores: { hold: () => undefined, release: () => undefined },
    source: {
      hasTraced: false,
      openInvites: async () => [],
      dialogs: async () => new Map(),
    },
    done: ({ epoch, sessions }: { epoch: string; sessions: { found: number } }) =>
      void told.push(`${epoch} ${sessions.found}`),
  } as unknown as RecoveriesOptions;
  const recoveries = new Recoveries(options);
  await recoveries.load();
  await recoveries.nodeDied({ ...death, reason: 'it died while the daemon was away' });
  assert.deepEqual(
    recoveries.list().map(one => [one.sessions, one.done]),
    [[begun, true]],
  );
  assert.deepEqual(told, ['call-1-rs 4']);
});

/** An answered call of two legs that need no dialog. */
function call(id: string): CallRecord {
  const record = newCallRecord(incomingCall({ id }), 'call-1', `${id}-0`, 0, noLimits);
  const legs = record.legs.flatMap(leg => [leg, { ...leg, id: `${id}-1` }]);
  const confirmed = legs.map(leg => ({ ...leg, peer: echoPeer, state: 'confirmed' as const }));
  return { ...record, state: 'confirmed', answeredMs: 1, legs: confirmed };
}

type Recover = (callId: string) => RecoverAnswer | undefined | Promise<RecoverAnswer | undefined>;

interface Surroundings {
  /** What the ledger knows of a node's dialogs, when it answers. */
  readonly dialogs?: (node: string) => Promise<unknown>;
  readonly attach?: (legId: string) => Promise<void>;
  /** Sessions that are never up on a node, as `leg node`. */
  readonly silent?: readonly string[];
}

/** call-1 with these calls is to die; call-2 and call-3 take every order and have it up at once. */
function dying(ids: readonly string[], recover: Recover = () => undefined, around: Surroundings = {}) {
  const { dialogs = async () => undefined, attach = async () => undefined, silent = [] } = around;
  const calls = ids.map(call);
  const nodes = new NodeStates(silentLogger);
  for (const index of [2, 3]) {
    nodes.add({ name: `call-${index}`, farm: 'call', index, address: `192.0.2.${index}` });
    nodes.setHealth(`call-${index}`, 'up', 'it answers');
  }
  const moveTo = (node: string, legId: string): void =>
    calls.forEach((one, i) => {
      calls[i] = { ...one, legs: one.legs.map(leg => (leg.id === legId ? { ...leg, node } : leg)) };
    });
  const [sent, told, lines]: [string[], string[], string[]] = [[], [], []];
  let hear: (node: string, event: AriEvent) => boolean = () => false;
  const originate =
    (node: string) =>
    async ({ channelId }: { channelId: string }): Promise<void> => {
      sent.push(`${channelId} ${node}`);
      if (silent.includes(`${channelId} ${node}`)) return;
      setImmediate(() => hear(node, { type: 'StasisStart', channel: { id: channelId } } as unknown as AriEvent));
    };
  const log = createLogger({
    level: 'info',
    destination: { write: line => void lines.push((JSON.parse(line) as { msg: string }).msg) },
  });
  const options = {
    ...{ store: openMemoryStore(), nodes, policy: () => policyOf(recoveryConfig.parse({})), log },
    engine: {
      onRecovering: (listener: typeof hear) => (hear = listener),
      save: async () => undefined,
      tell: (_: string, event: CallEvent): void => {
        if (event.type === 'legsMoved') for (const leg of event.legs) moveTo(event.node, leg);
        const legs = 'legs' in event ? event.legs : 'leg' in event ? [event.leg] : [];
        for (const leg of legs) told.push(`${event.type} ${leg}${'lost' in event ? `: ${event.lost}` : ''}`);
      },
      book: {
        withLegsOn: (node: string) => calls.filter(one => one.legs.some(leg => leg.node === node)),
        liveLegsOn: () => [],
        record: (id: string) => calls.find(one => one.id === id),
        sipCallIdOf: () => undefined,
      },
    },
    conferences: {
      ...{ mixedTogether: () => undefined, bridgeOf: () => undefined },
      ...{ move: async () => undefined, attach: (_: string, legId: string) => attach(legId) },
    },
    asterisks: { node: (name: string) => ({ ari: { channels: { originate: originate(name) } } }) },
    cores: { hold: () => undefined, release: () => undefined },
    source: {
      hasTraced: false,
      openInvites: async () => [],
      dialogs: async (node: string) => (await dialogs(node), new Map()),
    },
    ...{ isEmergency: () => false, hasCredentials: () => false, mediaReady: async () => undefined },
    ...{ askRecover: async ({ id }: { id: string }) => recover(id), done: () => undefined },
  } as unknown as RecoveriesOptions;
  const recoveries = new Recoveries(options);
  const died = (node = 'call-1'): Promise<void> => {
    if (node !== 'call-1') nodes.setHealth(node, 'dead', 'killed');
    return recoveries.nodeDied({ node, reason: 'killed', firstSignMs: 1_000, declaredMs: 1_000 });
  };
  return { recoveries, died, sent, told, lines };
}

test('a call that a plugin vetoes ends on both sides, and the log says why', async () => {
  const { recoveries, died, sent, told, lines } = dying(['a', 'b'], id =>
    id === 'a' ? { skip: 'a test' } : undefined,
  );
  await died();
  assert.deepEqual(sent, ['b-0 call-2', 'b-1 call-2']);
  assert.deepEqual(
    told.filter(one => /legEnded|legRecovered/.test(one)),
    [
      ...['a-0', 'a-1'].map(leg => `legEnded ${leg}: not recovered, a plugin says: a test`),
      ...['legRecovered b-0', 'legRecovered b-1'],
    ],
  );
  for (const leg of ['a-0', 'a-1'])
    assert.ok(lines.includes(`leg ${leg} is not recovered: a plugin says: a test`), lines.join('\n'));
  assert.deepEqual(recoveries.list()[0]?.sessions, { found: 4, recovered: 2, ended: 2, failed: 0 });
});

test('a plugin’s priority says who sets off first, and its node where to', async () => {
  const answers: Record<string, RecoverAnswer> = { b: { priority: -1 }, c: { priority: 1 }, d: { node: 'call-3' } };
  const { died, sent } = dying(['a', 'b', 'c', 'd'], id => ({ node: 'call-2', ...answers[id] }));
  await died();
  const sentTo = (node: string): string[] => sent.filter(one => one.endsWith(node)).map(one => one.slice(0, 3));
  assert.deepEqual(sentTo('call-2'), ['c-0', 'c-1', 'a-0', 'a-1', 'b-0', 'b-1']);
  assert.deepEqual(sentTo('call-3'), ['d-0', 'd-1']);
});

test('a plugin that fails at one call costs nobody the recovery', async () => {
  const { recoveries, died, sent, lines } = dying(['a', 'b'], id => {
    if (id === 'a') throw new Error('oh');
    return undefined;
  });
  await died();
  assert.deepEqual(sent.map(one => one.slice(0, 3)).sort(), ['a-0', 'a-1', 'b-0', 'b-1']);
  assert.ok(lines.includes('recovered as the policy says: oh'), lines.join('\n'));
  assert.equal(recoveries.list()[0]?.sessions.recovered, 4);
});

test('the others set off without a call of which a plugin takes its time, which is marked and follows', async () => {
  let answer: (value: RecoverAnswer) => void = () => undefined;
  const late = new Promise<RecoverAnswer>(resolve => (answer = resolve));
  const { recoveries, died, sent, told } = dying(['a', 'slow', 'b'], id => (id === 'slow' ? late : undefined));
  const done = died();
  await waitFor('the others to be back', () => told.filter(one => one.startsWith('legRecovered')).length === 4);
  assert.deepEqual(sent.map(one => one.slice(0, 3)).sort(), ['a-0', 'a-1', 'b-0', 'b-1']);
  assert.ok(told.includes('legsMoved slow-0') && told.includes('legsMoved slow-1'), told.join('\n'));
  assert.deepEqual(
    recoveries.list().map(one => one.done),
    [false],
  );
  answer({ node: 'call-3' });
  await done;
  assert.deepEqual(sent.slice(4), ['slow-0 call-3', 'slow-1 call-3']);
  assert.deepEqual(
    recoveries.list().map(({ done: isDone, sessions }) => [isDone, sessions.recovered]),
    [[true, 6]],
  );
});

test('a session that was on its way to a node that dies too, and is on a third before its dialogs are known, is no loss of it', async () => {
  let know: () => void = () => undefined;
  const known = new Promise<void>(resolve => (know = resolve));
  const { recoveries, died, sent, told } = dying(['a'], undefined, {
    dialogs: async node => (node === 'call-2' ? known : undefined),
    silent: ['a-1 call-2'],
  });
  const first = died();
  await waitFor('one to be back', () => told.includes('legRecovered a-0') && sent.includes('a-1 call-2'));
  const second = died('call-2');
  await waitFor('the other one to be back', () => told.includes('legRecovered a-1'));
  know();
  await Promise.all([first, second]);
  assert.deepEqual(sent, ['a-0 call-2', 'a-1 call-2', 'a-1 call-3', 'a-0 call-3']);
  assert.deepEqual(
    told.filter(one => one.startsWith('legEnded')),
    [],
  );
  assert.deepEqual(
    recoveries.list().map(({ node, sessions }) => [node, sessions.found, sessions.recovered]),
    [
      ['call-1', 2, 2],
      ['call-2', 1, 1],
    ],
  );
});

test('a session whose node dies while it joins its conference there is recovered on another one', async () => {
  let fail: (error: Error) => void = () => undefined;
  const gone = new Promise<void>((_, reject) => (fail = reject));
  let joins = 0;
  const { recoveries, died, sent, told } = dying(['a'], undefined, {
    attach: async legId => (legId === 'a-1' && ++joins === 1 ? gone : undefined),
  });
  const first = died();
  await waitFor('both to be up', () => told.includes('legRecovered a-0') && joins === 1);
  const second = died('call-2');
  fail(new Error('call-2 is gone'));
  await Promise.all([first, second]);
  assert.deepEqual([...sent].sort(), ['a-0 call-2', 'a-0 call-3', 'a-1 call-2', 'a-1 call-3']);
  assert.deepEqual(
    recoveries.list().map(({ sessions }) => sessions.failed),
    [0, 0],
  );
});

test('a session that does not get back into its conference has failed, and is counted so', async () => {
  const { recoveries, died, told } = dying(['a'], undefined, {
    attach: async legId => {
      if (legId === 'a-1') throw new Error('it is full');
    },
  });
  await died();
  assert.deepEqual(recoveries.list()[0]?.sessions, { found: 2, recovered: 1, ended: 0, failed: 1 });
  assert.ok(told.includes('legEnded a-1: not recovered, not back in its conference: it is full'), told.join('\n'));
});
