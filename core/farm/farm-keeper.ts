// Runs the farm: starts every server, watches its signs of life, restarts what died, and tells the edge.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AriEvent, AriSnapshot, AsteriskFarm, AsteriskListener } from '../ports/asterisk.js';
import type { ApplyExtent } from '../ports/edge.js';
import type { NodeHost, NodeRenderer, ProcessExit } from '../ports/node-host.js';
import type { EdgeKeeper } from './edge-keeper.js';
import type { EdgeSync } from './edge-sync.js';
import type { EngineBook } from './engine-book.js';
import { EndpointKeeper } from './endpoint-keeper.js';
import { isAsterisk, nodeNamed, type FarmName, type FarmNode, type FarmPlan } from './farm-plan.js';
import type { Fences } from './fences.js';
import { LeavingNodes } from './leaving-nodes.js';
import type { NodeChange, NodeStates } from './node-states.js';
import type { Bindings } from '../registrations/bindings.js';
import type { RegistrarKeeper } from '../registrations/registrar-keeper.js';
import type { NodeDeath } from '../recovery/recovery-ports.js';
import type { Sentinel, SentinelVerdict } from '../sentinel/sentinel.js';
import type { StoreWrite } from '../store/store.js';
import type { Sweep } from '../sweep/sweep.js';

export interface FarmKeeperOptions {
  readonly host: NodeHost;
  readonly renderers: Readonly<Record<FarmName, NodeRenderer>>;
  readonly states: NodeStates;
  readonly sync: EdgeSync;
  readonly edge: EdgeKeeper;
  readonly registrars: RegistrarKeeper;
  readonly bindings: Pick<Bindings, 'prune'>;
  readonly asterisks: AsteriskFarm;
  readonly book: EngineBook;
  readonly sweep: Pick<Sweep, 'run'>;
  /** Makes the sentinel, which tells its verdicts here. */
  readonly sentinel: (onVerdict: (verdict: SentinelVerdict) => void) => Sentinel;
  readonly fences: Fences;
  readonly deathPolicy: () => { readonly silenceMs: number; readonly killFrozen: boolean };
  readonly log: Logger;
  /** What the calls want to hear of an Asterisk. */
  readonly listener: (node: string) => AsteriskListener;
  /** Told once of each death, when nothing of the node can reach anybody any more. */
  readonly lostNode: (death: NodeDeath) => void;
  /** Written with the end of an RTPEngine: see MediaRecovery. */
  readonly lostMedia: (death: NodeDeath) => readonly StoreWrite[];
  /** Resolves when a node that died may start again. */
  readonly mayRestart: (node: string) => Promise<void>;
  /** Whether the process that a node has now was up before. */
  readonly wasUp: (node: string) => Promise<boolean>;
  /** Calls on a node now: a node that is taken out of the config goes when there are none. */
  readonly callsOn: (node: string) => number;
}

const tendEveryMs = 250;
/** How long the Kamailios' lists wait after the death of an Asterisk: its sessions' first INVITEs want the same thread. */
const recoveryFirstMs = 25;
/** And how long it is until all that they hold is read back and compared: it takes the cores that the sessions need. */
const compareAfterMs = 1_000;
/** How often pins are looked at, and all else that nobody may need any more. */
const tidyEveryMs = 5_000;
/** Pauses before a server that died is started again; the last one repeats. */
const restartPausesMs = [100, 500, 2_000, 10_000];
/** A server that ran this long starts its pauses from the first again. */
const stableMs = 30_000;

interface Kept {
  readonly node: FarmNode;
  starts: number;
  startedMs: number;
  /** Why its last start failed. */
  trouble: string | undefined;
  /** The process that was declared dead. */
  deadPid: number;
}

export class FarmKeeper {
  readonly endpoints: EndpointKeeper;
  readonly #options: FarmKeeperOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #leaving: LeavingNodes;
  readonly #sentinel: Sentinel;
  #timer: NodeJS.Timeout | undefined;
  #unwatch: (() => void)[] = [];
  #closed = false;
  #tidiedMs = 0;

  constructor(options: FarmKeeperOptions) {
    this.#options = options;
    this.endpoints = new EndpointKeeper(options);
    this.#sentinel = options.sentinel(verdict => this.#judged(verdict));
    this.#leaving = new LeavingNodes({
      ...options,
      unwatch: name => this.#sentinel.unwatch(name),
      left: name => this.#kept.delete(name),
    });
  }

  /** Starts what does not run yet, takes over what does, and watches all of it. Rejects when a process cannot be started. */
  async start(plan: FarmPlan, progress: (line: string) => void): Promise<void> {
    const { host, states, log } = this.#options;
    await this.#options.fences.load();
    this.#sentinel.setSilence(this.#options.deathPolicy().silenceMs);
    await this.#sentinel.open();
    this.#unwatch = [
      host.onExit(exit => this.#exited(exit)),
      states.onChange('farm', change => {
        if (change.node.farm === 'kamailio') void this.#options.sync.balance();
        this.#tellEdge(change);
      }),
    ];
    const leaving = this.#notIn(plan);
    for (const node of [...plan.nodes, ...leaving]) this.#keep(node);
    // From the first moment: what is recovered now must not go there.
    for (const { name } of leaving) this.#leaving.drain(name);
    // What died while it was leaving is not started again: it has left when its calls are elsewhere.
    const nodes = [...plan.nodes, ...leaving.filter(node => host.process(node.name))];
    const missing = plan.nodes.filter(node => !host.process(node.name));
    progress(`starting ${missing.length} servers (${plan.nodes.length - missing.length} run already)`);
    for (const node of nodes.filter(one => one.farm !== 'kamailio')) await this.#ensureStarted(node);
    await this.endpoints.provision(
      nodes.filter(one => !missing.includes(one)),
      'all',
    );
    for (const node of nodes.filter(one => one.farm === 'kamailio')) await this.#ensureStarted(node);
    this.#retireOthers(plan, progress);
    this.#timer = setInterval(() => this.#tend(), tendEveryMs);
    log.info({ nodes: plan.nodes.length, started: missing.length }, 'farm started');
  }

  /**
   * Those that an earlier plan had, and that run or are known to have died with calls: they were leaving when their daemon ended, or the
   * config was changed without one.
   */
  #notIn(plan: FarmPlan): readonly FarmNode[] {
    const { host, states } = this.#options;
    const planned = new Set(plan.nodes.map(node => node.name));
    const others = new Set([...host.running(), ...states.nodes().map(node => node.name)]);
    return [...others].filter(name => !planned.has(name)).flatMap(name => nodeNamed(plan.subnet, name) ?? []);
  }

  #tellEdge({ node: { name, farm }, to }: NodeChange): void {
    const apply = (extent: ApplyExtent): void => {
      if (!this.#closed) void this.#options.edge.apply(`${name} is ${to}`, extent);
    };
    if (to === 'dead' && farm !== 'kamailio') {
      if (isAsterisk(farm)) setTimeout(apply, recoveryFirstMs, 'changes');
      else apply('changes');
      setTimeout(apply, compareAfterMs, 'all').unref();
    } else apply('all');
  }

  /**
   * Makes the farm the new plan's: new nodes are started; missing ones take no new calls and go when they are empty. Gives those that did
   * not start, which are tried again like one that died.
   */
  async reshape(plan: FarmPlan, progress: (line: string) => void): Promise<string | undefined> {
    for (const node of plan.nodes) await this.#add(node, progress);
    this.#retireOthers(plan, progress);
    const failed = this.unstarted;
    return failed.length === 0 ? undefined : failed.map(({ trouble }) => trouble).join('; ');
  }

  /** Nodes of the plan that could not be started, and are tried again. */
  get unstarted(): readonly { readonly farm: FarmName; readonly trouble: string }[] {
    return [...this.#kept.values()].flatMap(({ node: { farm, name }, trouble }) =>
      trouble === undefined || this.#leaving.has(name) ? [] : [{ farm, trouble }],
    );
  }

  async #add(node: FarmNode, progress: (line: string) => void): Promise<void> {
    const { name } = node;
    // Its process is being ended: it comes as another one.
    await this.#leaving.gone(name);
    const known = this.#kept.get(name);
    if (known && !this.#leaving.has(name)) return;
    progress(`adding ${name}`);
    if (known) this.#leaving.takeBack(name);
    const kept = known ?? this.#keep(node);
    // What died while it was leaving starts when its calls are recovered.
    if (known && !this.#options.host.process(name)) this.#restart(kept);
    else await this.#ensureStarted(node).catch((error: unknown) => this.#notStarted(kept, error));
  }

  /** Tried again, like one that died. */
  #notStarted(kept: Kept, error: unknown): void {
    const { name } = kept.node;
    this.#options.log.error({ node: name, error }, `${name} not started: ${messageOf(error)}`);
    kept.trouble = `${name} did not start: ${messageOf(error)}`;
    kept.starts += 1;
    this.#restart(kept);
  }

  #retireOthers(plan: FarmPlan, progress: (line: string) => void): void {
    const wanted = new Set(plan.nodes.map(node => node.name));
    for (const { node } of this.#kept.values()) {
      if (wanted.has(node.name) || this.#leaving.has(node.name)) continue;
      progress(`${node.name} takes no new calls and ends when its calls have`);
      this.#leaving.start(node);
    }
  }

  /** Declared dead, and its process is left as it is (`killFrozen: false`): it is somebody else's to end, and nobody waits for it. */
  #isLeftDead(name: string): boolean {
    const pid = this.#options.host.process(name)?.pid;
    return pid !== undefined && this.#kept.get(name)?.deadPid === pid;
  }

  /** Resolves when every node is up (or draining), and every Kamailio behind the VIPs and told of it; rejects at the deadline. */
  async ready(deadlineMs: number, progress: (line: string) => void): Promise<void> {
    const { states, sync } = this.#options;
    const shown = new Set<string>();
    const endMs = Date.now() + deadlineMs;
    let isTold = false;
    for (;;) {
      const nodes = states.nodes();
      for (const node of nodes.filter(one => !shown.has(one.name) && states.state(one.name) !== 'dead')) {
        shown.add(node.name);
        progress(`${node.name} is ${states.state(node.name)}`);
      }
      const isReady = ({ name }: FarmNode): boolean =>
        ['up', 'draining'].includes(states.state(name)) || this.#leaving.has(name) || this.#isLeftDead(name);
      const waiting = nodes.filter(node => !isReady(node));
      if (waiting.length === 0 && isTold) return sync.balance();
      if (Date.now() > endMs) throw await this.#notReady(waiting);
      isTold = waiting.length === 0 && (await this.#isEdgeTold());
      if (!isTold) await new Promise(resolve => setTimeout(resolve, 50));
    }
  }

  /** A Kamailio that was equal when the last node came up may not have heard of it yet, and would refuse calls. */
  async #isEdgeTold(): Promise<boolean> {
    const { states, sync } = this.#options;
    const reports = await sync.apply('the farm is to be ready').catch(() => undefined);
    return reports?.every(({ instance, equal }) => equal || states.state(instance) !== 'up') ?? false;
  }

  async #notReady(waiting: readonly FarmNode[]): Promise<Error> {
    const [first] = waiting;
    if (!first) return new Error('all nodes are up, and the Kamailios did not take their lists: see the log');
    const tail = await this.#options.host.logTail(first.name, 15);
    return new Error(`not up: ${waiting.map(node => node.name).join(', ')}; the last lines of ${first.name}:\n${tail}`);
  }

  /** Stops watching; the servers go on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#leaving.close();
    clearInterval(this.#timer);
    for (const unwatch of this.#unwatch) unwatch();
    await this.#sentinel.close();
    const asterisks = [...this.#kept.values()].filter(kept => isAsterisk(kept.node.farm));
    await Promise.all(asterisks.map(kept => this.#options.asterisks.node(kept.node.name).close()));
  }

  /** Ends every server of the farm, also those an earlier plan started. */
  async stopAll(): Promise<readonly string[]> {
    const running = this.#options.host.running();
    await Promise.all(running.map(name => this.#options.host.stop(name)));
    return running;
  }

  #keep(node: FarmNode): Kept {
    const kept = { node, starts: 0, startedMs: 0, trouble: undefined, deadPid: 0 };
    this.#kept.set(node.name, kept);
    this.#options.states.add(node);
    return kept;
  }

  async #ensureStarted(node: FarmNode): Promise<void> {
    const { host, renderers, fences, book, edge } = this.#options;
    const kept = this.#kept.get(node.name);
    if (!kept) return;
    if (!host.process(node.name)) {
      await fences.lower(node);
      await host.start(node.name, renderers[node.farm].setup(node, host.folder(node.name)));
      kept.starts += 1;
    }
    kept.trouble = undefined;
    kept.startedMs = Date.now();
    const process = host.process(node.name);
    // One that has ended meanwhile is started again.
    if (!process) return;
    if (node.farm === 'rtpengine' && (await book.observe(node, process)))
      await edge.apply(`${node.name} is another incarnation`);
    const wasUp = await this.#options.wasUp(node.name);
    this.#sentinel.watch({ name: node.name, ...process, voices: renderers[node.farm].voices(node), wasUp });
    if (isAsterisk(node.farm)) this.#listen(kept);
  }

  #listen(kept: Kept): void {
    const name = kept.node.name;
    const calls = this.#options.listener(name);
    this.#options.asterisks.node(name).open({
      connected: (snapshot: AriSnapshot) => {
        this.#sentinel.stream(name, true);
        calls.connected(snapshot);
      },
      disconnected: (reason: string) => {
        this.#sentinel.stream(name, false);
        calls.disconnected(reason);
      },
      event: (event: AriEvent) => calls.event(event),
    });
  }

  #exited(exit: ProcessExit): void {
    const kept = this.#kept.get(exit.node);
    // One that has left was ended by us.
    if (!kept || this.#closed || this.#leaving.isGoing(exit.node)) return;
    const how = exit.signal ?? `code ${exit.code ?? '?'}`;
    const { node, pid, signal, code } = exit;
    this.#options.log.warn({ node, pid, signal, code }, `${node} ended (${how})`);
    const now = Date.now();
    const reason = `its process ended (${how})`;
    void this.#died(kept, pid, false, { node, reason, firstSignMs: now, declaredMs: now });
    if (!this.#leaving.has(node)) this.#restart(kept);
  }

  #judged({ name, pid, health, reason, processGone, firstSignMs, declaredMs }: SentinelVerdict): void {
    const kept = this.#kept.get(name);
    if (!kept || this.#closed || kept.deadPid === pid) return;
    if (health === 'dead') void this.#died(kept, pid, !processGone, { node: name, reason, firstSignMs, declaredMs });
    else if (kept.node.farm === 'kamailio') this.#options.edge.heard(name, { health, reason });
    else if (kept.node.farm === 'registrar') this.#options.registrars.heard(name, { health, reason });
    else this.#options.states.setHealth(name, health, reason);
  }

  /** Fenced first: what is declared dead must not speak, whatever becomes of its process. */
  async #died(kept: Kept, pid: number, isThere: boolean, death: NodeDeath): Promise<void> {
    if (kept.deadPid === pid) return;
    kept.deadPid = pid;
    const { states, host, fences, book, edge, deathPolicy, lostNode, lostMedia, log } = this.#options;
    const { name, farm } = kept.node;
    if (isThere) await fences.raise(kept.node);
    // In one turn: who asks the book for the successors of a dead engine must know all of its state.
    if (farm === 'rtpengine')
      book
        .bury(name, pid, lostMedia(death))
        .catch((error: unknown) =>
          log.error({ node: name, error }, `the end of ${name} was not noted: ${messageOf(error)}`),
        );
    if (farm === 'kamailio') edge.forget(name);
    if (farm === 'registrar') this.#options.registrars.forget(name);
    states.setHealth(name, 'dead', death.reason);
    if (isAsterisk(farm)) void this.#options.asterisks.node(name).abandon();
    lostNode(death);
    if (!isThere) return;
    if (deathPolicy().killFrozen)
      await host.kill(name).catch((error: unknown) => log.error({ node: name, error }, messageOf(error)));
    else
      log.warn(
        { node: name, pid },
        `${name} is left as it is (killFrozen: false): end process ${pid} to have it start again`,
      );
  }

  #restart(kept: Kept): void {
    const { name } = kept.node;
    if (Date.now() - kept.startedMs > stableMs) kept.starts = 0;
    const pause = restartPausesMs[Math.min(kept.starts, restartPausesMs.length - 1)] ?? 10_000;
    // Asked after the pause: by then the death has been told, also where the fence took its time.
    void new Promise<void>(resolve => setTimeout(resolve, pause).unref())
      .then(() => this.#options.mayRestart(name))
      .then(async () => {
        if (this.#closed || this.#leaving.has(name) || this.#options.host.process(name)) return;
        await this.#ensureStarted(kept.node).catch((error: unknown) => this.#notStarted(kept, error));
      });
  }

  #tend(): void {
    const { sync, sweep, edge, registrars, bindings, deathPolicy, log } = this.#options;
    void edge.tend();
    void registrars.tend();
    if (Date.now() - this.#tidiedMs < tidyEveryMs) return;
    this.#tidiedMs = Date.now();
    void sync.unpinDone();
    void this.endpoints.settle(this.#options.states.nodes().filter(({ name }) => !this.#isLeftDead(name)));
    void sweep.run();
    bindings.prune().catch((error: unknown) => log.error({ error }, `bindings not tidied: ${messageOf(error)}`));
    this.#sentinel.setSilence(deathPolicy().silenceMs);
  }
}
