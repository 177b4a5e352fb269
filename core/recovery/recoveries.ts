// Recovers the calls of a dead call node: every session is re-created on another one, as a re-INVITE of its own dialog.
import type { CallRecord } from '../calls/call-record.js';
import type { CallEvent } from '../calls/call-machine.js';
import { messageOf } from '../errors.js';
import type { OpenInvite } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import type { AriEvent, AriSnapshot, AsteriskFarm } from '../ports/asterisk.js';
import type { Store, StoreWrite, Table } from '../store/store.js';
import { FarEnds } from './far-ends.js';
import { LegRecovery, type LegOutcome } from './leg-recovery.js';
import { NodeQueues, type QueuedWork } from './node-queues.js';
import { RecoveryBook } from './recovery-book.js';
import type { RecoveryFacts } from './recovery-facts.js';
import { trunkOf, type PlannedCall, type PlannedLeg } from './recovery-plan.js';
import { isRecovered, isWanted, lacksDialog, RecoveryPlanner, type PlannerOptions } from './recovery-planner.js';
import type { NodeDeath, StandInPort } from './recovery-ports.js';
import { sessionLine, type SessionLine } from './session-line.js';
import { lostSessionSchema, type LostSession, type RecoveryRecord } from './recovery-record.js';

export interface RecoveriesOptions extends PlannerOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly standIn: StandInPort;
  readonly hasCredentials: (trunk: string) => boolean;
  readonly done: (facts: RecoveryFacts) => void;
}

/** A session under way. */
interface Pending {
  readonly session: LostSession;
  readonly death: NodeDeath;
  wish: string | undefined;
  /** Undefined while it waits for a node. */
  node: string | undefined;
  /** The call ended meanwhile: the session is hung up as soon as it can be. */
  abandoned: boolean;
  leg: LegRecovery;
}

/** A call and those of its sessions that are given to a node together. */
interface ScheduledCall {
  readonly call: CallRecord;
  readonly legs: readonly Pending[];
  readonly node: string | undefined;
}

/** Calls that set off before the rest of their recovery is written down. */
const firstGiven = 16;
/** Sessions under way to one node at once: more of them only wait in its queues. */
const inFlightPerNode = 16;
const abandonedReason = 'the call ended before it was recovered';

export class Recoveries {
  readonly #options: RecoveriesOptions;
  readonly #log: Logger;
  readonly #book: RecoveryBook;
  readonly #planner: RecoveryPlanner;
  readonly #farEnds: FarEnds;
  readonly #sessions: Table<LostSession>;
  /** By leg. */
  readonly #pending = new Map<string, Pending>();
  readonly #queues = new NodeQueues(inFlightPerNode);
  readonly #doneOf = new Map<string, Promise<void>>();
  /** What is to be said of them, in order. */
  #lines: SessionLine[] = [];
  /** Sessions that have found their end, until their recovery is done and saved. */
  #settled: LostSession[] = [];
  readonly #markDone = new Map<string, () => void>();
  /** Recoveries that still wait for what a trace source knows. */
  readonly #planning = new Set<string>();
  #waitingTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: RecoveriesOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#book = new RecoveryBook(options.store);
    this.#planner = new RecoveryPlanner(options);
    this.#farEnds = new FarEnds(options);
    this.#sessions = options.store.table('lost-sessions', lostSessionSchema);
    options.engine.onRecovering((node, event) => this.#hears(node, event));
    options.nodes.onChange('recovery', change => {
      if (change.node.farm === 'call' && change.to === 'up') void this.#schedule();
    });
  }

  /** Takes up what an earlier daemon left; the sessions go on as their nodes connect. */
  async load(): Promise<void> {
    await this.#book.load();
    for await (const [, { value }] of this.#sessions.range()) {
      const record = this.#book.get(value.epoch);
      const leg = this.#options.engine.record(value.callId)?.legs.find(one => one.id === value.legId);
      if (record && leg && leg.recovering === value.epoch) this.#adopt(value, record, undefined, leg.node);
      else await this.#sessions.delete(sessionKey(value));
    }
    if (this.#pending.size > 0) {
      this.#log.info(
        { sessions: this.#pending.size },
        `found ${this.#pending.size} sessions that were being recovered`,
      );
    }
    for (const record of this.#book.list()) await this.#finishIfDone(record.epoch);
    this.#waitForNodes();
  }

  list(): RecoveryRecord[] {
    return this.#book.list();
  }

  /** What would become of the node's sessions if it died now. Changes nothing. */
  async plan(node: string): Promise<readonly (PlannedLeg & { readonly target: string | undefined })[]> {
    const planned = await this.#planned(node);
    const assigned = this.#planner.assign(
      planned.filter(isRecovered).map(one => ({ ...one, wish: undefined })),
      node,
    );
    return planned.flatMap(one => one.legs.map(leg => ({ ...leg, target: assigned.get(one.call.id) })));
  }

  /** Resolves when the node may start again: nothing that still believes in its old self would meet the new one. */
  async mayRestart(node: string): Promise<void> {
    const others = this.#options.nodes.up('call').some(other => other.name !== node);
    if (others) await this.#doneOf.get(node);
  }

  /** A call node is dead. Resolves when all of its sessions have found their end or their new node. */
  async nodeDied(death: NodeDeath): Promise<void> {
    const done = this.#recover(death);
    this.#doneOf.set(
      death.node,
      done.catch((error: unknown) =>
        this.#log.error({ node: death.node, error }, `recovery of ${death.node} failed: ${messageOf(error)}`),
      ),
    );
    await this.#doneOf.get(death.node);
  }

  /** A conference node is dead: its conferences are made again on others. No session of a phone is touched. */
  async conferenceNodeDied(death: NodeDeath): Promise<void> {
    const { node, firstSignMs, declaredMs } = death;
    const { found, attached } = await this.#options.conferences.lostNode(node, `${node} died: ${death.reason}`);
    await this.note({
      ...{ epoch: epochOf(death), node, farm: 'conference', firstSignMs, declaredMs },
      sessions: { found, recovered: attached, ended: 0, failed: found - attached },
      ...{ lastUpMs: attached === 0 ? null : Date.now(), done: true },
    });
  }

  /** A recovery that others have done: for the list. */
  async note(record: RecoveryRecord): Promise<void> {
    await this.#book.add(record);
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
    await this.#schedule();
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

  close(): void {
    this.#closed = true;
    clearTimeout(this.#waitingTimer);
  }

  async #recover(death: NodeDeath): Promise<void> {
    const { node } = death;
    this.#reassign(node);
    const [invites, planned] = await Promise.all([this.#planner.invitesOf(node), this.#planned(node)]);
    this.#options.source.hold();
    const epoch = epochOf(death);
    const found = planned.reduce((sum, one) => sum + one.legs.length, 0);
    const lacking = this.#options.source.hasTraced ? planned.filter(lacksDialog) : [];
    const record: RecoveryRecord = {
      ...{ epoch, node, farm: 'call', firstSignMs: death.firstSignMs, declaredMs: death.declaredMs },
      sessions: { found, recovered: 0, ended: 0, failed: 0 },
      ...{ lastUpMs: null, done: false },
    };
    this.#book.set(record);
    const finished = new Promise<void>(resolve => this.#markDone.set(epoch, resolve));
    const recoverable = planned.flatMap(one => one.legs).filter(isWanted).length;
    const also = lacking.length === 0 ? '' : `, the dialogs of ${lacking.length} calls are asked for elsewhere`;
    this.#log.warn(
      { node, epoch, sessions: found, recoverable, detectedMs: death.declaredMs - death.firstSignMs },
      `${node} died with ${found} sessions, ${recoverable} of them can be recovered${also}: ${death.reason}`,
    );
    if (lacking.length > 0) this.#planning.add(epoch);
    await this.#begin(
      record,
      planned.filter(one => !lacking.includes(one)),
      invites,
    );
    if (lacking.length > 0) await this.#beginTraced(record, lacking, invites);
    await this.#finishIfDone(epoch);
    await finished;
  }

  /** What can be recovered is first: the silence of a call counts, not that of a ringing tone. */
  async #begin(record: RecoveryRecord, planned: readonly PlannedCall[], invites: readonly OpenInvite[]): Promise<void> {
    const { epoch, node } = record;
    const asked = await Promise.all(planned.map(one => this.#planner.decide(one, node)));
    const sessions = asked.flatMap(({ legs, priority, wish }) =>
      legs.filter(isWanted).map(leg => ({ wish, session: this.#sessionOf(epoch, leg, priority) })),
    );
    for (const { session, wish } of sessions) this.#adopt(session, record, wish, undefined);
    const scheduled = this.#schedule(record);
    for (const leg of asked.flatMap(call => call.legs).filter(one => one.action === 'end'))
      this.#endLeg(epoch, leg, invites);
    await scheduled;
  }

  /** The rest, when a trace source has said what it knows. */
  async #beginTraced(
    record: RecoveryRecord,
    lacking: readonly PlannedCall[],
    invites: readonly OpenInvite[],
  ): Promise<void> {
    const { epoch, node } = record;
    const { engine } = this.#options;
    for (const { call, legs } of lacking) {
      // Their node may come back, empty, and ask for them.
      engine.tell(call.id, { type: 'legsMoved', legs: legs.map(one => one.leg.id), node, epoch });
    }
    const planned = await this.#planner.traced(node, lacking);
    this.#planning.delete(epoch);
    await this.#begin(record, planned, invites);
  }

  #planned(node: string): Promise<PlannedCall[]> {
    return this.#planner.planned(node, legId => this.#pending.has(legId));
  }

  #sessionOf(epoch: string, { call, leg, dialog }: PlannedLeg, priority: number): LostSession {
    return { epoch, callId: call.id, legId: leg.id, dialog: dialog ?? null, trunk: trunkOf(call, leg), priority };
  }

  #adopt(session: LostSession, record: RecoveryRecord, wish: string | undefined, node: string | undefined): void {
    const { asterisks, hasCredentials } = this.#options;
    const leg = new LegRecovery({
      session,
      ari: name => asterisks.node(name).ari,
      hasCredentials,
      patienceMs: () => this.#options.policy()?.patienceMs ?? 30_000,
      bridge: () => this.#options.conferences.bridgeOf(session.callId, session.legId),
    });
    const { firstSignMs, declaredMs } = record;
    const death: NodeDeath = { node: record.node, reason: '', firstSignMs, declaredMs };
    this.#pending.set(session.legId, { session, death, wish, node, leg, abandoned: false });
  }

  /** Sessions that were on their way to a node that died meanwhile look for another one. */
  #reassign(node: string): void {
    for (const pending of this.#pending.values()) {
      if (pending.node !== node) continue;
      pending.node = undefined;
      pending.leg.nodeDied();
    }
    this.#queues.drop(node);
  }

  /** Gives every session that has none a node, all sessions of a call (or of a room mixed on its node) the same one. */
  async #schedule(record?: RecoveryRecord): Promise<void> {
    const waiting = [...this.#pending.values()].filter(one => one.node === undefined && !one.leg.begun);
    if ((waiting.length === 0 && record === undefined) || this.#closed) return;
    const byCall = new Map<string, Pending[]>();
    for (const one of waiting) byCall.set(one.session.callId, [...(byCall.get(one.session.callId) ?? []), one]);
    const groups = [...byCall].flatMap(([callId, legs]) => {
      const call = this.#options.engine.record(callId);
      return call ? [{ call, legs, wish: legs[0]?.wish, priority: legs[0]?.session.priority ?? 0 }] : [];
    });
    groups.sort((a, b) => b.priority - a.priority);
    const assigned = this.#planner.assign(groups, undefined);
    const given = groups.map(({ call, legs }) => ({ call, legs, node: assigned.get(call.id) }));
    for (const { legs, node } of given) for (const one of legs) one.node = node;
    const recordWrites = record === undefined ? [] : [this.#book.putting(record)];
    // The first INVITEs are under way while the rest is written.
    await this.#give(given.slice(0, firstGiven), recordWrites);
    if (given.length > firstGiven) await this.#give(given.slice(firstGiven), []);
    if (assigned.size === 0) this.#waitForNodes();
  }

  /** Calls whose sessions have a node set off for it, once the store knows: a daemon that dies then finds what it had begun. */
  async #give(scheduled: readonly ScheduledCall[], writes: readonly StoreWrite[]): Promise<void> {
    const { engine } = this.#options;
    // A node that died meanwhile has had them taken away again.
    const groups = scheduled.filter(({ legs, node }) => legs.every(one => one.node === node));
    for (const { call, legs, node } of groups) {
      // Marked as being recovered also where there is no node yet: their old one may come back, empty, and ask for them.
      const old = call.legs.find(leg => leg.id === legs[0]?.session.legId)?.node ?? '';
      const moved = { legs: legs.map(one => one.session.legId), epoch: legs[0]?.session.epoch ?? '' };
      engine.tell(call.id, { type: 'legsMoved', node: node ?? old, ...moved });
    }
    const sessions = groups.flatMap(one => one.legs.map(leg => leg.session));
    await engine.save(
      groups.map(one => one.call.id),
      [...writes, ...sessions.map(session => this.#sessions.putting(sessionKey(session), session))],
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
      legs.map(one => this.#work(one)),
    );
  }

  #work(pending: Pending): QueuedWork {
    const { legId, trunk, priority } = pending.session;
    const policy = this.#options.policy();
    const limits = [
      ['node', policy?.perSecond ?? Infinity] as const,
      ...(trunk === null ? [] : [[`trunk ${trunk}`, policy?.trunkPerSecond(trunk) ?? Infinity] as const]),
    ];
    return {
      priority,
      limits,
      isWanted: node => pending.node === node && this.#pending.has(legId),
      run: () => this.#run(pending, 'new'),
    };
  }

  async #run(pending: Pending, from: 'new' | 'under way' | 'up'): Promise<void> {
    const { node, session, leg } = pending;
    if (node === undefined) return;
    const outcome = await leg.run(node, from);
    if (pending.abandoned) {
      const reason = outcome.result === 'gone' ? outcome.reason : abandonedReason;
      const result = outcome.result === 'recovered' || outcome.result === 'gone' ? outcome.result : 'ended';
      await this.#settle(pending, { result, reason });
      return;
    }
    if (outcome.result === 'again elsewhere') {
      pending.node = undefined;
      await this.#schedule();
      return;
    }
    if (outcome.result === 'recovered') {
      try {
        await leg.conferenceReady;
        await this.#options.conferences.attach(session.callId, session.legId, from === 'new');
      } catch (error) {
        await this.#settle(pending, { result: 'failed', reason: `not back in its conference: ${messageOf(error)}` });
        return;
      }
    }
    await this.#settle(pending, outcome);
  }

  /** A session has found its end: the call is told, and the far end of one that was not recovered. */
  async #settle(pending: Pending, outcome: LegOutcome): Promise<void> {
    const { session, node, death, leg } = pending;
    const { epoch, callId, legId, dialog } = session;
    if (!this.#pending.has(legId)) return;
    if (outcome.result === 'recovered' && pending.abandoned && node !== undefined) {
      await this.#options.asterisks
        .node(node)
        .ari.channels.hangup({ channelId: legId })
        .catch(() => undefined);
      // Its call's conference has ended already: this channel made the bridge once more.
      if (leg.bridgeId !== undefined) await this.#options.conferences.endBridge(node, leg.bridgeId).catch(() => false);
      return this.#settle(pending, { result: 'gone', reason: abandonedReason });
    }
    this.#pending.delete(legId);
    const upMs = Date.now();
    const recovered = outcome.result === 'recovered';
    const lost = outcome.result === 'failed' ? { lost: `not recovered, ${outcome.reason}` } : {};
    const event: CallEvent = recovered
      ? { type: 'legRecovered', leg: legId }
      : { type: 'legEnded', leg: legId, sipStatus: outcome.sipStatus ?? 503, notBeforeMs: death.firstSignMs, ...lost };
    if (!recovered && outcome.result !== 'gone' && dialog) this.#farEnds.hangUp(dialog, leg.lastCseq);
    this.#book.count(
      epoch,
      recovered ? 'recovered' : outcome.result === 'failed' ? 'failed' : 'ended',
      recovered ? upMs : null,
    );
    // Written when all are done: a line costs as much as a part of a recovery.
    this.#lines.push(sessionLine({ session, death, node, leg, outcome, upMs }));
    this.#settled.push(session);
    this.#options.engine.tell(callId, event);
    await this.#finishIfDone(epoch);
  }

  /** A leg that is not recovered. */
  #endLeg(epoch: string, planned: PlannedLeg, invites: readonly OpenInvite[]): void {
    const { call, leg, reason } = planned;
    const callId = this.#planner.callIdOf(leg);
    const invite = invites.find(one => one.callId === callId || (one.legId !== null && one.legId === leg.id));
    this.#farEnds.end(planned, invite);
    this.#log.info({ call: call.id, leg: leg.id, epoch, reason }, `leg ${leg.id} is not recovered: ${reason}`);
    this.#book.count(epoch, 'ended', null);
    const unanswered = leg.direction === 'inbound' && (leg.state !== 'confirmed' || invite !== undefined);
    const ended = { type: 'legEnded', leg: leg.id, sipStatus: 503, unanswered, nodeDied: true } as const;
    this.#options.engine.tell(call.id, ended);
  }

  async #finishIfDone(epoch: string): Promise<void> {
    const record = this.#book.get(epoch);
    if (!record || record.done || this.#planning.has(epoch)) return;
    if ([...this.#pending.values()].some(one => one.session.epoch === epoch)) return;
    const done = { ...record, done: true };
    this.#book.set(done);
    if (this.#pending.size === 0) this.#options.source.release();
    for (const { level, fields, message } of this.#lines.splice(0)) this.#log[level](fields, message);
    const settled = this.#settled.filter(one => one.epoch === epoch);
    this.#settled = this.#settled.filter(one => one.epoch !== epoch);
    await this.#options.engine.save(
      settled.map(one => one.callId),
      [this.#book.putting(done), ...settled.map(one => this.#sessions.deleting(sessionKey(one)))],
    );
    await this.#book.prune();
    const { node, sessions, lastUpMs, firstSignMs } = done;
    const lastMs = lastUpMs === null ? null : Math.round(lastUpMs - firstSignMs);
    this.#log.info(
      { node, epoch, ...sessions, lastUpMs: lastMs },
      `recovery of ${node} is done: ${sessions.recovered} of ${sessions.found} sessions` +
        (lastMs === null ? '' : `, the last one ${lastMs} ms after its death`),
    );
    this.#options.done({ epoch, node, sessions });
    this.#markDone.get(epoch)?.();
    this.#markDone.delete(epoch);
  }

  /** No call node is up: the sessions wait for one, as long as the policy's patience lasts. */
  #waitForNodes(): void {
    const waiting = [...this.#pending.values()].filter(one => one.node === undefined && !one.leg.begun);
    if (waiting.length === 0 || this.#waitingTimer) return;
    const patienceMs = this.#options.policy()?.patienceMs ?? 0;
    this.#log.error(
      { sessions: waiting.length, patienceMs },
      `no call node is up: ${waiting.length} sessions wait ${patienceMs / 1000} s for one; see holdfast nodes`,
    );
    this.#waitingTimer = setTimeout(() => {
      this.#waitingTimer = undefined;
      for (const one of [...this.#pending.values()].filter(each => each.node === undefined && !each.leg.begun)) {
        void this.#settle(one, { result: 'failed', reason: 'no call node came up in time' });
      }
    }, patienceMs);
  }

  #hears(node: string, event: AriEvent): boolean {
    if (!('channel' in event)) return false;
    const pending = this.#pending.get(event.channel.id);
    return pending?.node === node && pending.leg.hears(event);
  }
}

function epochOf({ node, firstSignMs }: NodeDeath): string {
  return `${node}-${Math.round(firstSignMs).toString(36)}`;
}

function sessionKey({ epoch, legId }: LostSession): string {
  return `${epoch} ${legId}`;
}
