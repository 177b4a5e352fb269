// How the farm is kept: verdicts on nodes, names of engines, pins while lists change, all without a server.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EdgeSync } from '../../core/farm/edge-sync.js';
import { EngineBook } from '../../core/farm/engine-book.js';
import { planFarm } from '../../core/farm/farm-plan.js';
import { NodeStates } from '../../core/farm/node-states.js';
import { silentLogger } from '../../core/log.js';
import type { EdgeFarm, EdgeState } from '../../core/ports/edge.js';
import { openMemoryStore } from '../../core/store/memory-store.js';

const plan = planFarm('127.9.9.0/24', { kamailio: 2, call: 2, conference: 1, registrar: 1, rtpengine: 2 });
const engine1 = plan.nodes.find(node => node.name === 'rtpengine-1')!;

describe('the farm plan', () => {
  test('lays nodes out on fixed addresses and refuses a subnet that is not a /24', () => {
    assert.deepEqual(
      plan.nodes.find(node => node.name === 'kamailio-2'),
      { name: 'kamailio-2', farm: 'kamailio', index: 2, address: '127.9.9.22', external: '127.9.9.12' },
    );
    assert.equal(plan.publicVip, '127.9.9.100');
    assert.throws(() => planFarm('127.9.9.0/16', { kamailio: 1, call: 1, conference: 1, registrar: 1, rtpengine: 1 }), {
      code: 'CONFIG_INVALID',
    });
  });
});

describe('the incarnations of an engine', () => {
  test('a restart on the same address is a new name, and the dead one has a successor', async () => {
    const store = openMemoryStore();
    const book = new EngineBook(store);
    assert.equal(await book.observe(engine1, { pid: 10, startTicks: 1 }), true);
    assert.equal(await book.observe(engine1, { pid: 10, startTicks: 1 }), false);
    assert.equal(await book.observe(engine1, { pid: 11, startTicks: 9 }), true);
    const [first, second] = book.list(() => 'up');
    assert.deepEqual([first?.state, first?.successor, second?.state], ['dead', second?.id, 'up']);
    assert.notEqual(first?.id, second?.id);
    const again = new EngineBook(store);
    await again.load();
    assert.deepEqual(
      again.list(() => 'up'),
      book.list(() => 'up'),
    );
  });
});

interface EdgeLog {
  readonly edge: EdgeFarm;
  readonly log: string[];
  readonly applied: EdgeState[];
}

function recordingEdge(): EdgeLog {
  const log: string[] = [];
  const applied: EdgeState[] = [];
  const edge: EdgeFarm = {
    apply: async state => {
      log.push('apply');
      applied.push(state);
      return [{ instance: 'kamailio-1', equal: true }];
    },
    dispatcher: async () => [],
    ready: async () => true,
    pin: async (callId, node) => void log.push(`pin ${callId} ${node}`),
    unpin: async callId => void log.push(`unpin ${callId}`),
    counters: async () => ({}),
  };
  return { edge, log, applied };
}

describe('the edge kept equal', () => {
  test('calls in set-up are pinned before a list changes, and INVITEs that arrive meanwhile too', async () => {
    const { edge, log } = recordingEdge();
    const states = new NodeStates(silentLogger);
    for (const node of plan.nodes) states.add(node);
    const sync = new EdgeSync({
      edge,
      states,
      book: new EngineBook(openMemoryStore()),
      balancer: { apply: async () => undefined, fence: async () => undefined, remove: async () => undefined },
      fenced: () => [],
      settings: () => ({ sources: [], subscribers: [], policies: [], defaultPolicy: 'any' }),
      unanswered: () => [{ sipCallId: 'ringing', node: 'call-1' }],
      log: silentLogger,
    });
    states.setHealth('call-1', 'up', 'test');
    await sync.apply('start');
    states.setDraining('call-1', true, 'test');
    await sync.apply('drain');
    sync.arrived('call-1', 'late');
    assert.deepEqual(log, ['apply', 'pin ringing call-1', 'apply', 'pin late call-1']);
    assert.equal(sync.isEqual('kamailio-1'), true);
  });

  test('changes that come while one is applied are applied once more, not lost', async () => {
    const { edge, applied } = recordingEdge();
    const states = new NodeStates(silentLogger);
    for (const node of plan.nodes) states.add(node);
    const sync = new EdgeSync({
      edge,
      states,
      book: new EngineBook(openMemoryStore()),
      balancer: { apply: async () => undefined, fence: async () => undefined, remove: async () => undefined },
      fenced: () => [],
      settings: () => ({ sources: [], subscribers: [], policies: [], defaultPolicy: 'any' }),
      unanswered: () => [],
      log: silentLogger,
    });
    const first = sync.apply('one');
    states.setHealth('call-2', 'up', 'test');
    await Promise.all([first, sync.apply('two'), sync.apply('three')]);
    assert.equal(applied.at(-1)?.nodes.find(node => node.name === 'call-2')?.state, 'up');
  });
});
