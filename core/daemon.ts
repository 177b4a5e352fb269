// The daemon's life: what is started in which order, what a reload changes, and how it ends.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { endAllCalls } from './calls/end-all-calls.js';
import type { ControlServer } from './control/control-server.js';
import type { DaemonParts } from './daemon-parts.js';
import { messageOf } from './errors.js';
import { nodeNamed, type FarmNode, type FarmPlan } from './farm/farm-plan.js';
import type { NodeDeath } from './recovery/recovery-ports.js';
import { rehearse } from './recovery/rehearsal.js';
import { Reloads, type Untaken } from './reload.js';
import type { StoreWrite, Table } from './store/store.js';
import { traceFarmOf } from './trace/trace-farm.js';
import type { Trace } from './trace/trace.js';

const heartbeatEveryMs = 1_000;
const readyDeadlineMs = 60_000;
/** A registrar that is away holds up no `down`: our registration there ends by itself. */
const unregisterDeadlineMs = 4_000;
/** What phones answer to the last BYEs still passes. */
const lastPacketsMs = 200;

export class Daemon {
  readonly #parts: DaemonParts;
  readonly #heartbeats: Table<{ atMs: number }>;
  readonly #drains: Table<{ draining: true }>;
  readonly #reloads: Reloads;
  #control: ControlServer | undefined;
  #trace: Trace | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  #markStopped: () => void = () => undefined;
  ready = false;
  readonly stopped: Promise<void>;

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    this.#heartbeats = parts.store.table('heartbeat', z.object({ atMs: z.number() }));
    this.#drains = parts.store.table('drains', z.object({ draining: z.literal(true) }));
    this.#reloads = new Reloads({
      parts,
      isReady: () => this.ready,
      allNodes: () => this.#allNodes(),
      setTraceSources: nodes => this.#trace?.setSources(traceFarmOf(nodes)),
    });
    this.stopped = new Promise(resolve => (this.#markStopped = resolve));
  }

  /** The SIP Call-ID of a leg, as soon as a Kamailio has shown it. */
  sipCallIdOf(legId: string): string | undefined {
    return this.#trace?.callIdOfLeg(legId);
  }

  get trace(): Trace | undefined {
    return this.#trace;
  }

  /** Control socket first, so that a start can be watched; then farm and calls. Resolves when the farm is ready. */
  async start(control: ControlServer): Promise<void> {
    const { log, live, plugins, cdr, keeper, engine, book, states } = this.#parts;
    this.#control = control;
    await control.listen();
    for (const warning of live.config.warnings) log.warn({}, warning);
    for (const fault of live.config.faults) log.error({}, fault);
    this.#parts.checkMachine();
    await plugins.start(live.config);
    this.#trace = await this.#parts.openTrace();
    await this.#parts.dialogs.open(this.#trace);
    this.#trace.onDialogs((_, ended) => engine.dialogsEnded(ended));
    this.#trace.onLegCallId((legId, sipCallId) => engine.learnCallId(legId, sipCallId));
    await this.#parts.standIn.open();
    await this.#parts.keepAlive.open();
    await this.#parts.probe.open();
    await this.#parts.registerClient.open();
    await book.load();
    await this.#parts.bindings.load();
    await this.#parts.copies.forgetStrangers();
    await this.#parts.eventLog.load();
    await this.#parts.eventStream.listen();
    const lastLivedMs = (await this.#heartbeats.get('daemon'))?.value.atMs ?? Date.now();
    await engine.load(lastLivedMs);
    await this.#parts.recoveries.load();
    await this.#parts.recordings.load();
    await this.#parts.callRecordings.load();
    await cdr.start();
    await this.#parts.notices.start(live.config.webhooks);
    await this.#parts.metrics.start(live.config.metrics);
    const progress = (line: string): void => log.info({}, line);
    const reason = 'it died while the daemon was away';
    const declaredMs = Date.now();
    const deathOf = (node: string): NodeDeath => ({ node, reason, firstSignMs: lastLivedMs, declaredMs });
    const died = (node: string): void => void this.#parts.nodeDied(deathOf(node));
    const { host, mediaRecovery } = this.#parts;
    const gone = await this.#gone(reason);
    for (const { name, farm } of gone) if (farm === 'call') died(name);
    // Which engine had whose media, before those that are gone have successors.
    mediaRecovery.note();
    await mediaRecovery.load();
    const hasCalls = engine.book.size > 0;
    const lostMedia = (node: string): readonly StoreWrite[] => (hasCalls ? mediaRecovery.noting(deathOf(node)) : []);
    const engines = await book.buryGone(node => host.process(node), lostMedia);
    if (hasCalls) engines.forEach(died);
    await this.#parts.certificates.start();
    await this.#parts.names.start();
    await keeper.start(live.plan, progress);
    this.#parts.setNodes(this.#allNodes());
    this.#trace.setSources(traceFarmOf(this.#allNodes()));
    for await (const [name] of this.#drains.range()) states.setDraining(name, true, 'drained by the operator');
    this.#heartbeat = setInterval(() => void this.#beat(), heartbeatEveryMs);
    await keeper.ready(readyDeadlineMs, progress);
    // Their conferences need other conference nodes, and call nodes that are connected.
    for (const { name, farm } of gone) if (farm === 'conference') died(name);
    // Not before calls could reach them too: the Kamailios carry both.
    this.#parts.gateways.start();
    await this.#parts.trunkRegistrations.start();
    this.#parts.trustedPhones.start();
    this.#parts.movedPhones.start();
    await this.#parts.bans.start();
    this.#parts.overload.start();
    this.ready = true;
    log.info({ pid: process.pid, subnet: live.plan.subnet }, 'the farm is ready');
    void this.#rehearse();
  }

  /**
   * Nodes that died unseen, with their calls or with conferences. One that was leaving, or that the config has no more, is in the farm until
   * these are elsewhere; a conference node of the plan is not told: what it had is mended when it is back.
   */
  async #gone(reason: string): Promise<readonly FarmNode[]> {
    const { known, live, states, engine, conferences } = this.#parts;
    const planned = new Map(live.plan.nodes.map(node => [node.name, node]));
    const inUse = [...engine.book.nodes(), ...conferences.list().map(({ node }) => node)];
    const calls = live.plan.nodes.filter(({ farm }) => farm === 'call').map(({ name }) => name);
    const others = new Set(inUse.filter(name => !planned.has(name)));
    const gone = await known.gone([...calls, ...others]);
    return gone.flatMap(name => {
      const node = planned.get(name) ?? nodeNamed(live.plan.subnet, name);
      if (node && others.has(name)) {
        states.add(node);
        states.setHealth(name, 'dead', reason);
      }
      return node ?? [];
    });
  }

  async #rehearse(): Promise<void> {
    const { log } = this.#parts;
    try {
      const { sessions, recovered } = await rehearse();
      const said = `${recovered} of ${sessions} sessions recovered in a rehearsal, in memory`;
      if (recovered === sessions) log.debug({}, said);
      else log.error({ sessions, recovered }, said);
    } catch (error) {
      log.error({ error }, `a recovery was rehearsed in memory, and failed: ${messageOf(error)}`);
    }
  }

  async rememberDrain(node: string, draining: boolean): Promise<void> {
    if (draining) await this.#drains.put(node, { draining: true });
    else await this.#drains.delete(node);
  }

  /** Takes the config file anew; calls in progress keep what they got. Gives what changed, in words. */
  reload(progress: (line: string) => void): Promise<readonly string[]> {
    return this.#reloads.run(progress);
  }

  /** What is not as the config says: a reload could not do it, or it fails since. */
  get untaken(): readonly Untaken[] {
    return this.#reloads.untaken;
  }

  /** Ends calls, servers and balancer: nothing of the farm is left. */
  async down(progress: (line: string) => void): Promise<readonly string[]> {
    this.ready = false;
    await this.#reloads.idle();
    await this.#endCalls(progress);
    progress('ending registrations with trunks');
    await this.#parts.trunkRegistrations.end(unregisterDeadlineMs);
    progress('taking the VIPs down');
    await this.#parts.balancer.remove();
    await this.#parts.keeper.close();
    progress('ending the servers');
    const ended = await this.#parts.keeper.stopAll();
    setImmediate(() => void this.close());
    return ended;
  }

  /** While the VIPs are there to carry the BYEs, and what answers them. */
  async #endCalls(progress: (line: string) => void): Promise<void> {
    const { engine, log } = this.#parts;
    const { length } = engine.book.list();
    if (length === 0) return;
    progress(`hanging up ${length} calls`);
    const left = await endAllCalls(engine, 'the farm was taken down');
    await delay(lastPacketsMs);
    if (left > 0) log.warn({ calls: left }, `${left} calls could not be hung up: the next start looks after them`);
  }

  /** Ends the daemon only: servers and calls go on, and a later daemon takes them up. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.ready = false;
    clearInterval(this.#heartbeat);
    await this.#reloads.idle();
    const { keeper, plugins, cdr, store, log } = this.#parts;
    const steps: (() => Promise<unknown> | undefined)[] = [
      () => this.#control?.close(),
      () => this.#parts.eventStream.close(),
      () => this.#parts.metrics.close(),
      async () => this.#parts.recoveries.close(),
      async () => this.#parts.mediaRecovery.close(),
      async () => this.#parts.bans.close(),
      async () => this.#parts.overload.close(),
      async () => this.#parts.trustedPhones.close(),
      async () => this.#parts.movedPhones.close(),
      async () => this.#parts.certificates.close(),
      async () => this.#parts.trunkRegistrations.close(),
      async () => this.#parts.registerClient.close(),
      async () => this.#parts.gateways.close(),
      async () => this.#parts.names.close(),
      async () => this.#parts.probe.close(),
      async () => this.#parts.keepAlive.close(),
      async () => this.#parts.standIn.close(),
      () => keeper.close(),
      () => plugins.stop(),
      () => this.#trace?.close(),
      () => cdr.stop(),
      () => this.#parts.notices.stop(),
      () => store.close(),
    ];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        log.warn({ error }, `while ending: ${messageOf(error)}`);
      }
    }
    log.info({}, 'the daemon has ended');
    log.flush();
    this.#markStopped();
  }

  /** Nodes of the plan and those that are still leaving. */
  #allNodes(): FarmPlan {
    const { live, states } = this.#parts;
    const planned = new Set(live.plan.nodes.map(node => node.name));
    return { ...live.plan, nodes: [...live.plan.nodes, ...states.nodes().filter(node => !planned.has(node.name))] };
  }

  async #beat(): Promise<void> {
    try {
      await this.#heartbeats.put('daemon', { atMs: Date.now() });
    } catch (error) {
      this.#parts.log.warn({ error }, `no heartbeat in the store: ${messageOf(error)}`);
    }
  }
}
