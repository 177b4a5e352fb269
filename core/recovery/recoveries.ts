// What becomes of the calls of a dead node: which sessions are recovered and which end, and the record of it all.
import type { CallEvent } from '../calls/call-machine.js';
import { echoPeer } from '../calls/call-record.js';
import { messageOf } from '../errors.js';
import type { Dialog, OpenInvite } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import type { AriSnapshot, AsteriskFarm } from '../ports/asterisk.js';
import type { Store, StoreWrite } from '../store/store.js';
import { asTheyCome } from './as-they-come.js';
import { FarEnds } from './far-ends.js';
import { LostSessions } from './lost-sessions.js';
import { RecoveryBook } from './recovery-book.js';
import type { RecoveryFacts } from './recovery-facts.js';
import { trunkOf, type PlannedCall, type PlannedLeg } from './recovery-plan.js';
import {
  isRecovered,
  isWanted,
  lacksDialog,
  RecoveryPlanner,
  type DecidedCall,
  type PlannerOptions,
} from './recovery-planner.js';
import { epochOf, type NodeDeath, type StandInPort } from './recovery-ports.js';
import type { LostSession, RecoveryRecord } from './recovery-record.js';
import type { ReservedCores } from './reserved-cores.js';
import { sessionLine, type SessionFacts, type SessionLine } from './session-line.js';

export interface RecoveriesOptions extends PlannerOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly standIn: StandInPort;
  readonly cores: ReservedCores;
  readonly hasCredentials: (trunk: string) => boolean;
  readonly mediaReady: (dialog: Dialog) => Promise<void>;
  readonly done: (facts: RecoveryFacts) => void;
}

/** How long calls of which plugins have said what becomes of them wait for the others, ms. */
const decisionMs = 20;
/** For so long after a death its nodes may be late. */
const aftermathMs = 10_000;

export class Recoveries {
  readonly #options: RecoveriesOptions;
  readonly #log: Logger;
  readonly #book: RecoveryBook;
  readonly #planner: RecoveryPlanner;
  readonly #farEnds: FarEnds;
  readonly #sessions: LostSessions;
  readonly #doneOf = new Map<string, Promise<void>>();
  /** What is to be said of them, in order. */
  #lines: SessionLine[] = [];
  /** Sessions that have found their end, until their recovery is done and saved. */
  #ended: LostSession[] = [];
  readonly #markDone = new Map<string, () => void>();
  /** Recoveries that still wait for plugins, or for what a trace source knows. */
  readonly #planning = new Set<string>();

  constructor(options: RecoveriesOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#book = new RecoveryBook(options.store);
    this.#planner = new RecoveryPlanner(options);
    this.#farEnds = new FarEnds(options);
    this.#sessions = new LostSessions({
      ...options,
      assign: calls => this.#planner.assign(calls, undefined),
      settled: facts => this.#settled(facts),
    });
    options.engine.onRecovering((node, event) => this.#sessions.hears(node, event));
    options.nodes.onChange('recovery', change => {
      if (change.node.farm === 'call' && change.to === 'up') void this.#sessions.nodeUp();
    });
  }

  /** Takes up what an earlier daemon left; the sessions go on as their nodes connect. */
  async load(): Promise<void> {
    await this.#book.load();
    await this.#sessions.load(epoch => {
      const record = this.#book.get(epoch);
      return record && deathOf(record);
    });
    const { count } = this.#sessions;
    if (count > 0) this.#log.info({ sessions: count }, `found ${count} sessions that were being recovered`);
    for (const record of this.#book.list()) await this.#finishIfDone(record.epoch);
    this.#sessions.waitForNodes();
  }

  list(): RecoveryRecord[] {
    return this.#book.list();
  }

  /** Sessions are being recovered, or were a moment ago: nodes have more to do than calls ask of them. */
  isAtWork(nowMs: number): boolean {
    return this.#book
      .list()
      .some(({ done, declaredMs, lastUpMs }) => !done || nowMs - Math.max(declaredMs, lastUpMs ?? 0) < aftermathMs);
  }

  /** What would become of the node's sessions if it died now. Changes nothing; takes seconds where a trace source is asked. */
  async plan(node: string): Promise<readonly (PlannedLeg & { readonly target: string | undefined })[]> {
    const planned = await this.#planned(node);
    const lacking = this.#lacking(planned);
    const traced = lacking.length === 0 ? [] : await this.#planner.traced(node, lacking);
    const known = planned.filter(one => !lacking.includes(one));
    const decided = await Promise.all(
      [...known, ...traced].map(one => this.#planner.decide(one, { node, dryRun: true })),
    );
    const moved = decided.filter(isRecovered).map(one => ({ ...one, legs: one.legs.filter(isWanted) }));
    const assigned = this.#planner.assign(moved, node);
    return decided.flatMap(one => one.legs.map(leg => ({ ...leg, target: assigned.get(one.call.id) })));
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
    await this.#sessions.nodeConnected(node, snapshot);
  }

  /** The call ends before this leg is recovered. False for a leg that is not being recovered. */
  abandon(legId: string): boolean {
    return this.#sessions.abandon(legId);
  }

  close(): void {
    this.#sessions.close();
  }

  async #recover(death: NodeDeath): Promise<void> {
    const { node } = death;
    this.#sessions.reassign(node);
    const [invites, planned] = await Promise.all([this.#planner.invitesOf(node), this.#planned(node)]);
    const epoch = epochOf(death);
    const found = planned.reduce((sum, one) => sum + one.legs.length, 0);
    const lacking = this.#lacking(planned);
    const before = this.#book.get(epoch);
    // An earlier daemon had begun it, and none has lived for long since.
    if (before?.done === true && found === 0) return;
    this.#options.cores.hold();
    const record = { ...(before ?? newRecord(death)), done: false };
    record.sessions = { ...record.sessions, found: record.sessions.found + found };
    this.#book.set(record);
    const finished = new Promise<void>(resolve => this.#markDone.set(epoch, resolve));
    const recoverable = planned.flatMap(one => one.legs).filter(isWanted).length;
    const also = lacking.length === 0 ? '' : `, the dialogs of ${lacking.length} calls are asked for elsewhere`;
    if (!before || found > 0)
      this.#log.warn(
        { node, epoch, sessions: found, recoverable, detectedMs: death.declaredMs - death.firstSignMs },
        `${node} died with ${found} sessions, ${recoverable} of them can be recovered${also}: ${death.reason}`,
      );
    this.#planning.add(epoch);
    try {
      await this.#begin(
        record,
        planned.filter(one => !lacking.includes(one)),
        invites,
      );
      if (lacking.length > 0) await this.#beginTraced(record, lacking, invites);
    } finally {
      this.#planning.delete(epoch);
    }
    await this.#finishIfDone(epoch);
    await finished;
  }

  /** Calls of which a plugin takes its time to say what becomes of them keep the others waiting for a moment only. */
  async #begin(record: RecoveryRecord, planned: readonly PlannedCall[], invites: readonly OpenInvite[]): Promise<void> {
    let writes: readonly StoreWrite[] = [this.#book.putting(record)];
    const undecided = new Map(planned.map(one => [one.call.id, one]));
    const decisions = planned.map(one => this.#planner.decide(one, { node: record.node, dryRun: false }));
    for await (const decided of asTheyCome(decisions, decisionMs)) {
      for (const { call } of decided) undecided.delete(call.id);
      if (writes.length > 0) this.#noteLost(record, [...undecided.values()], isWanted);
      await this.#beginDecided(record, decided, invites, writes);
      writes = [];
    }
    if (writes.length > 0) await this.#sessions.schedule(writes);
  }

  /** What can be recovered is first: the silence of a call counts, not that of a ringing tone. */
  async #beginDecided(
    record: RecoveryRecord,
    decided: readonly DecidedCall[],
    invites: readonly OpenInvite[],
    writes: readonly StoreWrite[],
  ): Promise<void> {
    const { epoch } = record;
    const sessions = decided.flatMap(({ legs, priority, wish }) =>
      legs.filter(isWanted).map(leg => ({ wish, session: this.#sessionOf(epoch, leg, priority) })),
    );
    for (const { session, wish } of sessions) this.#sessions.adopt(session, deathOf(record), wish, undefined);
    const scheduled = this.#sessions.schedule(writes);
    for (const leg of decided.flatMap(call => call.legs).filter(one => one.action === 'end'))
      this.#endLeg(epoch, leg, invites);
    await scheduled;
  }

  /** Of calls that are not on their way yet: their node may come back, empty, and ask for them. */
  #noteLost(
    { epoch, node, firstSignMs }: RecoveryRecord,
    lost: readonly PlannedCall[],
    isLost: (leg: PlannedLeg) => boolean,
  ): void {
    for (const { call, legs } of lost) {
      const moved = legs.filter(isLost).map(one => one.leg.id);
      if (moved.length > 0)
        this.#options.engine.tell(call.id, { type: 'legsMoved', node, epoch, legs: moved, sinceMs: firstSignMs });
    }
  }

  /** The rest, when a trace source has said what it knows. */
  async #beginTraced(
    record: RecoveryRecord,
    lacking: readonly PlannedCall[],
    invites: readonly OpenInvite[],
  ): Promise<void> {
    this.#noteLost(record, lacking, () => true);
    const planned = await this.#planner.traced(record.node, lacking);
    await this.#begin(record, planned, invites);
  }

  /** Calls whose dialogs a trace source is asked for. */
  #lacking(planned: readonly PlannedCall[]): readonly PlannedCall[] {
    return this.#options.source.hasTraced ? planned.filter(lacksDialog) : [];
  }

  #planned(node: string): Promise<PlannedCall[]> {
    return this.#planner.planned(node, legId => this.#sessions.has(legId));
  }

  #sessionOf(epoch: string, { call, leg, dialog }: PlannedLeg, priority: number): LostSession {
    return { epoch, callId: call.id, legId: leg.id, dialog: dialog ?? null, trunk: trunkOf(call, leg), priority };
  }

  /** A session has found its end: the call is told, and the far end of one that was not recovered. */
  async #settled(facts: SessionFacts): Promise<void> {
    const { session, death, leg, outcome, upMs } = facts;
    const { epoch, callId, legId, dialog } = session;
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
    this.#lines.push(sessionLine(facts));
    this.#ended.push(session);
    this.#options.engine.tell(callId, event);
    await this.#finishIfDone(epoch);
  }

  /** A leg that is not recovered. */
  #endLeg(epoch: string, planned: PlannedLeg, invites: readonly OpenInvite[]): void {
    const { call, leg, dialog, reason } = planned;
    const callId = this.#planner.callIdOf(leg);
    const invite = invites.find(one => one.callId === callId || (one.legId !== null && one.legId === leg.id));
    this.#farEnds.end(planned, invite);
    this.#log.info({ call: call.id, leg: leg.id, epoch, reason }, `leg ${leg.id} is not recovered: ${reason}`);
    this.#book.count(epoch, 'ended', null);
    const unanswered = leg.direction === 'inbound' && (leg.state !== 'confirmed' || invite !== undefined);
    // As far as is known its far end has not hung up.
    const isLost = leg.state === 'confirmed' && (dialog?.state === 'confirmed' || leg.peer === echoPeer);
    const lost = isLost ? { lost: `not recovered, ${reason}` } : {};
    const ended = { type: 'legEnded', leg: leg.id, sipStatus: 503, unanswered, nodeDied: true, ...lost } as const;
    this.#options.engine.tell(call.id, ended);
  }

  async #finishIfDone(epoch: string): Promise<void> {
    const record = this.#book.get(epoch);
    if (!record || record.done || this.#planning.has(epoch)) return;
    if (this.#sessions.areOf(epoch)) return;
    const done = { ...record, done: true };
    this.#book.set(done);
    if (this.#sessions.count === 0) this.#options.cores.release();
    for (const { level, fields, message } of this.#lines.splice(0)) this.#log[level](fields, message);
    const ended = this.#ended.filter(one => one.epoch === epoch);
    this.#ended = this.#ended.filter(one => one.epoch !== epoch);
    await this.#options.engine.save(
      ended.map(one => one.callId),
      [this.#book.putting(done), ...this.#sessions.deleting(ended)],
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
}

function newRecord(death: NodeDeath): RecoveryRecord {
  const { node, firstSignMs, declaredMs } = death;
  return {
    ...{ epoch: epochOf(death), node, farm: 'call', firstSignMs, declaredMs },
    sessions: { found: 0, recovered: 0, ended: 0, failed: 0 },
    ...{ lastUpMs: null, done: false },
  };
}

function deathOf({ node, firstSignMs, declaredMs }: RecoveryRecord): NodeDeath {
  return { node, reason: '', firstSignMs, declaredMs };
}
