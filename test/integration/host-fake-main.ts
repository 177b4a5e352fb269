// A program as `holdfast`, with a daemon that starts two harmless processes and the balancer instead of a SIP farm.
import { readFileSync } from 'node:fs';
import { runCli } from '../../core/cli/cli.js';
import { processIo } from '../../core/cli/cli-io.js';
import { commands } from '../../core/cli/commands.js';
import type { Composition, FarmPlace, RunningDaemon } from '../../core/cli/composition.js';
import { ControlServer } from '../../core/control/control-server.js';
import type { Operations } from '../../core/control/operations.js';
import type { FarmStatus } from '../../core/control/views.js';
import { HoldfastError } from '../../core/errors.js';
import { planFarm } from '../../core/farm/farm-plan.js';
import { LocalHost } from '../../core/host/local-host.js';
import { NftBalancer } from '../../core/host/nft-balancer.js';
import { statePaths } from '../../core/host/state-folder.js';

/** The config of the fake is a word: what goes wrong. */
const mode = (place: { configPath: string }): string => readFileSync(place.configPath, 'utf8').trim();

async function startDaemon(place: FarmPlace): Promise<RunningDaemon> {
  const subnet = place.subnet ?? '127.66.2.0/24';
  const plan = planFarm(subnet, { kamailio: 1, call: 1, conference: 0, registrar: 0, rtpengine: 0 });
  const host = new LocalHost(place.stateFolder);
  const balancer = new NftBalancer(plan);
  let ready = false;
  let markStopped = (): void => undefined;
  const stopped = new Promise<void>(resolve => (markStopped = resolve));
  const status = async (): Promise<FarmStatus> => ({
    ...{ ready, subnet },
    daemon: { pid: process.pid, configPath: place.configPath, startedAt: new Date().toISOString() },
    edge: { public: `${plan.publicVip}:5060`, private: `${plan.privateVip}:5060` },
    nodes: plan.nodes.map(({ name, farm, address }) => {
      const pid = host.process(name)?.pid ?? null;
      return { name, farm, address, pid, state: pid === null ? 'dead' : 'up' };
    }),
    calls: { active: 0 },
    overload: [],
    faults: [],
    recoveries: { deaths: 0, sessions: { found: 0, recovered: 0, ended: 0, failed: 0 } },
  });
  const down: Operations['down'] = async () => {
    const ended = host.running();
    await balancer.remove();
    for (const node of ended) await host.stop(node);
    setImmediate(() => void server.close().then(markStopped));
    return { ended };
  };
  const health: Operations['health'] = async () => ({
    ready,
    nodes: { up: host.running().length, all: plan.nodes.length },
    calls: 0,
  });
  const operations = { status, health, down } as unknown as Operations;
  const server = new ControlServer({
    operations,
    socketPath: statePaths(place.stateFolder).controlSocket,
    log: { debug: () => undefined },
  });
  await server.listen();
  for (const { name } of plan.nodes) {
    const process = { command: '/bin/sleep', args: ['300'], user: 'nobody' };
    if (!host.process(name)) await host.start(name, { files: [], folders: [], process });
  }
  await balancer.apply(plan.nodes.filter(({ farm }) => farm === 'kamailio'));
  if (mode(place) === 'broken')
    throw new HoldfastError('ADDRESS_TAKEN', 'call-1 needs an address', { remedy: 'free it' });
  ready = true;
  return { stopped, reload: async () => undefined, close: async () => void server.close().then(markStopped) };
}

const composition: Composition = {
  startDaemon,
  checkConfig: async (configPath, subnet) => {
    if (mode({ configPath }) === 'invalid') throw new HoldfastError('CONFIG_INVALID', `${configPath}:1:1: invalid`);
    const effective = subnet ?? '127.66.2.0/24';
    return { subnet: effective, edge: '127.66.2.100:5060', nodes: ['kamailio-1', 'call-1'], plugins: [], warnings: [] };
  },
  renderFarm: async () => [],
  demoCall: async () => ({ calls: [] }),
  demoRecovery: () => Promise.reject(new Error('not in this fake')),
};

const loadComposition = async (): Promise<Composition> => composition;
const code = await runCli(process.argv.slice(2), processIo(), { commands, version: '0.0.0', loadComposition });
process.stdout.write('', () => process.exit(code));
