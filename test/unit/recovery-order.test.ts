// Which of a dead node's calls are recovered first: by the policy of the plugin, emergency calls before all others.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import type { CallRecord } from '../../core/calls/call-record.js';
import { silentLogger } from '../../core/log.js';
import { NodeQueues, type QueuedWork } from '../../core/recovery/node-queues.js';
import { RecoveryPlanner, type PlannerOptions } from '../../core/recovery/recovery-planner.js';
import { incomingCall } from '../../core/testing/facts.js';
import { Admission } from '../../core/trunks/admission.js';
import { policyOf, recoveryConfig } from '../../plugins/session-recovery/recovery-config.js';
import { waitFor } from '../harness/wait-for.js';

/** Nodes and trunks that take whatever comes. */
const unpaced = { perSecond: () => Infinity, trunkPerSecond: () => Infinity };

const rules = {
  ...{ emergency: ['112'], expensive: [], limitsOf: () => undefined, identitiesOf: () => [] },
  numbersOf: () => ({ format: 'as-is' as const }),
};

function call(id: string, dialled: string, target = dialled, trunk = 'lab'): CallRecord {
  const facts = incomingCall({ id, dialled, source: { kind: 'trunk', trunk } });
  const connect = { action: 'connect', strategy: 'in-order' } as const;
  const targets = [{ uri: `sip:${target}@192.0.2.1`, trunk: 'carrier' }];
  return { ...newCallRecord(facts, 'call-1', id, 0, noLimits), flow: [{ ...connect, targets }] };
}

/** The order in which a node is given these calls, which it gets one at a time. */
async function orderOf(calls: readonly CallRecord[]): Promise<string> {
  const policy = policyOf(recoveryConfig.parse({ trunks: { pbx: { priority: 7 } }, firstNumbers: ['2222'] }));
  const admission = new Admission({ rules: () => rules, calls: () => calls });
  const parts: Pick<PlannerOptions, 'policy' | 'isEmergency' | 'askRecover' | 'log'> = {
    policy: () => policy,
    isEmergency: one => admission.isEmergencyCall(one),
    askRecover: async () => undefined,
    log: silentLogger,
  };
  const planner = new RecoveryPlanner(parts as PlannerOptions);
  const decided = await Promise.all(
    calls.map(async one => {
      const legs = one.legs.map(leg => ({ call: one, leg, dialog: undefined, action: 'recover' as const, reason: '' }));
      return planner.decide({ call: one, legs }, { node: 'call-1', dryRun: false });
    }),
  );
  const queues = new NodeQueues({ ...unpaced, atOnce: 1, busyMs: 60_000 });
  const order: string[] = [];
  let free: (() => void) | undefined;
  const busy = new Promise<void>(resolve => (free = resolve));
  const work = { isWanted: () => true };
  queues.add('call-2', [{ ...work, priority: 0, run: () => busy }]);
  const all = decided.map(({ call: { id }, priority }) => ({
    ...work,
    priority,
    run: async () => void order.push(id),
  }));
  // One after the other, as deaths may come.
  for (const one of all) queues.add('call-2', [one]);
  free?.();
  await waitFor('all of them', () => order.length === calls.length);
  return order.join(' ');
}

test('emergency calls are recovered before all others, by what was dialled or by what the trunk gets', async () => {
  const calls = [
    call('other', '7001'),
    call('pbx', '7002', '7002', 'pbx'),
    call('named', '2222'),
    call('prefixed', '0112', '112'),
    call('plain', '112'),
  ];
  assert.equal(await orderOf(calls), 'named prefixed plain pbx other');
  assert.equal(await orderOf([...calls].reverse()), 'plain prefixed named pbx other');
});

test('who does not answer, or waits for the turn of a trunk, keeps nobody else waiting', async () => {
  const queues = new NodeQueues({ ...unpaced, atOnce: 2, busyMs: 20, trunkPerSecond: () => 1 });
  const order: string[] = [];
  const never = new Promise<void>(() => undefined);
  const work = (name: string, ends: Promise<void>): QueuedWork => ({
    ...{ priority: 0, isWanted: () => true },
    run: () => {
      order.push(name);
      return ends;
    },
  });
  const paced = ['paced-1', 'paced-2'].map(name => ({ ...work(name, Promise.resolve()), trunk: 'pbx' }));
  const silent = ['silent-1', 'silent-2', 'silent-3', 'silent-4'].map(name => work(name, never));
  queues.add('call-2', [...paced, ...silent, work('last', Promise.resolve())]);
  await waitFor('the last one', () => order.includes('last'));
  assert.deepEqual(
    order.filter(name => !name.startsWith('paced')),
    [...silent.keys()].map(i => `silent-${i + 1}`).concat('last'),
  );
  assert.ok(!order.includes('paced-2'), 'its trunk has not let it pass yet');
});

test('what was waiting for a node that is gone does not go there, and what comes for its next life does', async () => {
  const queues = new NodeQueues({ ...unpaced, atOnce: 1, busyMs: 60_000 });
  const order: string[] = [];
  let end: () => void = () => undefined;
  const first = new Promise<void>(resolve => (end = resolve));
  const work = (name: string, ends = Promise.resolve()): QueuedWork => ({
    ...{ priority: 0, isWanted: () => true },
    run: () => {
      order.push(name);
      return ends;
    },
  });
  queues.add('call-2', [work('under way', first), work('waits')]);
  await waitFor('the first one', () => order.length === 1);
  queues.drop('call-2');
  queues.add('call-2', [work('next life')]);
  end();
  await waitFor('the next life', () => order.includes('next life'));
  assert.deepEqual(order, ['under way', 'next life']);
});
