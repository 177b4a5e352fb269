// Real Asterisks from our renderer on a test's subnet, with what they log, and a recorder of their events.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { knownEvents } from '../../asterisk/ari-event.js';
import { AriFarm } from '../../asterisk/asterisk-farm.js';
import { asteriskPrefix } from '../../asterisk/asterisk-prefix.js';
import { AsteriskRenderer } from '../../asterisk/asterisk-renderer.js';
import type { RegistrarSubscriber, TrunkCredentials } from '../../asterisk/pjsip-conf.js';
import { plainRegistration } from '../../core/config/subscriber-schema.js';
import { HoldfastError } from '../../core/errors.js';
import { planFarm, type FarmNode, type FarmPlan } from '../../core/farm/farm-plan.js';
import { silentLogger } from '../../core/log.js';
import { stasisApp, type AriEvent, type AriSnapshot, type AsteriskListener } from '../../core/ports/asterisk.js';
import type { Voice } from '../../core/ports/voices.js';
import { freeSubnet, type Subnet } from '../harness/free-subnet.js';
import { waitFor } from '../harness/wait-for.js';

/** A channel that comes here never rests. Long sums: each step is told to everybody who listens, which is not meant. */
export const treadmill = `[treadmill]\nexten => run,1,NoOp($[${'1+'.repeat(1500)}1])\n same => n,Goto(run,1)\n`;

interface Running {
  readonly folder: string;
  readonly child: ChildProcess;
  log: string;
}

export class AsteriskLab {
  readonly subnet: Subnet;
  readonly plan: FarmPlan;
  readonly farm: AriFarm;
  readonly #renderer: AsteriskRenderer;
  readonly #running = new Map<string, Running>();

  private constructor(
    subnet: Subnet,
    {
      subscribers = [],
      trunks = [],
    }: { subscribers?: readonly RegistrarSubscriber[]; trunks?: readonly TrunkCredentials[] },
  ) {
    this.subnet = subnet;
    this.plan = planFarm(subnet.cidr, { kamailio: 1, call: 2, conference: 1, registrar: 1, rtpengine: 1 });
    this.farm = new AriFarm({
      addressOf: name => this.node(name).address,
      passwordOf,
      log: silentLogger,
      events: knownEvents,
    });
    this.#renderer = new AsteriskRenderer({
      plan: () => this.plan,
      prefix: asteriskPrefix(),
      domain: () => 'holdfast.test',
      ariPassword: passwordOf,
      registration: () => plainRegistration,
      subscribers: () => subscribers,
      trunks: () => trunks,
    });
  }

  static async open(
    known: { subscribers?: readonly RegistrarSubscriber[]; trunks?: readonly TrunkCredentials[] } = {},
  ): Promise<AsteriskLab> {
    return new AsteriskLab(await freeSubnet(), known);
  }

  node(name: string): FarmNode {
    const found = this.plan.nodes.find(node => node.name === name);
    if (!found) throw new Error(`the plan has no ${name}`);
    return found;
  }

  /** Starts a node, with `dialplan` after its own and `without` this module, and resolves with the milliseconds until its ARI answers. */
  async start(name: string, dialplan = '', without?: string): Promise<number> {
    const startedMs = performance.now();
    const node = this.node(name);
    const folder = await mkdtemp(join(tmpdir(), `holdfast-${name}-`));
    const { files: rendered, folders, process } = this.#renderer.setup(node, folder);
    const files = rendered.map(file => {
      if (file.path === 'extensions.conf') return { ...file, content: `${file.content}\n${dialplan}` };
      const isLess = file.path === 'modules.conf' && without !== undefined;
      return isLess ? { ...file, content: file.content.replace(new RegExp(`^.*\\b${without}\\b.*\n`, 'm'), '') } : file;
    });
    for (const one of folders) await mkdir(join(folder, one), { recursive: true });
    for (const { path, content, encoding = 'utf8', mode } of files)
      await writeFile(join(folder, path), content, { encoding, mode });
    // A session of its own, as the host gives it.
    const child = spawn(process.command, process.args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const running: Running = { folder, child, log: '' };
    const record = (data: Buffer): void => void (running.log += data.toString());
    child.stdout.on('data', record);
    child.stderr.on('data', record);
    this.#running.set(name, running);
    const answers = async (): Promise<boolean> => {
      await this.farm.node(name).ari.asterisk.ping();
      return true;
    };
    await waitFor(`ARI of ${name}`, answers, { deadlineMs: 20_000, everyMs: 20, describe: () => running.log });
    return performance.now() - startedMs;
  }

  /** Ends the event stream of a node, and waits until its Asterisk has noticed that nobody listens any more. */
  async stopListening(name: string): Promise<void> {
    const node = this.farm.node(name);
    await node.close();
    const headers = { authorization: `Basic ${btoa(`holdfast:${passwordOf(name)}`)}` };
    const ask = async (): Promise<boolean> => {
      const url = `http://${this.node(name).address}:8088/ari/applications/${stasisApp}`;
      return (await fetch(url, { headers, signal: AbortSignal.timeout(2_000) })).status === 404;
    };
    await waitFor(`${name} to have nobody who listens`, ask, { describe: () => this.log(name) });
  }

  /** How the node is asked whether it lives. */
  voices(name: string): readonly Voice[] {
    return this.#renderer.voices(this.node(name));
  }

  /** What the node has written to its log so far. */
  log(name: string): string {
    return this.#running.get(name)?.log ?? '';
  }

  pid(name: string): number {
    const pid = this.#running.get(name)?.child.pid;
    if (pid === undefined) throw new Error(`${name} does not run`);
    return pid;
  }

  signal(name: string, signal: NodeJS.Signals): void {
    this.#running.get(name)?.child.kill(signal);
  }

  async kill(name: string): Promise<void> {
    const running = this.#running.get(name);
    this.#running.delete(name);
    if (!running) return;
    if (running.child.exitCode === null && running.child.signalCode === null) {
      const gone = once(running.child, 'exit');
      running.child.kill('SIGKILL');
      await gone;
    }
    await rm(running.folder, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    for (const { name } of this.plan.nodes) {
      await this.farm.node(name).close();
      await this.kill(name);
    }
  }
}

const passwordOf = (name: string): string => `secret-of-${name}`;

/** Keeps everything that a node told. */
export class EventRecorder implements AsteriskListener {
  readonly events: AriEvent[] = [];
  readonly snapshots: AriSnapshot[] = [];
  readonly reasons: string[] = [];

  connected(snapshot: AriSnapshot): void {
    this.snapshots.push(snapshot);
  }

  disconnected(reason: string): void {
    this.reasons.push(reason);
  }

  event(event: AriEvent): void {
    this.events.push(event);
  }

  async connections(count: number): Promise<void> {
    await waitFor(`${count} snapshots`, () => this.snapshots.length >= count, { deadlineMs: 10_000 });
  }

  /** Waits for an event of this type about this channel (any, if none is named). */
  async of<T extends AriEvent['type']>(
    type: T,
    test: (event: Extract<AriEvent, { type: T }>) => boolean = () => true,
  ): Promise<Extract<AriEvent, { type: T }>> {
    const find = (): Extract<AriEvent, { type: T }> | undefined =>
      this.events.find(
        (event): event is Extract<AriEvent, { type: T }> =>
          event.type === type && test(event as Extract<AriEvent, { type: T }>),
      );
    return waitFor(type, find, { describe: () => this.describe() });
  }

  /** The events about one channel, one word each. */
  about(id: string): string[] {
    return this.events.filter(event => idOf(event) === id).map(wordOf);
  }

  describe(): string {
    return this.events.map(event => `${idOf(event)} ${wordOf(event)}`).join('\n');
  }
}

/** The HTTP status with which Asterisk refuses this, or `done`. */
export async function refusal(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    if (HoldfastError.is(error, 'ARI_REFUSED')) return error.details['status'];
    throw error;
  }
  return 'done';
}

function idOf(event: AriEvent): string {
  if ('channel' in event) return event.channel.id;
  if (event.type === 'Dial') return event.peer.id;
  return 'bridge' in event ? event.bridge.id : '';
}

function wordOf(event: AriEvent): string {
  if (event.type === 'Dial') return `Dial ${event.dialstatus}`.trimEnd();
  if (event.type === 'ChannelStateChange') return `ChannelStateChange ${event.channel.state}`;
  if (event.type === 'ChannelDestroyed') {
    return `ChannelDestroyed ${event.cause}${event.tech_cause === undefined ? '' : `/${event.tech_cause}`}`;
  }
  return event.type;
}
