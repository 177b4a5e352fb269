// What plugins make of the recovery of a call by the hook `recover`, and where the calls of a room go.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { CallRecord } from '../../core/calls/call-record.js';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import { NodeStates } from '../../core/farm/node-states.js';
import { createLogger, silentLogger } from '../../core/log.js';
import type { LostCall, RecoverAnswer } from '../../core/recovery/recovery-facts.js';
import type { PlannedCall } from '../../core/recovery/recovery-plan.js';
import { isRecovered, RecoveryPlanner, type PlannerOptions } from '../../core/recovery/recovery-planner.js';
import { incomingCall } from '../../core/testing/facts.js';
import { policyOf, recoveryConfig } from '../../plugins/session-recovery/recovery-config.js';

const policy = policyOf(recoveryConfig.parse({ trunks: { lab: { priority: 7 } } }));
const atADeath = { node: 'call-1', dryRun: false };
let lines: { level: string; call: string; msg: string }[];
beforeEach(() => (lines = []));

function call(id: string): CallRecord {
  const record = newCallRecord(incomingCall({ id }), 'call-1', `${id}-caller`, 0, noLimits);
  return { ...record, legs: record.legs.flatMap(leg => [leg, { ...leg, id: `${id}-1`, direction: 'outbound' }]) };
}

function lost(id: string): PlannedCall {
  const record = call(id);
  const planned = { call: record, dialog: undefined, action: 'recover', reason: 'its dialog is known' } as const;
  return { call: record, legs: record.legs.map(leg => ({ ...planned, leg })) };
}

type Recover = (call: LostCall) => Promise<RecoverAnswer | undefined>;

function plannerWith(askRecover: Recover, part: Partial<PlannerOptions> = {}): RecoveryPlanner {
  const log = createLogger({
    level: 'info',
    destination: { write: line => void lines.push(JSON.parse(line) as (typeof lines)[number]) },
  });
  const parts = { log, policy: () => policy, isEmergency: () => false, askRecover, ...part };
  return new RecoveryPlanner(parts as unknown as PlannerOptions);
}

test('a plugin is told of the call, and of its priority by the policy', async () => {
  const asked: LostCall[] = [];
  const planner = plannerWith(async one => void asked.push(one), { isEmergency: ({ id }) => id === 'c' });
  const decided = await planner.decide(lost('c'), atADeath);
  const { source, dialled, callerNumber } = incomingCall();
  const facts = { id: 'c', source, dialled, callerNumber, sessions: 2, emergency: true };
  assert.deepEqual(asked, [{ ...facts, ...atADeath, priority: 1_000_000 }]);
  assert.deepEqual(decided, { ...lost('c'), priority: 1_000_000, wish: undefined });
});

test('skip ends all sessions of the call, and says that a plugin wants it so', async () => {
  const decided = await plannerWith(async () => ({ skip: 'a test call' })).decide(lost('c'), atADeath);
  assert.deepEqual(
    decided.legs.map(({ leg, action, reason }) => [leg.id, action, reason]),
    ['c-caller', 'c-1'].map(id => [id, 'end', 'a plugin says: a test call']),
  );
  assert.equal(isRecovered(decided), false);
});

test('a session that ends in any case keeps its own reason', async () => {
  const { call: record, legs } = lost('c');
  const [first, second] = legs;
  assert.ok(first && second);
  const ending = { ...first, action: 'end' as const, reason: 'it was being ended already' };
  const decided = await plannerWith(async () => ({ skip: 'no' })).decide(
    { call: record, legs: [ending, second] },
    atADeath,
  );
  assert.deepEqual(
    decided.legs.map(one => one.reason),
    ['it was being ended already', 'a plugin says: no'],
  );
});

test('priority and node are the plugin’s where it says so, and else the policy’s', async () => {
  const answers: readonly (readonly [RecoverAnswer | undefined, number, string | undefined])[] = [
    [{ priority: -1, node: 'call-3' }, -1, 'call-3'],
    [{ priority: 0 }, 0, undefined],
    [{ node: 'call-3' }, 7, 'call-3'],
    [{}, 7, undefined],
    [undefined, 7, undefined],
  ];
  for (const [answer, priority, wish] of answers) {
    const decided = await plannerWith(async () => answer).decide(lost('c'), atADeath);
    assert.deepEqual(decided, { ...lost('c'), priority, wish });
  }
});

test('a hook that fails leaves the call to the policy, and the log says so', async () => {
  const planner = plannerWith(() => Promise.reject(new Error('plugin odd: the hook recover failed: oh')));
  assert.deepEqual(await planner.decide(lost('c'), atADeath), { ...lost('c'), priority: 7, wish: undefined });
  assert.deepEqual(
    lines.map(({ level, call: id, msg }) => [level, id, msg]),
    [['error', 'c', 'recovered as the policy says: plugin odd: the hook recover failed: oh']],
  );
});

test('no plugin is asked of a call of which nothing can be recovered, nor where there is no policy', async () => {
  const planner = plannerWith(() => assert.fail('asked'));
  const { call: record, legs } = lost('c');
  const ending = { call: record, legs: legs.map(one => ({ ...one, action: 'end' as const, reason: 'gone' })) };
  assert.deepEqual((await planner.decide(ending, atADeath)).legs, ending.legs);
  const without = plannerWith(() => assert.fail('asked'), { policy: () => undefined });
  assert.deepEqual(
    (await without.decide(lost('c'), atADeath)).legs.map(one => one.reason),
    Array(2).fill('the session-recovery plugin is not in the config'),
  );
  assert.deepEqual(lines, []);
});

/** Calls `r…` are in one room that is mixed on their node. */
function assigning(channels: Readonly<Record<string, number>>): RecoveryPlanner {
  const nodes = new NodeStates(silentLogger);
  Object.keys(channels).forEach((name, i) => {
    nodes.add({ name, farm: 'call', index: i + 1, address: `192.0.2.${i + 1}` });
    nodes.setHealth(name, 'up', 'it answers');
  });
  const book = { liveLegsOn: (node: string) => Array.from({ length: channels[node] ?? 0 }) };
  const conferences = { mixedTogether: (id: string) => (id.startsWith('r') ? 'room' : undefined) };
  return plannerWith(async () => undefined, { nodes, engine: { book }, conferences } as unknown as PlannerOptions);
}

const toAssign = (id: string, wish?: string, priority = 0) => ({ call: call(id), legs: [1, 2], priority, wish });

test('the node that a plugin wants wins over the one with room, where it is up', () => {
  const planner = assigning({ 'call-2': 0, 'call-3': 50 });
  const assigned = planner.assign([toAssign('a', 'call-3'), toAssign('b'), toAssign('c', 'call-9')], undefined);
  assert.deepEqual(Object.fromEntries(assigned), { a: 'call-3', b: 'call-2', c: 'call-2' });
});

test('the calls of a room stay together, where a plugin wants one of them, and none goes to the node that is left out', () => {
  const planner = assigning({ 'call-1': 0, 'call-2': 0, 'call-3': 10 });
  const room = [toAssign('r1'), toAssign('x'), toAssign('r2'), toAssign('r3')];
  assert.deepEqual(Object.fromEntries(planner.assign(room, 'call-1')), {
    ...{ r1: 'call-2', r2: 'call-2', r3: 'call-2' },
    x: 'call-2',
  });
  const wishing = [toAssign('r1'), toAssign('r2', 'call-3')];
  assert.deepEqual(Object.fromEntries(planner.assign(wishing, 'call-1')), { r1: 'call-3', r2: 'call-3' });
});
