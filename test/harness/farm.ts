// A whole farm for a test: `holdfast up` from dist on a subnet of its own, the command line with --json, and `down`.
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callDaemon } from '../../core/control/control-client.js';
import type { CallStatus, FarmStatus, RegistrationStatus } from '../../core/control/views.js';
import { statePaths } from '../../core/host/state-folder.js';
import { freeSubnet, type Subnet } from './free-subnet.js';
import { localConfig } from './local-config.js';
import { projectRoot } from './project-root.js';
import { addWitness, waitFor } from './wait-for.js';

export interface FarmOptions {
  /** YAML; default: examples/local.yaml as it stands. */
  readonly config?: string;
  /** Default 60 s. */
  readonly upMs?: number;
}

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Farm {
  readonly subnet: Subnet;
  /** The state folder: `nodes/<name>/` has each node's files and log. */
  readonly state: string;
  readonly configFile: string;
  readonly #dismiss: () => void;

  private constructor(subnet: Subnet, state: string, configFile: string) {
    this.subnet = subnet;
    this.state = state;
    this.configFile = configFile;
    this.#dismiss = addWitness(async () => this.#lastSaid());
  }

  /** Starts the farm; resolves once it is ready. A farm that does not come up is taken down again. */
  static async up(options: FarmOptions = {}): Promise<Farm> {
    const subnet = await freeSubnet();
    const state = await mkdtemp(join(tmpdir(), 'holdfast-farm-'));
    // The nodes run as users of their own and find their folders below this one.
    await chmod(state, 0o755);
    const configFile = join(state, 'test.yaml');
    const config = options.config ?? (await localConfig());
    await writeFile(configFile, config);
    const farm = new Farm(subnet, state, configFile);
    try {
      await farm.start(options.upMs);
    } catch (error) {
      await farm.down().catch(() => undefined);
      throw error;
    }
    return farm;
  }

  /** `up --detach`, also of a farm whose daemon is gone. */
  async start(upMs = 60_000): Promise<void> {
    const { code, stdout, stderr } = await this.cli(['up', '--detach', '--config', this.configFile], upMs);
    if (code !== 0) throw new Error(`holdfast up failed (${code})\n${stdout}\n${stderr}`);
    const ready = async (): Promise<boolean> => (await this.status()).ready;
    await waitFor('the farm to be ready', ready, { deadlineMs: upMs, everyMs: 200 });
  }

  /** `down`, and no state folder any more. */
  async down(): Promise<void> {
    this.#dismiss();
    const { code, stderr } = await this.cli(['down'], 30_000);
    await rm(this.state, { recursive: true, force: true });
    if (code !== 0) throw new Error(`holdfast down failed (${code}): ${stderr}`);
  }

  /** What its daemon logged last. */
  async #lastSaid(): Promise<string> {
    const lines = (await readFile(statePaths(this.state).daemonLog, 'utf8')).trimEnd().split('\n').slice(-12);
    const said = lines.map(line => JSON.parse(line) as { time: string; msg: string });
    return `its farm at ${new Date().toISOString()}:\n${said.map(({ time, msg }) => `${time.slice(11)} ${msg.slice(0, 160)}`).join('\n')}`;
  }

  /** An address of the farm's plan, or of a test endpoint (`.200` and up). */
  host(number: number): string {
    return this.subnet.host(number);
  }

  /** `sip:<user>@<public VIP>:5060` */
  uri(user: string): string {
    return `sip:${user}@${this.host(100)}:5060`;
  }

  /** Runs the command line on this farm. */
  async cli(args: readonly string[], deadlineMs = 20_000): Promise<CliResult> {
    const main = join(projectRoot, 'dist/core/cli/main.js');
    const where = ['--subnet', this.subnet.cidr, '--state', this.state];
    const child = spawn(process.execPath, [main, ...args, ...where], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`holdfast ${args.join(' ')} took longer than ${deadlineMs} ms\n${stdout}\n${stderr}`));
      }, deadlineMs);
      child.once('error', reject);
      const finish = (code: number | null): void => {
        clearTimeout(deadline);
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ code, stdout, stderr });
      };
      child.once('close', finish);
      // A detached daemon may hold on to our pipes, so that they are never closed.
      child.once('exit', code => setTimeout(() => finish(code), 1000));
    });
  }

  /** A command with --json; throws what it said where it failed. */
  async json<T>(...args: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await this.cli([...args, '--json']);
    if (code !== 0) throw new Error(`holdfast ${args.join(' ')} failed (${code}): ${stderr}${stdout}`);
    return JSON.parse(stdout) as T;
  }

  /** What `status --json` shows, without a process for each time that a test asks: under load these would be most of the load. */
  async status(): Promise<FarmStatus> {
    return callDaemon(statePaths(this.state).controlSocket, 'status', {});
  }

  /** What `calls --json` shows. */
  async calls(): Promise<readonly CallStatus[]> {
    return callDaemon(statePaths(this.state).controlSocket, 'calls', {});
  }

  /** What `registrations --json` shows. */
  async registrations(): Promise<readonly RegistrationStatus[]> {
    return callDaemon(statePaths(this.state).controlSocket, 'registrations', {});
  }

  /** The process of a node, as `status` names it. */
  async pid(node: string): Promise<number> {
    const pid = (await this.pids()).get(node);
    if (pid === undefined) throw new Error(`no node called ${node} has a process`);
    return pid;
  }

  /** The processes of all nodes that have one, by name. */
  async pids(): Promise<Map<string, number>> {
    const { nodes } = await this.status();
    return new Map(nodes.flatMap(({ name, pid }) => (pid === null ? [] : [[name, pid] as const])));
  }

  /** Writes another config and has the daemon take it. */
  async reload(config: string): Promise<void> {
    await writeFile(this.configFile, config);
    await this.json('reload');
  }

  /** Waits until every node is up and every Kamailio has it in its lists: a node is up a moment before calls get to it. */
  async whole(deadlineMs = 30_000): Promise<void> {
    const isWhole = async (): Promise<boolean> => {
      const { nodes } = await this.status();
      // One that was just killed is up until the daemon has seen it.
      if (nodes.some(({ state, pid }) => state !== 'up' || pid === null)) return false;
      const edges = await callDaemon(statePaths(this.state).controlSocket, 'dispatcherDiff', {});
      return edges.every(({ reachable, drift }) => reachable && drift.length === 0);
    };
    const describe = async (): Promise<string> =>
      (await this.status()).nodes.map(({ name, state }) => `${name} ${state}`).join(', ');
    await waitFor('the farm to be whole', isWhole, { deadlineMs, everyMs: 200, describe });
  }

  /** Kills a node with -9. Resolves once its death is known: what is waited for then is of the time after it. Gives its pid, for `nodeAfter`. */
  async kill(name: string): Promise<number> {
    const pid = await this.pid(name);
    process.kill(pid, 'SIGKILL');
    const isKnown = async (): Promise<boolean> => (await this.pids()).get(name) !== pid;
    await waitFor(`the death of ${name} to be known`, isKnown, { deadlineMs: 10_000 });
    return pid;
  }

  /** Waits until a node is up as another process than this one. */
  async nodeAfter(name: string, pid: number, deadlineMs = 20_000): Promise<void> {
    const isAnother = async (): Promise<boolean> => {
      const node = (await this.status()).nodes.find(one => one.name === name);
      return node?.state === 'up' && node.pid !== null && node.pid !== pid;
    };
    const describe = async (): Promise<string> =>
      JSON.stringify((await this.status()).nodes.find(one => one.name === name));
    await waitFor(`${name} to be up as another process`, isAnother, { deadlineMs, everyMs: 200, describe });
  }

  /** Kills the daemon with -9. Gives its pid, for `daemonAfter`. */
  async killDaemon(): Promise<number> {
    const { pid } = (await this.status()).daemon;
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  /** Waits until another daemon than this one is ready. */
  async daemonAfter(pid: number): Promise<void> {
    const another = async (): Promise<boolean> => {
      const status = await this.status().catch(() => undefined);
      return status?.ready === true && status.daemon.pid !== pid;
    };
    await waitFor('the next daemon', another, { deadlineMs: 60_000, everyMs: 100 });
  }

  /** Waits until no call is left. */
  async idle(deadlineMs = 20_000): Promise<void> {
    const none = async (): Promise<boolean> => (await this.status()).calls.active === 0;
    const describe = async (): Promise<string> => JSON.stringify(await this.calls(), undefined, 1);
    try {
      await waitFor('all calls to be over', none, { deadlineMs, everyMs: 200, describe });
    } catch (error) {
      // What one test has left is not to fail the next.
      for (const { id } of await this.calls()) await this.cli(['call', 'hangup', id]).catch(() => undefined);
      throw error;
    }
  }
}
