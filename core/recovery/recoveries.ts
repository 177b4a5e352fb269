// Recovers the calls of a dead call node: every session is re-created on another one, as a re-INVITE of its own dialog.
import type { CallEngine } from '../calls/call-engine.js';
import { echoPeer, type CallRecord, type LegRecord } from '../calls/call-record.js';
import type { CallEvent } from '../calls/call-machine.js';
import type { Conferences } from '../conferences/conferences.js';
import { messageOf } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Dialog, OpenInvite } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import type { AriEvent, AriSnapshot, AsteriskFarm } from '../ports/asterisk.js';
import type { Store, StoreWrite, Table } from '../store/store.js';
import { LegRecovery, type LegOutcome } from './leg-recovery.js';
import { NodeQueues, type QueuedWork } from './node-queues.js';
import { RecoveryBook } from './recovery-book.js';
import type { LostCall, RecoverAnswer, RecoveryFacts, RecoveryPolicy } from './recovery-facts.js';
import { assignTargets, planCalls, trunkOf, type PlannedCall, type PlannedLeg } from './recovery-plan.js';
import { missingFrom } from './recovery-variables.js';
import { lostSessionSchema, type LostSession, type RecoveryRecord } from './recovery-record.js';

/** A node that was declared dead; times in ms since 1970. */
export interface NodeDeath {
  readonly node: string;
  readonly reason: string;
  /** The earliest sign of it. */
  readonly firstSignMs: number;
  readonly declaredMs: number;
}

/** What was seen of dialogs: the ledger, and what fills its holes. */
export interface DialogSource {
  /** Confirmed dialogs of a node as the daemon saw them, by Call-ID: at once. */
  dialogs(node: string): Promise<ReadonlyMap<string, Dialog>>;
  /** True where there is somebody else to ask. */
  readonly hasTraced: boolean;
  /** The same of these Call-IDs as somebody else saw them, since `sinceMs` (ms since 1970): may take seconds. */
  traced(node: string, callIds: readonly string[], sinceMs: number): Promise<ReadonlyMap<string, Dialog>>;
  openInvites(node: string): Promise<readonly OpenInvite[]>;
  /** The cores are needed for a recovery: what is seen from now on is read later, or when it is asked for. */
  hold(): void;
  release(): void;
}

/** Does in a dead Asterisk's stead what the phones wait for. */
export interface StandInPort {
  refuse(invite: OpenInvite, status: number, reason: string): Promise<unknown>;
  cancel(invite: OpenInvite): Promise<unknown>;
  acknowledgeAndBye(invite: OpenInvite): Promise<unknown>;
  bye(dialog: Dialog, reasonHeader?: string): Promise<unknown>;
}

export interface RecoveriesOptions {
  readonly store: Store;
  readonly engine: CallEngine;
  readonly conferences: Conferences;
  readonly nodes: NodeStates;
  readonly asterisks: AsteriskFarm;
  readonly source: DialogSource;
  readonly standIn: StandInPort;
  readonly log: Logger;
  /** Undefined where no plugin provides one: calls of a dead node then end. */
  readonly policy: () => RecoveryPolicy | undefined;
  /** True for a call to an emergency number. */
  readonly isEmergency: (call: CallRecord) => boolean;
  readonly askRecover: (call: LostCall) => Promise<RecoverAnswer | undefined>;
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
  readonly #sessions: Table<LostSession>;
  /** By leg. */
  readonly #pending = new Map<string, Pending>();
  readonly #queues = new NodeQueues(inFlightPerNode);
  readonly #doneOf = new Map<string, Promise<void>>();
  /** What is to be said of them, in order. */
  #lines: (() => void)[] = [];
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
    const assigned = this.#assign(
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
    const [invites, planned] = await Promise.all([this.#invitesOf(node), this.#planned(node)]);
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
    const recoverable = planned.flatMap(one => one.legs).filter(wanted).length;
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
    const asked =
      this.#options.policy() === undefined
        ? planned.map(notAtAll)
        : await Promise.all(planned.map(one => this.#ask(one, node)));
    const sessions = asked.flatMap(({ legs, priority, wish }) =>
      legs.filter(wanted).map(leg => ({ wish, session: this.#sessionOf(epoch, leg, priority) })),
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
    const { engine, source } = this.#options;
    for (const { call, legs } of lacking) {
      // Their node may come back, empty, and ask for them.
      engine.tell(call.id, { type: 'legsMoved', legs: legs.map(one => one.leg.id), node, epoch });
    }
    const callIds = lacking.flatMap(one => one.legs.flatMap(({ leg }) => this.#callIdOf(leg) ?? []));
    const traced = await source.traced(node, callIds, Math.min(...lacking.map(one => one.call.startedMs)));
    const calls = lacking.flatMap(one => engine.record(one.call.id) ?? []);
    const ids = new Set(lacking.flatMap(one => one.legs.map(({ leg }) => leg.id)));
    const before = new Map(lacking.flatMap(one => one.legs.map(({ leg, dialog }) => [leg.id, dialog] as const)));
    const planned = planCalls(
      calls,
      leg => ids.has(leg.id),
      leg => traced.get(this.#callIdOf(leg) ?? '') ?? before.get(leg.id),
    );
    this.#planning.delete(epoch);
    await this.#begin(record, planned, invites);
  }

  async #invitesOf(node: string): Promise<readonly OpenInvite[]> {
    try {
      return await this.#options.source.openInvites(node);
    } catch (error) {
      this.#log.warn({ node, error }, `the calls in set-up on ${node} are not known: ${messageOf(error)}`);
      return [];
    }
  }

  async #planned(node: string): Promise<PlannedCall[]> {
    const isLost = (leg: LegRecord): boolean => leg.node === node && !this.#pending.has(leg.id);
    const calls = this.#options.engine.callsWithLegsOn(node);
    const dialogs = await this.#options.source.dialogs(node).catch((error: unknown) => {
      this.#log.error({ node, error }, `the dialogs of ${node} are not known: ${messageOf(error)}`);
      return new Map<string, Dialog>();
    });
    const planned = planCalls(calls, isLost, leg => dialogs.get(this.#callIdOf(leg) ?? ''));
    return planned.filter(one => one.legs.length > 0);
  }

  #callIdOf(leg: LegRecord): string | undefined {
    return leg.sipCallId ?? this.#options.engine.sipCallIdOf(leg.id);
  }

  /** Asks the plugins, who may veto. */
  async #ask(
    planned: PlannedCall,
    node: string,
  ): Promise<PlannedCall & { priority: number; wish: string | undefined }> {
    const { call, legs } = planned;
    const emergency = this.#options.isEmergency(call);
    const { id, source, dialled, callerNumber } = call;
    const base = this.#options.policy()?.priorityOf({ source, dialled, emergency }) ?? 0;
    const sessions = legs.filter(wanted).length;
    if (sessions === 0) return { ...planned, priority: base, wish: undefined };
    try {
      const answer = await this.#options.askRecover({
        id,
        node,
        source,
        dialled,
        callerNumber,
        emergency,
        sessions,
        priority: base,
      });
      if (answer && 'skip' in answer)
        return { ...refusing(planned, `a plugin says: ${answer.skip}`), priority: base, wish: undefined };
      return { ...planned, priority: answer?.priority ?? base, wish: answer?.node };
    } catch (error) {
      this.#log.error({ call: id, error }, `recovered as the policy says: ${messageOf(error)}`);
      return { ...planned, priority: base, wish: undefined };
    }
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
    const assigned = this.#assign(groups, undefined);
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

  /** Call → node. */
  #assign(
    calls: readonly {
      readonly call: CallRecord;
      readonly legs: readonly unknown[];
      readonly wish: string | undefined;
    }[],
    without: string | undefined,
  ): ReadonlyMap<string, string> {
    const { engine, nodes } = this.#options;
    const targets = nodes
      .up('call')
      .filter(node => node.name !== without)
      .map(node => ({ node: node.name, channels: engine.legsOn(node.name) }));
    const groups = new Map<string, { key: string; sessions: number; wish: string | undefined; calls: string[] }>();
    for (const { call, legs, wish } of calls) {
      const key = this.#options.conferences.mixedTogether(call.id) ?? call.id;
      const group = groups.get(key) ?? { key, sessions: 0, wish, calls: [] };
      group.sessions += legs.length;
      group.calls.push(call.id);
      groups.set(key, group);
    }
    const assigned = assignTargets([...groups.values()], targets);
    return new Map(
      [...groups.values()].flatMap(({ key, calls: ids }) => {
        const node = assigned.get(key);
        return node === undefined ? [] : ids.map(id => [id, node] as const);
      }),
    );
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
    if (!recovered && outcome.result !== 'gone' && dialog) this.#bye(dialog, leg.lastCseq);
    this.#book.count(
      epoch,
      recovered ? 'recovered' : outcome.result === 'failed' ? 'failed' : 'ended',
      recovered ? upMs : null,
    );
    const since = (ms: number): number => Math.round(ms - death.firstSignMs);
    const timeline = {
      declared: since(death.declaredMs),
      invited: leg.invitedMs ? since(leg.invitedMs) : null,
      done: since(upMs),
    };
    const line = {
      call: callId,
      leg: legId,
      sipCallId: dialog?.callId,
      epoch,
      from: death.node,
      node,
      ...timeline,
      attempts: leg.attempts,
    };
    // Written when all are done: a line costs as much as a part of a recovery.
    this.#lines.push(() => {
      if (recovered)
        this.#log.info(
          line,
          `session of ${legId} is recovered on ${node ?? '?'} ${timeline.done} ms after ${death.node} died`,
        );
      else
        this.#log.warn({ ...line, reason: outcome.reason }, `session of ${legId} is not recovered: ${outcome.reason}`);
    });
    this.#settled.push(session);
    this.#options.engine.tell(callId, event);
    await this.#finishIfDone(epoch);
  }

  #bye(dialog: Dialog, lastCseq: number): void {
    const after = { ...dialog, localCseq: Math.max(dialog.localCseq ?? 0, lastCseq) };
    void this.#options.standIn
      .bye(after)
      .catch((error: unknown) =>
        this.#log.debug({ sipCallId: dialog.callId, error }, `no BYE for ${dialog.callId}: ${messageOf(error)}`),
      );
  }

  /** A leg that is not recovered: whoever is at its far end is told what the dead node cannot tell any more. */
  #endLeg(epoch: string, { call, leg, dialog, reason }: PlannedLeg, invites: readonly OpenInvite[]): void {
    const { engine, standIn } = this.#options;
    const callId = this.#callIdOf(leg);
    const invite = invites.find(one => one.callId === callId || (one.legId !== null && one.legId === leg.id));
    // The wire knows better than the record who is answered: an answer may die with its node.
    const told = ((): Promise<unknown> => {
      if (!invite) return leg.state === 'confirmed' && dialog ? standIn.bye(dialog) : Promise.resolve();
      if (leg.direction === 'inbound') return standIn.refuse(invite, 503, 'Service Unavailable');
      return invite.answeredBy ? standIn.acknowledgeAndBye(invite) : this.#cancel(invite);
    })();
    told.catch((error: unknown) =>
      this.#log.warn({ call: call.id, leg: leg.id, error }, `far end not told: ${messageOf(error)}`),
    );
    this.#log.info({ call: call.id, leg: leg.id, epoch, reason }, `leg ${leg.id} is not recovered: ${reason}`);
    this.#book.count(epoch, 'ended', null);
    const unanswered = leg.direction === 'inbound' && (leg.state !== 'confirmed' || invite !== undefined);
    engine.tell(call.id, { type: 'legEnded', leg: leg.id, sipStatus: 503, unanswered, nodeDied: true });
  }

  /** One who answers at that very moment has a call with nobody: only the ledger sees its 2xx. */
  async #cancel(invite: OpenInvite): Promise<void> {
    const { standIn, source } = this.#options;
    await standIn.cancel(invite);
    const answered = (await source.openInvites(invite.node)).find(one => one.callId === invite.callId);
    if (answered?.answeredBy) await standIn.acknowledgeAndBye(answered);
  }

  async #finishIfDone(epoch: string): Promise<void> {
    const record = this.#book.get(epoch);
    if (!record || record.done || this.#planning.has(epoch)) return;
    if ([...this.#pending.values()].some(one => one.session.epoch === epoch)) return;
    const done = { ...record, done: true };
    this.#book.set(done);
    if (this.#pending.size === 0) this.#options.source.release();
    for (const tell of this.#lines.splice(0)) tell();
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

function wanted(leg: PlannedLeg): boolean {
  return leg.action === 'recover';
}

/** A confirmed leg whose dialog is not known, or not enough of it. */
function lacksDialog({ call, legs }: PlannedCall): boolean {
  return legs.some(
    ({ leg, dialog }) =>
      leg.state === 'confirmed' &&
      leg.peer !== echoPeer &&
      !leg.ending &&
      call.ending === null &&
      call.answeredMs !== null &&
      (dialog === undefined || missingFrom(dialog).length > 0),
  );
}

function isRecovered(call: PlannedCall): boolean {
  return call.legs.some(wanted);
}

function refusing<Call extends PlannedCall>(planned: Call, reason: string): Call {
  const legs = planned.legs.map(leg => (wanted(leg) ? { ...leg, action: 'end' as const, reason } : leg));
  return { ...planned, legs };
}

function notAtAll(planned: PlannedCall): PlannedCall & { priority: number; wish: undefined } {
  return { ...refusing(planned, 'the session-recovery plugin is not in the config'), priority: 0, wish: undefined };
}
