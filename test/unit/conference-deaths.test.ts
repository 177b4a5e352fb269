// Servers that die or freeze while somebody is on the way into a conference: whoever makes it again finds them where they belong.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { StasisArrivals } from '../../core/calls/stasis-arrivals.js';
import { Conferences } from '../../core/conferences/conferences.js';
import { plainRoom } from '../../core/conferences/conference-record.js';
import { HoldfastError } from '../../core/errors.js';
import { NodeStates } from '../../core/farm/node-states.js';
import { silentLogger } from '../../core/log.js';
import type { AsteriskFarm } from '../../core/ports/asterisk.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import { waitFor } from '../harness/wait-for.js';

const names = ['call-1', 'conference-1', 'conference-2'];

describe('a server freezes while somebody joins', () => {
  let states: NodeStates;
  let mixing: 'call-node' | 'conference-farm';
  let conferences: Conferences;
  /** Bridges of call-1, with who is in them. */
  let bridges: Map<string, string[]>;
  let frozen: Set<string>;
  /** What frozen nodes were asked and have not answered. */
  let waiting: { readonly node: string; readonly fail: () => void }[];
  let refusal: Error | undefined;
  let answered: string[];

  /** What is asked of a node: done, left waiting where it is frozen, and failed where it is dead. */
  function ask<T>(node: string, work: () => T): Promise<T> {
    if (!frozen.has(node)) return new Promise(resolve => resolve(work()));
    return new Promise((_, reject) => {
      const fail = (): void => reject(new HoldfastError('ARI_UNREACHABLE', `${node} was declared dead`));
      if (states.isDead(node)) fail();
      else waiting.push({ node, fail });
    });
  }

  function asterisks(arrivals: StasisArrivals): AsteriskFarm {
    const into = (bridgeId: string, channel: string): void => {
      const there = bridges.get(bridgeId);
      if (!there) throw new HoldfastError('ARI_REFUSED', 'Bridge not found', { details: { status: 404 } });
      there.push(...channel.split(','));
    };
    const node = (name: string): object => ({
      name,
      connected: true,
      ari: {
        bridges: {
          createWithId: ({ bridgeId }: { bridgeId: string }) =>
            ask(name, () => {
              if (name === 'call-1' && !bridges.has(bridgeId)) bridges.set(bridgeId, []);
              return { id: bridgeId, channels: bridges.get(bridgeId) ?? [] };
            }),
          addChannel: (into_: { bridgeId: string; channel: string; create?: string }) =>
            ask(name, () => {
              if (refusal) throw refusal;
              if (into_.create !== undefined && !bridges.has(into_.bridgeId)) bridges.set(into_.bridgeId, []);
              into(into_.bridgeId, into_.channel);
            }),
          removeChannel: () => ask(name, () => undefined),
          destroy: ({ bridgeId }: { bridgeId: string }) => ask(name, () => void bridges.delete(bridgeId)),
        },
        channels: {
          answer: ({ channelId }: { channelId: string }) => ask(name, () => void answered.push(channelId)),
          hangup: () => ask(name, () => undefined),
          // The call node takes the order; the leg comes where the conference node answers.
          originate: ({ channelId, endpoint, variables }: Record<string, string & Record<string, string>>) =>
            ask(name, () => {
              const far = states.nodes().find(({ address }) => endpoint?.includes(`@${address}:`))?.name ?? '';
              if (frozen.has(far)) return;
              const bridgeId = variables?.['STASIS_BRIDGE'] ?? '';
              if (!bridges.has(bridgeId)) bridges.set(bridgeId, []);
              into(bridgeId, channelId ?? '');
              setImmediate(() => arrivals.arrived(channelId ?? ''));
            }),
        },
      },
    });
    return { node } as unknown as AsteriskFarm;
  }

  beforeEach(() => {
    states = new NodeStates(silentLogger);
    bridges = new Map<string, string[]>();
    frozen = new Set<string>();
    [waiting, refusal, answered] = [[], undefined, []];
    names.forEach((name, i) => {
      const farm = name.startsWith('call') ? 'call' : 'conference';
      states.add({ name, farm, index: i, address: `192.0.2.${i + 1}` });
      states.setHealth(name, 'up', 'test');
    });
    const arrivals = new StasisArrivals();
    conferences = new Conferences({
      ...{ store: openMemoryStore(), nodes: states, asterisks: asterisks(arrivals), arrivals, log: silentLogger },
      ...{ patienceMs: () => 0, place: async () => ({ mixing }), writes: () => [], policyOf: async () => plainRoom },
      events: { created: () => undefined, ended: () => undefined },
      isHolding: () => false,
    });
  });

  /** As the keeper of the farm does it. */
  function dies(node: string): void {
    states.setHealth(node, 'dead', 'silent');
    for (const one of waiting.filter(({ node: asked }) => asked === node)) one.fail();
  }
  const legs = ['a', 'b', 'c'].map(id => ({ id, node: 'call-1' }));
  const joining = { callId: 'c1', firstInnerLeg: 0 };

  test('the conference node: each leg waits where the next inner leg comes', async () => {
    mixing = 'conference-farm';
    frozen.add('conference-1');
    const joined = conferences.join({ ...joining, legs: legs.slice(0, 2) });
    await waitFor('the record', () => conferences.get('c1-conf')?.participants.length === 2);
    dies('conference-1');
    const rebuilt = conferences.lostNode('conference-1', 'it died');
    assert.equal(await joined, 'c1-conf');
    assert.deepEqual(await rebuilt, { found: 2, attached: 2 });
    assert.equal(conferences.get('c1-conf')?.node, 'conference-2');
    for (const id of ['a', 'b']) assert.ok(sharesWithInner(id), JSON.stringify([...bridges]));
  });

  test('the conference node, as a third one comes in', async () => {
    mixing = 'call-node';
    await conferences.join({ ...joining, legs: legs.slice(0, 2) });
    frozen.add('conference-1');
    const joined = conferences.join({ ...joining, legs: legs.slice(2) });
    await waitFor('the record', () => conferences.get('c1-conf')?.node === 'conference-1');
    dies('conference-1');
    const rebuilt = conferences.lostNode('conference-1', 'it died');
    await joined;
    assert.deepEqual(await rebuilt, { found: 3, attached: 3 });
    for (const { id } of legs) assert.ok(sharesWithInner(id), JSON.stringify([...bridges]));
  });

  test('the conference node, before the room is made: whoever wanted to come in does', async () => {
    mixing = 'conference-farm';
    frozen.add('conference-1');
    const who = { role: 'speaker', muted: false, callerNumber: '', callerName: '' } as const;
    const entered = conferences.enter({ ...joining, ...who, room: '8001', leg: legs[0]! });
    await waitFor('the bridge to be asked for', () => waiting.length > 0);
    dies('conference-1');
    const rebuilt = conferences.lostNode('conference-1', 'it died');
    assert.equal(await entered, undefined);
    await rebuilt;
    await conferences.join({ ...joining, room: '8001', legs: legs.slice(0, 1) });
    assert.ok(sharesWithInner('a'), JSON.stringify([...bridges]));
  });

  test('their call node: that is no failure of theirs, as both are recovered', async () => {
    mixing = 'call-node';
    frozen.add('call-1');
    const joined = conferences.join({ ...joining, legs: legs.slice(0, 2) });
    await waitFor('the bridge to be asked for', () => waiting.length > 0);
    dies('call-1');
    assert.equal(await joined, 'c1-conf');
    assert.equal(conferences.get('c1-conf')?.participants.length, 2);
  });

  test('what a living node refuses fails at once, and whose call counts as answered is answered', async () => {
    mixing = 'call-node';
    refusal = new HoldfastError('ARI_REFUSED', 'Channel not found', { details: { status: 404 } });
    const request = { ...joining, legs: legs.slice(0, 2) };
    await assert.rejects(conferences.join(request), /Channel not found/);
    assert.deepEqual(answered, []);
    await assert.rejects(conferences.join({ ...request, callId: 'c2', unanswered: legs[0]! }), /Channel not found/);
    assert.deepEqual(answered, ['a']);
  });

  function sharesWithInner(legId: string): boolean {
    return [...bridges.values()].some(there => there.includes(legId) && there.length === 2);
  }
});
