// A registrar gets traffic only once it was read back to hold every subscriber, and every binding.
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { HoldfastError } from '../../core/errors.js';
import { planFarm, type FarmNode } from '../../core/farm/farm-plan.js';
import { NodeStates } from '../../core/farm/node-states.js';
import { silentLogger } from '../../core/log.js';
import type { AsteriskFarm } from '../../core/ports/asterisk.js';
import type { NodeRenderer, ObjectProof } from '../../core/ports/node-host.js';
import { RegistrarKeeper } from '../../core/registrations/registrar-keeper.js';
import { waitFor } from '../harness/wait-for.js';

const plan = planFarm('127.9.9.0/24', { kamailio: 1, call: 1, conference: 1, registrar: 2, rtpengine: 1 });
const [one, two] = plan.nodes.filter(node => node.farm === 'registrar') as [FarmNode, FarmNode];
const voice = { health: 'up', reason: 'it answers' } as const;

describe('A registrar', () => {
  let states: NodeStates;
  let keeper: RegistrarKeeper;
  let proof: ObjectProof;
  let synced: boolean;
  /** What each registrar holds: the id of its proof, its endpoints, and others that it only lists. */
  let held: Map<string, { id: string; endpoints: readonly string[]; listed?: readonly string[] }>;
  let reloads: string[];
  /** What the next question waits for. */
  let frozen: Promise<void> | undefined;

  beforeEach(() => {
    states = new NodeStates(silentLogger);
    for (const node of [one, two]) states.add(node);
    proof = { id: 'proof-1', objectTypes: ['auth', 'aor'], endpoints: ['1001'] };
    synced = true;
    held = new Map([one, two].map(({ name }) => [name, { id: 'proof-1', endpoints: ['1001'] }]));
    [reloads, frozen] = [[], undefined];
    const asterisks = {
      node: (name: string) => ({
        ari: {
          asterisk: {
            getObject: async ({ objectType, id }: { objectType: string; id: string }) => {
              await frozen;
              const { id: proofId, endpoints = [] } = held.get(name) ?? {};
              if (objectType === 'endpoint' ? endpoints.includes(id) : proofId === id) return [];
              throw new HoldfastError('ARI_REFUSED', 'not found', { details: { status: 404 } });
            },
            reloadModule: async () => void reloads.push(name),
          },
          endpoints: {
            listByTech: async () => {
              const { endpoints = [], listed = [] } = held.get(name) ?? {};
              return [...endpoints, ...listed].map(resource => ({ resource }));
            },
          },
        },
      }),
    } as unknown as AsteriskFarm;
    const renderer: NodeRenderer = {
      setup: () => ({ files: [], folders: [], process: { command: '', args: [], user: '' }, proof }),
      voices: () => [],
    };
    const host = { folder: () => '', writeFiles: async () => undefined, process: () => undefined };
    keeper = new RegistrarKeeper({ host, renderer, asterisks, states, isSynced: () => synced, log: silentLogger });
  });

  const becomes = (node: FarmNode, state: string): Promise<unknown> =>
    waitFor(`${node.name} to be ${state}`, async () => {
      await keeper.tend();
      return states.state(node.name) === state;
    });

  it('is up when it answers and holds all, and not before', async () => {
    held.set(one.name, { id: 'proof-0', endpoints: ['1001'] });
    keeper.heard(one.name, voice);
    await becomes(one, 'suspect');
    assert.match(states.reason(one.name), /does not hold every subscriber yet: not found$/);
    held.set(one.name, { id: 'proof-1', endpoints: ['1001', 'stranger'] });
    await waitFor('another reason', async () => {
      await keeper.tend();
      return states.reason(one.name).endsWith('every subscriber yet: it holds 2 endpoints, not 1');
    });
    assert.equal(states.state(one.name), 'suspect');
    held.set(one.name, { id: 'proof-1', endpoints: ['1001'] });
    await becomes(one, 'up');
  });

  it('is up also while it still lists subscribers that were taken out of the config', async () => {
    held.set(one.name, { id: 'proof-1', endpoints: ['1001'], listed: ['1002', '1003'] });
    keeper.heard(one.name, voice);
    await becomes(one, 'up');
  });

  it('is not up before it holds every binding', async () => {
    synced = false;
    keeper.heard(one.name, voice);
    await becomes(one, 'suspect');
    synced = true;
    await becomes(one, 'up');
  });

  it('is told to read new subscribers, and keeps its traffic while it does', async () => {
    for (const node of [one, two]) keeper.heard(node.name, voice);
    await becomes(one, 'up');
    await becomes(two, 'up');
    proof = { ...proof, id: 'proof-2' };
    await keeper.provision(one);
    assert.deepEqual(reloads, [one.name]);
    assert.equal(states.state(one.name), 'up');
    held.set(one.name, { id: 'proof-2', endpoints: ['1001'] });
    await becomes(one, 'up');
  });

  it('that dies while it is read back stays dead', async () => {
    let dies = (): void => undefined;
    frozen = new Promise((_, reject) => (dies = () => reject(new HoldfastError('ARI_UNREACHABLE', 'declared dead'))));
    frozen.catch(() => undefined);
    keeper.heard(one.name, voice);
    const tended = keeper.tend();
    keeper.forget(one.name);
    states.setHealth(one.name, 'dead', 'silent');
    dies();
    await tended;
    assert.equal(states.state(one.name), 'dead');
    assert.deepEqual(reloads, []);
  });

  it('that started anew proves it anew', async () => {
    keeper.heard(one.name, voice);
    await becomes(one, 'up');
    keeper.forget(one.name);
    states.setHealth(one.name, 'dead', 'its process ended');
    held.set(one.name, { id: '', endpoints: [] });
    keeper.heard(one.name, voice);
    await becomes(one, 'suspect');
    held.set(one.name, { id: 'proof-1', endpoints: ['1001'] });
    await becomes(one, 'up');
  });
});
