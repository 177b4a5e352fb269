// How the farm is kept: verdicts on nodes, names of engines, pins while lists change, all without a server.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { EdgeKeeper } from '../../core/farm/edge-keeper.js';
import { EdgeSync, type EdgeSyncOptions } from '../../core/farm/edge-sync.js';
import { EngineBook } from '../../core/farm/engine-book.js';
import { nodeNamed, planFarm, type FarmNode } from '../../core/farm/farm-plan.js';
import { KnownProcesses } from '../../core/farm/known-processes.js';
import { NodeStates } from '../../core/farm/node-states.js';
import { silentLogger } from '../../core/log.js';
import type { ApplyExtent, EdgeFarm, EdgeState } from '../../core/ports/edge.js';
import type { NodeHost, NodeProcess } from '../../core/ports/node-host.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import { plainEdge } from '../harness/plain-edge.js';
import { waitFor } from '../harness/wait-for.js';

const plan = planFarm('127.9.9.0/24', { kamailio: 2, call: 2, conference: 1, registrar: 1, rtpengine: 2 });
const [engine1, engine2] = plan.nodes.filter(node => node.farm === 'rtpengine') as [FarmNode, FarmNode];

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

  test('one that was declared dead stays so while its process is still there, and so does who took over', async () => {
    const book = new EngineBook(openMemoryStore());
    await book.observe(engine1, { pid: 10, startTicks: 1 });
    await book.observe(engine2, { pid: 20, startTicks: 2 });
    const first = 'e1-1';
    assert.equal(book.serving().get(first), 'rtpengine-1');
    await book.bury('rtpengine-1', 10);
    const heir = book.list(() => 'up').find(one => one.id === first)?.successor;
    assert.equal(book.serving().get(first), 'rtpengine-2');
    assert.equal(await book.observe(engine1, { pid: 10, startTicks: 1 }), false);
    await book.observe(engine1, { pid: 11, startTicks: 9 });
    assert.equal(book.list(() => 'up').find(one => one.id === first)?.successor, heir);
    assert.equal(book.serving().get(first), 'rtpengine-2');
  });

  test('what its end asks for is in the store with it, or a daemon that dies in between would leave that to nobody', async () => {
    const store = openMemoryStore();
    const moves = store.table('media-moves', z.string());
    const book = new EngineBook(store);
    await book.observe(engine1, { pid: 10, startTicks: 1 });
    let commits = 0;
    store.onCommit(() => commits++);
    await book.bury('rtpengine-1', 10, [moves.putting('first', 'its media')]);
    assert.equal(commits, 1);
    assert.equal((await moves.get('first'))?.value, 'its media');
    const next = new EngineBook(store);
    await next.load();
    await next.observe(engine1, { pid: 11, startTicks: 2 });
    assert.deepEqual(
      await next.buryGone(
        () => undefined,
        node => [moves.putting('second', node)],
      ),
      ['rtpengine-1'],
    );
    assert.equal((await moves.get('second'))?.value, 'rtpengine-1');
  });

  test('one that a daemon which has just started has not heard yet keeps its dialogs', async () => {
    const book = new EngineBook(openMemoryStore());
    await book.observe(engine1, { pid: 10, startTicks: 1 });
    await book.observe(engine2, { pid: 20, startTicks: 2 });
    const [first, second] = book.list(name => (name === 'rtpengine-1' ? 'dead' : 'up'));
    assert.deepEqual([first?.state, first?.successor, second?.state], ['dead', undefined, 'up']);
  });

  test('those that died while nobody looked are found by their processes', async () => {
    const book = new EngineBook(openMemoryStore());
    await book.observe(engine1, { pid: 10, startTicks: 1 });
    await book.observe(engine2, { pid: 20, startTicks: 2 });
    const gone = await book.buryGone(name =>
      name === 'rtpengine-1' ? { pid: 10, startTicks: 7 } : { pid: 20, startTicks: 2 },
    );
    assert.deepEqual(gone, ['rtpengine-1']);
    assert.deepEqual(await book.buryGone(() => ({ pid: 20, startTicks: 2 })), []);
  });
});

describe('the processes of Asterisks', () => {
  test('that are gone or others now are told, also of a node that the config has no more or that was drained', async () => {
    const store = openMemoryStore();
    const states = new NodeStates(silentLogger);
    const processes = new Map<string, NodeProcess>();
    const known = new KnownProcesses(
      store,
      { process: (name: string) => processes.get(name) } as NodeHost,
      states,
      silentLogger,
    );
    const names = ['call-1', 'call-2', 'call-3', 'call-4'];
    for (const [i, name] of names.entries()) {
      const node = nodeNamed(plan.subnet, name);
      assert.ok(node);
      states.add(node);
      processes.set(name, { pid: i, startTicks: 1 });
      states.setDraining(name, name === 'call-4', 'test');
      states.setHealth(name, 'up', 'test');
    }
    await waitFor('all to be noted', async () => (await known.gone(names)).length === 0);
    for (const name of ['call-2', 'call-3', 'call-4']) processes.set(name, { pid: 9, startTicks: 2 });
    processes.delete('call-3');
    assert.deepEqual(await known.gone([...names, 'call-3', 'call-5']), ['call-2', 'call-3', 'call-4']);
    states.setHealth('call-4', 'dead', 'test');
    states.setHealth('call-4', 'up', 'test');
    await waitFor('the new one to be noted', async () => !(await known.gone(names)).includes('call-4'));
  });
});

interface EdgeLog {
  readonly edge: EdgeFarm;
  readonly log: string[];
  readonly applied: EdgeState[];
  readonly extents: ApplyExtent[];
}

function recordingEdge(): EdgeLog {
  const log: string[] = [];
  const applied: EdgeState[] = [];
  const extents: ApplyExtent[] = [];
  const edge: EdgeFarm = {
    apply: async (state, extent = 'all') => {
      log.push('apply');
      extents.push(extent);
      applied.push(state);
      return [{ instance: 'kamailio-1', equal: true }];
    },
    dispatcher: async () => [],
    ready: async () => true,
    pin: async (callId, node) => void log.push(`pin ${callId} ${node}`),
    unpin: async callId => void log.push(`unpin ${callId}`),
    counters: async () => ({}),
    bans: async () => [],
    ban: async () => undefined,
    unban: async () => undefined,
    trust: async () => undefined,
    certify: async () => undefined,
    offeredCalls: async () => ({ offered: [], refused: [] }),
    shed: async () => undefined,
    move: async () => undefined,
  };
  return { edge, log, applied, extents };
}

/** With nothing fenced or unanswered, and a balancer that takes everything, where nothing else is said. */
function syncOf(options: Pick<EdgeSyncOptions, 'edge' | 'states'> & Partial<EdgeSyncOptions>): EdgeSync {
  return new EdgeSync({
    book: new EngineBook(openMemoryStore()),
    balancer: { apply: async () => undefined, fence: async () => undefined, remove: async () => undefined },
    fenced: () => [],
    hosts: () => [],
    settings: () => plainEdge,
    unanswered: () => [],
    log: silentLogger,
    ...options,
  });
}

describe('the edge kept equal', () => {
  test('calls in set-up are pinned before a list changes, and INVITEs that arrive meanwhile too', async () => {
    const { edge, log } = recordingEdge();
    const states = new NodeStates(silentLogger);
    for (const node of plan.nodes) states.add(node);
    const sync = syncOf({ edge, states, unanswered: () => [{ sipCallId: 'ringing', node: 'call-1' }] });
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
    const sync = syncOf({ edge, states });
    const first = sync.apply('one');
    states.setHealth('call-2', 'up', 'test');
    await Promise.all([first, sync.apply('two'), sync.apply('three')]);
    assert.equal(applied.at(-1)?.nodes.find(node => node.name === 'call-2')?.state, 'up');
  });
});

describe('what a death changes', () => {
  test('is told by itself, unless all is asked for meanwhile', async () => {
    const { edge, extents } = recordingEdge();
    const sync = syncOf({ edge, states: new NodeStates(silentLogger) });
    await sync.apply('a death', 'changes');
    await Promise.all([sync.apply('another', 'changes'), sync.apply('its engine', 'changes')]);
    await Promise.all([sync.apply('one more', 'changes'), sync.apply('a reload'), sync.apply('a death', 'changes')]);
    assert.deepEqual(extents, ['changes', 'changes', 'changes', 'changes', 'all']);
  });
});

describe('policies that a reload replaces', () => {
  test('stay in the tables, as calls that are up bear their ids', async () => {
    let policies = [{ id: 'plain', codecs: ['PCMA'] }];
    const sync = syncOf({
      edge: recordingEdge().edge,
      states: new NodeStates(silentLogger),
      settings: () => ({ ...plainEdge, policies }),
    });
    assert.deepEqual(sync.state().formerPolicies, []);
    policies = [{ id: 'wide', codecs: ['opus'] }];
    const { policies: now, formerPolicies } = sync.state();
    assert.deepEqual([now, formerPolicies], [policies, [{ id: 'plain', codecs: ['PCMA'] }]]);
  });
});

describe('the Kamailios behind the VIPs', () => {
  const kamailios = ['kamailio-1', 'kamailio-2'];
  const up = { health: 'up', reason: 'test' } as const;
  const suspect = { health: 'suspect', reason: 'SIP outside is silent' } as const;

  /** A keeper over instances that are equal when named so, and what the balancer was told last. */
  async function keptEdge(): Promise<{
    readonly keeper: EdgeKeeper;
    readonly states: NodeStates;
    readonly equal: Set<string>;
    readonly unreached: Set<string>;
    readonly members: () => Promise<string>;
    /** Has it take until the function is called that the instances are told of all that are up. */
    readonly hold: () => () => void;
  }> {
    const states = new NodeStates(silentLogger);
    for (const node of plan.nodes) states.add(node);
    const equal = new Set(kamailios);
    const unreached = new Set<string>();
    let told = '';
    let held = Promise.resolve();
    const edge: EdgeFarm = {
      ...recordingEdge().edge,
      apply: async ({ nodes }) => {
        if (kamailios.every(name => nodes.some(node => node.name === name && node.state === 'up'))) await held;
        return kamailios.map(instance =>
          equal.has(instance) ? { instance, equal: true } : { instance, equal: false, error: 'it refused its list' },
        );
      },
    };
    const apply = async (members: readonly FarmNode[]): Promise<void> =>
      void (told = members.map(one => one.name).join(' '));
    const sync = syncOf({
      edge,
      states,
      balancer: { apply, fence: async () => undefined, remove: async () => undefined },
    });
    const knowing = new Set<string>();
    const rows = {
      tell: async (instance: string): Promise<void> => {
        if (unreached.has(instance)) throw new Error('no answer');
        knowing.add(instance);
      },
      knows: (instance: string) => knowing.has(instance),
      forget: (instance: string) => void knowing.delete(instance),
    };
    const keeper = new EdgeKeeper({ sync, moved: rows, trusted: rows, states, log: silentLogger });
    states.onChange('test', ({ node, to }) => {
      void sync.balance();
      void keeper.apply(`${node.name} is ${to}`);
    });
    const members = async (): Promise<string> => {
      // The one that runs, and one that knows all that was heard.
      await keeper.tend();
      await keeper.tend();
      if (!isHeld) await sync.settled();
      await sync.balance();
      return told;
    };
    let isHeld = false;
    const hold = (): (() => void) => {
      isHeld = true;
      let release = (): void => undefined;
      held = new Promise(resolve => (release = resolve));
      return () => {
        isHeld = false;
        release();
      };
    };
    return { keeper, states, equal, unreached, members, hold };
  }

  test('are those that answer and were read back equal', async () => {
    const { keeper, states, equal, members } = await keptEdge();
    equal.delete('kamailio-2');
    for (const name of kamailios) keeper.heard(name, up);
    assert.equal(await members(), 'kamailio-1');
    assert.match(states.reason('kamailio-2'), /does not hold what it should yet: it refused its list$/);
    equal.add('kamailio-2');
    assert.equal(await members(), 'kamailio-1 kamailio-2');
    assert.match(states.reason('kamailio-2'), /holds what it should$/);
  });

  test('are none that the others have not been told of: they would refuse what it hands over', async () => {
    const { keeper, states, members, hold } = await keptEdge();
    for (const name of kamailios) keeper.heard(name, up);
    assert.equal(await members(), 'kamailio-1 kamailio-2');
    keeper.forget('kamailio-2');
    states.setHealth('kamailio-2', 'dead', 'test');
    assert.equal(await members(), 'kamailio-1');
    const release = hold();
    keeper.heard('kamailio-2', up);
    assert.equal(await members(), 'kamailio-1');
    assert.equal(states.state('kamailio-2'), 'up');
    release();
    assert.equal(await members(), 'kamailio-1 kamailio-2');
  });

  test('are none that was not told which phones have moved', async () => {
    const { keeper, states, unreached, members } = await keptEdge();
    for (const name of kamailios) keeper.heard(name, up);
    assert.equal(await members(), 'kamailio-1 kamailio-2');
    keeper.forget('kamailio-2');
    keeper.heard('kamailio-2', suspect);
    unreached.add('kamailio-2');
    keeper.heard('kamailio-2', up);
    assert.equal(await members(), 'kamailio-1');
    // It stays suspect, for another reason than the one that it was suspect for.
    assert.match(states.reason('kamailio-2'), /does not hold what it should yet: no answer$/);
    unreached.clear();
    assert.equal(await members(), 'kamailio-1 kamailio-2');
  });

  test('lose one that is silent, until it was read back equal again', async () => {
    const { keeper, states, equal, members } = await keptEdge();
    for (const name of kamailios) keeper.heard(name, up);
    assert.equal(await members(), 'kamailio-1 kamailio-2');
    equal.delete('kamailio-1');
    keeper.heard('kamailio-1', suspect);
    assert.equal(await members(), 'kamailio-2');
    assert.equal(states.reason('kamailio-1'), 'SIP outside is silent');
    keeper.heard('kamailio-1', up);
    assert.equal(await members(), 'kamailio-2');
    equal.add('kamailio-1');
    assert.equal(await members(), 'kamailio-1 kamailio-2');
  });

  test('stay when all are silent at once, and none that is dead', async () => {
    const { keeper, states, members } = await keptEdge();
    for (const name of kamailios) keeper.heard(name, up);
    assert.equal(await members(), 'kamailio-1 kamailio-2');
    for (const name of kamailios) keeper.heard(name, suspect);
    assert.equal(await members(), 'kamailio-1 kamailio-2');
    keeper.forget('kamailio-1');
    states.setHealth('kamailio-1', 'dead', 'test');
    assert.equal(await members(), 'kamailio-2');
  });
});
