// The farm brought to another plan: servers that do not start, that are taken back while they leave, that an earlier daemon left.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { EndpointKeeper } from '../../core/farm/endpoint-keeper.js';
import { FarmKeeper, type FarmKeeperOptions } from '../../core/farm/farm-keeper.js';
import { nodeNamed, planFarm, type FarmPlan } from '../../core/farm/farm-plan.js';
import { NodeStates } from '../../core/farm/node-states.js';
import { silentLogger } from '../../core/log.js';
import type { InstanceReport } from '../../core/ports/edge.js';
import type { NodeProcess, NodeRenderer, ProcessExit } from '../../core/ports/node-host.js';
import { waitFor } from '../harness/wait-for.js';

const planOf = (call: number): FarmPlan =>
  planFarm('127.9.9.0/24', { kamailio: 1, call, conference: 1, registrar: 1, rtpengine: 1 });
const [two, three] = [planOf(2), planOf(3)];
const silent = (): undefined => undefined;
const asks = async (): Promise<undefined> => undefined;

describe('A farm of another size', () => {
  let processes: Map<string, NodeProcess>;
  let states: NodeStates;
  let keeper: FarmKeeper;
  let calls: Map<string, number>;
  let exits: ((exit: ProcessExit) => void)[];
  let refused: Set<string>;
  /** Ends are held up while this is not settled. */
  let ending: Promise<void>;
  let stops: string[];
  let pids: number;
  /** How often the calls of a node that leaves were counted. */
  let looks: number;
  /** What comes of telling the Kamailios. */
  let told: () => Promise<readonly InstanceReport[]>;

  beforeEach(() => {
    [processes, calls, refused] = [new Map<string, NodeProcess>(), new Map<string, number>(), new Set()];
    [exits, stops, pids, looks] = [[], [], 100, 0];
    ending = Promise.resolve();
    told = async () => [];
    states = new NodeStates(silentLogger);
    const renderer: NodeRenderer = {
      setup: () => ({ files: [], folders: [], process: { command: '', args: [], user: '' } }),
      voices: () => [],
    };
    const host = {
      folder: () => '',
      process: (name: string) => processes.get(name),
      running: () => [...processes.keys()],
      start: async (name: string) => {
        if (refused.has(name)) throw new Error('no memory');
        processes.set(name, { pid: pids++, startTicks: 1 });
      },
      stop: async (node: string) => {
        stops.push(node);
        await ending;
        const process = processes.get(node);
        processes.delete(node);
        if (process) for (const tell of exits) tell({ node, ...process, code: 0, signal: null });
      },
      onExit: (listener: (exit: ProcessExit) => void) => {
        exits.push(listener);
        return silent;
      },
    };
    keeper = new FarmKeeper({
      host,
      renderers: { kamailio: renderer, call: renderer, conference: renderer, registrar: renderer, rtpengine: renderer },
      states,
      sync: { balance: asks, unpinDone: asks, apply: () => told() },
      edge: { apply: asks, tend: asks, forget: silent },
      registrars: { provision: asks, tend: asks, forget: silent },
      bindings: { prune: asks },
      asterisks: {
        node: () => ({ open: silent, abandon: asks, close: asks, ari: { asterisk: { reloadModule: asks } } }),
      },
      book: { observe: async () => false, bury: asks },
      sweep: { run: asks },
      sentinel: () => ({ open: asks, close: asks, setSilence: silent, watch: silent, unwatch: silent, stream: silent }),
      fences: { load: asks, lower: asks, raise: asks },
      deathPolicy: () => ({ silenceMs: 1000, killFrozen: true }),
      log: silentLogger,
      listener: () => ({}),
      lostNode: silent,
      lostMedia: () => [],
      mayRestart: asks,
      wasUp: async () => false,
      callsOn: (name: string) => {
        looks += 1;
        return calls.get(name) ?? 0;
      },
    } as unknown as FarmKeeperOptions);
  });
  afterEach(() => keeper.close());

  const names = (): string =>
    states
      .nodes('call')
      .map(({ name }) => name)
      .sort()
      .join();
  const reshape = (plan: FarmPlan): Promise<string | undefined> => keeper.reshape(plan, silent);

  test('gets a server that did not start at first', async () => {
    await keeper.start(two, silent);
    refused.add('call-3');
    assert.equal(await reshape(planOf(4)), 'call-3 did not start: no memory');
    assert.ok(processes.has('call-4'), 'the others are not kept waiting');
    assert.equal(await reshape(planOf(4)), 'call-3 did not start: no memory', 'also where it was tried before');
    refused.clear();
    await waitFor('call-3', () => processes.has('call-3'));
    await waitFor('nothing to tell', () => keeper.unstarted.length === 0);
  });

  test('has another process of a server that is wanted again while it ends', async () => {
    await keeper.start(three, silent);
    const before = processes.get('call-3')?.pid;
    let end: () => void = silent;
    ending = new Promise(resolve => (end = resolve));
    await reshape(two);
    await waitFor('the end to begin', () => stops.includes('call-3'));
    const again = reshape(three);
    end();
    await again;
    assert.equal(names(), 'call-1,call-2,call-3');
    assert.equal(states.state('call-3'), 'dead', 'not seen yet, and not draining');
    assert.ok(processes.has('call-3') && processes.get('call-3')?.pid !== before);
  });

  test('ends a server once that was taken back and left again', async () => {
    await keeper.start(three, silent);
    calls.set('call-3', 1);
    for (const plan of [two, three, two, three, two]) await reshape(plan);
    calls.clear();
    // Each of the times that it was to leave has been looked at by then, as the last one is looked at last.
    await waitFor('call-3 to be gone', () => names() === 'call-1,call-2');
    assert.deepEqual(stops, ['call-3']);
  });

  test('keeps a server with calls that the config lost while no daemon ran, until these are over', async () => {
    processes.set('call-3', { pid: 7, startTicks: 1 });
    calls.set('call-3', 1);
    await keeper.start(two, silent);
    assert.equal(names(), 'call-1,call-2,call-3');
    assert.ok(states.isDraining('call-3'));
    await waitFor('it to be looked at again', () => looks > 1);
    assert.deepEqual(stops, []);
    calls.clear();
    await waitFor('call-3 to be gone', () => names() === 'call-1,call-2' && !processes.has('call-3'));
  });

  test('has a server that died while it was leaving until its calls are elsewhere, and does not start it', async () => {
    const dead = nodeNamed(two.subnet, 'call-3');
    assert.ok(dead);
    states.add(dead);
    calls.set('call-3', 1);
    await keeper.start(two, silent);
    assert.equal(names(), 'call-1,call-2,call-3');
    await waitFor('it to be looked at again', () => looks > 1);
    assert.ok(!processes.has('call-3'));
    calls.clear();
    await waitFor('call-3 to be gone', () => names() === 'call-1,call-2');
    assert.ok(!processes.has('call-3'));
  });

  test('is ready when the Kamailios that have traffic were told of the last node that came up', async () => {
    await keeper.start(two, silent);
    for (const node of two.nodes) states.setHealth(node.name, 'up', 'test');
    const tellings = [false, false, true];
    told = async () => [{ instance: 'kamailio-1', equal: tellings.shift() ?? true }];
    await keeper.ready(10_000, silent);
    assert.deepEqual(tellings, []);
  });

  test('is not ready while a Kamailio that has traffic does not take its lists', async () => {
    await keeper.start(two, silent);
    for (const node of two.nodes) states.setHealth(node.name, 'up', 'test');
    told = async () => [{ instance: 'kamailio-1', equal: false }];
    await assert.rejects(keeper.ready(100, silent), /all nodes are up, and the Kamailios did not take their lists/);
  });

  test('knows a node by its name', () => {
    for (const node of three.nodes) assert.deepEqual(nodeNamed(three.subnet, node.name), node);
    for (const name of ['call-0', 'call-20', 'call', 'other-1']) assert.equal(nodeNamed(three.subnet, name), undefined);
  });
});

describe('A call node that did not take its endpoints', () => {
  test('is asked again, and so is one with an older file at the next reload', async () => {
    const [node] = two.nodes.filter(({ farm }) => farm === 'call');
    assert.ok(node);
    let [held, content, answers, reloads, isDead] = ['old', 'new', false, 0, false];
    const file = { path: 'pjsip.conf', mode: 0o600, reload: 'endpoint-reload' as const };
    const renderer = { setup: () => ({ files: [{ ...file, content }], process: { user: '' } }) };
    const keeper = new EndpointKeeper({
      host: {
        folder: () => '',
        process: () => ({ pid: 1, startTicks: 1 }),
        readFile: async () => held,
        writeFiles: async () => void (held = content),
      },
      renderers: { call: renderer },
      registrars: { provision: asks },
      asterisks: {
        node: () => ({
          ari: {
            asterisk: {
              reloadModule: async () => {
                reloads++;
                if (!answers) throw new Error('ARI is away');
              },
            },
          },
        }),
      },
      states: { isDead: () => isDead },
      log: silentLogger,
    } as unknown as ConstructorParameters<typeof EndpointKeeper>[0]);
    assert.equal(await keeper.provision([node], 'all'), 'call-1 did not take its new endpoints: ARI is away');
    await keeper.settle([node]);
    assert.equal(await keeper.provision([node], 'outdated'), 'call-1 did not take its new endpoints: ARI is away');
    answers = true;
    await keeper.settle([node]);
    await keeper.settle([node]);
    assert.equal(await keeper.provision([node], 'outdated'), undefined);
    assert.equal(reloads, 4);
    content = 'newer';
    await keeper.provision([node], 'outdated');
    assert.deepEqual([held, reloads], ['newer', 5]);
    // It is frozen: each question would take its whole deadline.
    isDead = true;
    assert.equal(await keeper.provision([node], 'all'), 'call-1 did not take its new endpoints: call-1 is dead');
    assert.equal(reloads, 5);
  });
});
