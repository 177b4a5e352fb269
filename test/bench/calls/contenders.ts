// The four ways to connect a call that are compared, each taking over the calls of the same Asterisk behind the same edge.
import { fork, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ariClient } from '../../../asterisk/ari-client.js';
import { AriRequester } from '../../../asterisk/ari-requester.js';
import { readSupervisorNote } from '../../../core/cli/supervisor-note.js';
import { FarmSecrets } from '../../../core/farm/farm-secrets.js';
import type { AriClient } from '../../../core/ports/asterisk.js';
import { Farm } from '../../harness/farm.js';
import { localConfig } from '../../harness/local-config.js';
import { waitFor } from '../../harness/wait-for.js';
import { cpuMsOf, familyOf } from './process-cost.js';

export const contenders = ['call-node', 'conference-farm', 'naive', 'dial'] as const;
export type Contender = (typeof contenders)[number];

export const measuredParts = ['call', 'conference', 'program', 'kamailio', 'rtpengine'] as const;

type Placement = 'call-node' | 'conference-farm';

const callNode = 'call-1';
const conferenceNode = 'conference-1';
/** Of each: host part of its address, and the context in which calls come. */
const dialplans = {
  [callNode]: { host: 31, context: 'from-edge' },
  [conferenceNode]: { host: 51, context: 'from-call' },
} as const;
export type BenchNode = keyof typeof dialplans;

/** One farm in the smallest size, so that all calls meet on one Asterisk. */
export class BenchFarm {
  readonly farm: Farm;
  readonly #pids: ReadonlyMap<string, number>;
  readonly #requesters = new Map<string, AriRequester>();
  #placement: Placement = 'call-node';
  #program: ChildProcess | undefined;
  #daemon: number | undefined;
  /** Takes what the Kamailios trace when the daemon is gone, and drops it. */
  #trace: Socket | undefined;

  private constructor(farm: Farm, pids: ReadonlyMap<string, number>, daemon: number) {
    this.farm = farm;
    this.#pids = pids;
    this.#daemon = daemon;
  }

  static async up(): Promise<BenchFarm> {
    const farm = await Farm.up({ config: await configOf('call-node') });
    const { daemon } = await farm.status();
    const bench = new BenchFarm(farm, await farm.pids(), daemon.pid);
    // Its modules are the same whoever has the calls.
    await bench.loadModule(callNode, 'app_dial');
    return bench;
  }

  async down(): Promise<void> {
    this.#endProgram();
    this.#trace?.close();
    for (const requester of this.#requesters.values()) await requester.close();
    await this.farm.down();
  }

  /** Gives the calls to one of the four. The daemon, once it is gone, does not come back. */
  async give(contender: Contender): Promise<void> {
    if (contender === 'call-node' || contender === 'conference-farm') {
      if (contender !== this.#placement) await this.farm.reload(await configOf(contender));
      this.#placement = contender;
      return;
    }
    await this.endDaemon();
    this.#endProgram();
    const gateway = `${this.farm.host(208)}:5060`;
    if (contender === 'dial') return this.setDialplan(callNode, `Dial(PJSIP/edge/sip:\${EXTEN}@${gateway},30)`);
    await this.setDialplan(callNode, 'Stasis(naive,caller,${EXTEN})');
    const password = this.#password(callNode);
    this.#program = fork(new URL('./naive-ari.js', import.meta.url), [this.farm.host(31), password, gateway]);
    await new Promise(resolve => this.#program?.once('message', resolve));
  }

  /** The processes of a part of the path of a call. */
  pids(part: (typeof measuredParts)[number]): number[] {
    if (part === 'program') return [this.#daemon ?? this.#program?.pid ?? []].flat();
    return [...this.#pids].flatMap(([name, pid]) => (name.startsWith(`${part}-`) ? [pid] : []));
  }

  /** CPU of each of `measuredParts` so far, ms. */
  async cpu(): Promise<number[]> {
    return Promise.all(
      measuredParts.map(async part => {
        const pids = this.pids(part);
        // A Kamailio is a dozen processes; the daemon's are the farm.
        return cpuMsOf(part === 'kamailio' ? (await Promise.all(pids.map(familyOf))).flat() : pids);
      }),
    );
  }

  ari(node: BenchNode): AriClient {
    return ariClient(this.#requester(node));
  }

  /** What is up on the Asterisks now. */
  async standing(): Promise<{ channels: number; bridges: number }> {
    const both = await Promise.all(
      ([callNode, conferenceNode] as const).map(async node => {
        const { channels, bridges } = this.ari(node);
        const [all, mixed] = await Promise.all([channels.list(), bridges.list()]);
        return { channels: all.length, bridges: mixed.length };
      }),
    );
    const sum = (of: 'channels' | 'bridges'): number => both.reduce((total, one) => total + one[of], 0);
    return { channels: sum('channels'), bridges: sum('bridges') };
  }

  async isIdle(): Promise<boolean> {
    return (await this.standing()).channels === 0;
  }

  /** Waits for the calls to be over; those that are not, of a caller who has given up, are hung up and counted. */
  async settle(): Promise<number> {
    const isOver = await waitFor('the calls to be over', () => this.isIdle(), {
      deadlineMs: 40_000,
      everyMs: 100,
    }).then(
      () => true,
      () => false,
    );
    if (isOver) return 0;
    const { channels } = this.ari(callNode);
    const left = await channels.list();
    await Promise.allSettled(left.map(({ id }) => channels.hangup({ channelId: id })));
    await waitFor('the rest to be hung up', () => this.isIdle(), { deadlineMs: 20_000, everyMs: 100 });
    return left.length;
  }

  #endProgram(): void {
    this.#program?.disconnect();
    this.#program = undefined;
  }

  #password(node: string): string {
    return FarmSecrets.open(this.farm.state).derive(`ari ${node}`);
  }

  #requester(node: BenchNode): AriRequester {
    const known = this.#requesters.get(node);
    if (known) return known;
    const origin = `http://${this.farm.host(dialplans[node].host)}:8088`;
    const requester = new AriRequester({ node, origin, user: 'holdfast', password: this.#password(node) });
    this.#requesters.set(node, requester);
    return requester;
  }

  async loadModule(node: BenchNode, name: string): Promise<void> {
    await this.#requester(node).send({ operation: 'load', method: 'POST', path: `/asterisk/modules/${name}.so` });
  }

  /** What a node does with every call from now on. */
  async setDialplan(node: BenchNode, application: string): Promise<void> {
    const { context } = dialplans[node];
    const plan = `[${context}]\nexten => _[!-~]!,1,${application}\n same => n,Hangup()\nexten => h,1,Hangup()\n`;
    await writeFile(join(this.farm.state, 'nodes', node, 'extensions.conf'), plan);
    await this.ari(node).asterisk.reloadModule({ moduleName: 'pbx_config.so' });
  }

  /** It does not come back. */
  async endDaemon(): Promise<void> {
    if (this.#daemon === undefined) return;
    const note = await readSupervisorNote(this.farm.state);
    if (!note?.daemon) throw new Error('the farm has no daemon');
    // Its supervisor first, which would start it again.
    for (const { pid } of [note.supervisor, note.daemon]) process.kill(pid, 'SIGKILL');
    this.#daemon = undefined;
    const trace = createSocket('udp4');
    trace.on('message', () => undefined);
    const bound = async (): Promise<boolean> =>
      new Promise(resolve => {
        trace.once('error', () => resolve(false));
        trace.bind(9060, this.farm.host(2), () => resolve(true));
      });
    await waitFor('the daemon to be gone', bound);
    this.#trace = trace;
  }
}

async function configOf(twoParty: Placement): Promise<string> {
  const local = await localConfig();
  return local
    .replace(/^ {2}(kamailio|call|conference|registrar|rtpengine): \d+$/gm, '  $1: 1')
    .replace('twoParty: call-node', `twoParty: ${twoParty}`);
}
