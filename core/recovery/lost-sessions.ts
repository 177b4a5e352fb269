// The sessions of dead nodes that are under way to another one: which node each is given, when it sets off, and what it meets there.
import type { CallEngine } from '../calls/call-engine.js';
import type { CallRecord } from '../calls/call-record.js';
import type { Conferences } from '../conferences/conferences.js';
import { messageOf } from '../errors.js';
import type { Dialog } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import type { AriEvent, AriSnapshot, AsteriskFarm } from '../ports/asterisk.js';
import type { Store, StoreWrite, Table } from '../store/store.js';
import { LegRecovery, type LegOutcome } from './leg-recovery.js';
import { NodeQueues, type QueuedWork } from './node-queues.js';
import type { RecoveryPolicy } from './recovery-facts.js';
import type { CallToAssign } from './recovery-planner.js';
import type { NodeDeath } from './recovery-ports.js';
import { lostSessionSchema, type LostSession } from './recovery-record.js';
import type { SessionFacts } from './session-line.js';

export interface LostSessionsOptions {
  readonly store: Store;
  readonly engine: CallEngine;
  readonly conferences: Conferences;
  readonly asterisks: AsteriskFarm;
  readonly log: Logger;
  readonly policy: () => RecoveryPolicy | undefined;
  readonly hasCredentials: (trunk: string) => boolean;
  /** Resolves when the RTPEngine of a dialog can be offered something, as far as is known. */
  readonly mediaReady: (dialog: Dialog) => Promise<void>;
  /** Call → node. */
  readonly assign: (calls: readonly CallToAssign[]) => ReadonlyMap<string, string>;
  /** A session has found its end. */
  readonly settled: (facts: SessionFacts) => Promise<void>;
}

/** A session under way. */
interface Pending {
  readonly session: LostSession;
  readonly death: NodeDeath;
  readonly wish: string | undefined;
  /** Undefined while it waits for a node. */
  node: string | undefined;
  /** The call ended meanwhile: the session is hung up as soon as it can be. */
  abandoned: boolean;
  readonly leg: LegRecovery;
}

/** A call and those of its sessions that are given to a node together. */
interface ScheduledCall {
  readonly call: CallRecord;
  readonly legs: readonly Pending[];
  readonly node: string | undefined;
}

/** Calls that set off together, before the next ones are written down. */
const givenAtOnce = 8;
/**
 * Sessions that keep a node busy at once: more of them only wait in its queues. One that is not back after `busyMs` has a phone that is far
 * away or does not answer, and keeps no core busy: the next one sets off, so that a thousand a second do in any case.
 */
const inFlight = { atOnce: 16, busyMs: 16 };
const abandonedReason = 'the call ended before it was recovered';

export class LostSessions {
  readonly #options: LostSessionsOptions;
  readonly #log: Logger;
  readonly #table: Table<LostSession>;
  /** By leg. */
  readonly #pending = new Map<string, Pending>();
  readonly #queues: NodeQueues;
  #waitingTimer: NodeJS.Timeout | undefined;
  /** A call node has been up since the daemon started. */
  #hadNode = false;
  #closed = false;

  constructor(options: LostSessionsOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#table = options.store.table('lost-sessions', lostSessionSchema);
    this.#queues = new NodeQueues({
      ...inFlight,
      perSecond: () => options.policy()?.perSecond ?? Infinity,
      trunkPerSecond: trunk => options.policy()?.trunkPerSecond(trunk) ?? Infinity,
    });
  }

  get count(): number {
    return this.#pending.size;
  }

  has(legId: string): boolean {
    return this.#pending.has(legId);
  }

  /** Whether any of this recovery is still under way. */
  areOf(epoch: string): boolean {
    return [...this.#pending.values()].some(one => one.session.epoch === epoch);
  }

  /** Takes up those that an earlier daemon left, where `deathOf` knows of them; they go on as their nodes connect. */
  async load(deathOf: (epoch: string) => NodeDeath | undefined): Promise<void> {
    for await (const [, { value }] of this.#table.range()) {
      const death = deathOf(value.epoch);
      const leg = this.#options.engine.book.record(value.callId)?.legs.find(one => one.id === value.legId);
      if (death && leg && leg.recovering === value.epoch) this.adopt(value, death, undefined, leg.node);
      else await this.#table.delete(sessionKey(value));
    }
  }

  /** A session to be recovered: on `node`, or wherever `schedule` says. `wish` is where a plugin wants it. */
  adopt(session: LostSession, death: NodeDeath, wish: string | undefined, node: string | undefined): void {
    const { asterisks, hasCredentials } = this.#options;
    const leg = new LegRecovery({
      session,
      ari: name => asterisks.node(name).ari,
      hasCredentials,
      patienceMs: () => this.#options.policy()?.patienceMs ?? 30_000,
      bridge: () => this.#options.conferences.bridgeOf(session.callId, session.legId),
    });
    this.#pending.set(session.legId, { session, death, wish, node, leg, abandoned: false });
  }

  /** Those that were on their way to a node that died meanwhile look for another one. */
  reassign(node: string): void {
    for (const pending of this.#pending.values()) {
      if (pending.node !== node) continue;
      pending.node = undefined;
      pending.leg.nodeDied();
    }
    this.#queues.drop(node);
  }

  /**
   * Gives every session that has none a node, all sessions of a call (or of a room mixed on its node) the same one. `writes` are
   * in the store before the first of them.
   */
  async schedule(writes: readonly StoreWrite[] = []): Promise<void> {
    const waiting = this.#waiting;
    if ((waiting.length === 0 && writes.length === 0) || this.#closed) return;
    const byCall = new Map<string, Pending[]>();
    for (const one of waiting) byCall.set(one.session.callId, [...(byCall.get(one.session.callId) ?? []), one]);
    const groups = [...byCall].flatMap(([callId, legs]) => {
      const call = this.#options.engine.book.record(callId);
      return call ? [{ call, legs, wish: legs[0]?.wish, priority: legs[0]?.session.priority ?? 0 }] : [];
    });
    groups.sort((a, b) => b.priority - a.priority);
    const assigned = this.#options.assign(groups);
    const given = groups.map(({ call, legs }) => ({ call, legs, node: assigned.get(call.id) }));
    for (const { legs, node } of given) for (const one of legs) one.node = node;
    // The first INVITEs are under way while the rest is written.
    await this.#give(given.slice(0, givenAtOnce), writes);
    for (let i = givenAtOnce; i < given.length; i += givenAtOnce) {
      await new Promise(resolve => setImmediate(resolve));
      await this.#give(given.slice(i, i + givenAtOnce), []);
    }
    if (assigned.size === 0) this.waitForNodes();
    else if (this.#waiting.length === 0) this.#stopWaiting();
  }

  /** A call node is up. */
  async nodeUp(): Promise<void> {
    this.#hadNode = true;
    await this.schedule();
  }

  /** A node's event stream is open: what an earlier daemon had begun there is looked at, and the rest is given out. */
  async nodeConnected(node: string, snapshot: AriSnapshot): Promise<void> {
    const channels = new Map(snapshot.channels.map(channel => [channel.id, channel]));
    for (const pending of this.#pending.values()) {
      if (pending.node !== node || pending.leg.begun) continue;
      const { callId, legId } = pending.session;
      const channel = channels.get(legId);
      if (channel === undefined) pending.node = undefined;
      else {
        pending.leg.conferenceReady = this.#options.conferences.move(callId, [legId], node).catch(() => undefined);
        const isOurs = channel.state === 'Up' && channel.dialplan.app_name === 'Stasis';
        void this.#run(pending, isOurs ? 'up' : 'under way');
      }
    }
    await this.schedule();
  }

  /**
   * The call ends before this leg is recovered: its far end hears a BYE, from us, or from the node that has sent the INVITE,
   * as a CANCEL would leave the dialog as it was. False for a leg that is not being recovered.
   */
  abandon(legId: string): boolean {
    const pending = this.#pending.get(legId);
    if (!pending) return false;
    pending.abandoned = true;
    if (!pending.leg.begun) void this.#settle(pending, { result: 'ended', reason: abandonedReason });
    return true;
  }

  /** No call node is up: those that have none wait for one, as long as the policy's patience lasts. */
  waitForNodes(): void {
    const { length } = this.#waiting;
    if (length === 0 || this.#waitingTimer) return;
    const patienceMs = this.#options.policy()?.patienceMs ?? 0;
    const waiting = `${length} sessions wait ${patienceMs / 1000} s for one`;
    // Just after the daemon's start those that live have not been heard yet either.
    if (this.#hadNode)
      this.#log.error({ sessions: length, patienceMs }, `no call node is up: ${waiting}; see holdfast nodes`);
    else this.#log.info({ sessions: length, patienceMs }, `no call node is up yet: ${waiting}`);
    this.#waitingTimer = setTimeout(() => {
      this.#waitingTimer = undefined;
      for (const one of this.#waiting) {
        void this.#settle(one, { result: 'failed', reason: 'no call node came up in time' });
      }
    }, patienceMs);
  }

  /** True where the event is one of a session under way. */
  hears(node: string, event: AriEvent): boolean {
    if (!('channel' in event)) return false;
    const pending = this.#pending.get(event.channel.id);
    return pending?.node === node && pending.leg.hears(event);
  }

  /** Takes those that have found their end out of the store. */
  deleting(settled: readonly LostSession[]): StoreWrite[] {
    return settled.map(one => this.#table.deleting(sessionKey(one)));
  }

  close(): void {
    this.#closed = true;
    this.#stopWaiting();
  }

  /** Who waits again has all of the patience again. */
  #stopWaiting(): void {
    clearTimeout(this.#waitingTimer);
    this.#waitingTimer = undefined;
  }

  get #waiting(): readonly Pending[] {
    return [...this.#pending.values()].filter(one => one.node === undefined && !one.leg.begun);
  }

  /** Calls whose sessions have a node set off for it, once the store knows: a daemon that dies then finds what it had begun. */
  async #give(scheduled: readonly ScheduledCall[], writes: readonly StoreWrite[]): Promise<void> {
    const { engine } = this.#options;
    // A node that died meanwhile has had them taken away again, and who has hung up meanwhile has found an end.
    const groups = scheduled
      .filter(({ legs, node }) => legs.every(one => one.node === node))
      .map(group => ({ ...group, legs: group.legs.filter(one => this.#pending.has(one.session.legId)) }))
      .filter(({ legs }) => legs.length > 0);
    for (const { call, legs, node } of groups) {
      // Marked as being recovered also where there is no node yet: their old one may come back, empty, and ask for them.
      const [first] = legs;
      if (!first) continue;
      const old = call.legs.find(leg => leg.id === first.session.legId)?.node ?? '';
      const moved = { legs: legs.map(one => one.session.legId), epoch: first.session.epoch };
      engine.tell(call.id, { type: 'legsMoved', node: node ?? old, ...moved, sinceMs: first.death.firstSignMs });
    }
    const sessions = groups.flatMap(one => one.legs.map(leg => leg.session));
    await engine.save(
      groups.map(one => one.call.id),
      [...writes, ...sessions.map(session => this.#table.putting(sessionKey(session), session))],
    );
    for (const { call, legs, node } of groups) if (node !== undefined) this.#move(call.id, legs, node);
  }

  /** Queues a call's sessions on their new node, and prepares their conference. */
  #move(callId: string, legs: readonly Pending[], node: string): void {
    const legIds = legs.map(one => one.session.legId);
    const moved = this.#options.conferences.move(callId, legIds, node).catch((error: unknown) => {
      this.#log.warn({ call: callId, node, error }, `conference not moved to ${node}: ${messageOf(error)}`);
    });
    for (const one of legs) one.leg.conferenceReady = moved;
    this.#queues.add(
      node,
      legs.map(one => this.#work(one, node)),
    );
  }

  #work(pending: Pending, node: string): QueuedWork {
    const { legId, trunk, priority } = pending.session;
    return {
      priority,
      ...(trunk === null ? {} : { trunk }),
      isWanted: () => pending.node === node && this.#pending.has(legId),
      run: () => this.#begin(pending),
    };
  }

  async #begin(pending: Pending): Promise<void> {
    const { session, node } = pending;
    if (session.dialog !== null) await this.#options.mediaReady(session.dialog);
    // It may have found another node meanwhile, or its end.
    if (pending.node === node && this.#pending.has(session.legId)) await this.#run(pending, 'new');
  }

  async #run(pending: Pending, from: 'new' | 'under way' | 'up'): Promise<void> {
    const { node, leg } = pending;
    if (node === undefined) return;
    const outcome = await leg.run(node, from);
    if (pending.abandoned) {
      const reason = outcome.result === 'gone' ? outcome.reason : abandonedReason;
      const isUp = outcome.result === 'recovered' && pending.node === node;
      const result = isUp || outcome.result === 'gone' ? outcome.result : 'ended';
      await this.#settle(pending, { result, reason });
      return;
    }
    if (outcome.result === 'again elsewhere') return this.#again(pending);
    if (outcome.result !== 'recovered') return this.#settle(pending, outcome);
    const attached = await this.#attach(pending, from === 'new').then(
      () => outcome,
      (error: unknown): LegOutcome => ({
        result: 'failed',
        reason: `not back in its conference: ${messageOf(error)}`,
      }),
    );
    // Its node died as it was up: the recovery of that node has left it to us.
    if (pending.node !== node) return this.#again(pending);
    await this.#settle(pending, attached);
  }

  async #attach({ session, leg }: Pending, isIn: boolean): Promise<void> {
    await leg.conferenceReady;
    await this.#options.conferences.attach(session.callId, session.legId, isIn);
  }

  async #again(pending: Pending): Promise<void> {
    if (pending.abandoned) return this.#settle(pending, { result: 'ended', reason: abandonedReason });
    pending.leg.reset();
    pending.node = undefined;
    await this.schedule();
  }

  async #settle(pending: Pending, outcome: LegOutcome): Promise<void> {
    const { session, death, node, leg } = pending;
    if (!this.#pending.has(session.legId)) return;
    if (outcome.result === 'recovered' && pending.abandoned && node !== undefined) {
      await this.#hangUp(pending, node);
      return this.#settle(pending, { result: 'gone', reason: abandonedReason });
    }
    this.#pending.delete(session.legId);
    await this.#options.settled({ session, death, node, leg, outcome, upMs: Date.now() });
  }

  /** Its call's conference has ended already: the channel made the bridge once more. */
  async #hangUp({ session, leg }: Pending, node: string): Promise<void> {
    const { asterisks, conferences } = this.#options;
    const { channels } = asterisks.node(node).ari;
    await channels.hangup({ channelId: session.legId }).catch(() => undefined);
    if (leg.bridgeId !== undefined) await conferences.endBridge(node, leg.bridgeId).catch(() => false);
  }
}

function sessionKey({ epoch, legId }: LostSession): string {
  return `${epoch} ${legId}`;
}
