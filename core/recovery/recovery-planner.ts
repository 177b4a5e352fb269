// Decides for a dead call node what becomes of each of its sessions, and where: what is known of it, what plugins say, who has room.
import type { CallEngine } from '../calls/call-engine.js';
import { echoPeer, type CallRecord, type LegRecord } from '../calls/call-record.js';
import type { Conferences } from '../conferences/conferences.js';
import { messageOf } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Dialog, OpenInvite } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import type { LostCall, RecoverAnswer, RecoveryPolicy } from './recovery-facts.js';
import { assignTargets, planCalls, type PlannedCall, type PlannedLeg, type SessionGroup } from './recovery-plan.js';
import type { DialogSource } from './recovery-ports.js';
import { missingFrom } from './recovery-variables.js';

export interface PlannerOptions {
  readonly engine: CallEngine;
  readonly conferences: Conferences;
  readonly nodes: NodeStates;
  readonly source: DialogSource;
  readonly log: Logger;
  /** Undefined where no plugin provides one: calls of a dead node then end. */
  readonly policy: () => RecoveryPolicy | undefined;
  /** True for a call to an emergency number. */
  readonly isEmergency: (call: CallRecord) => boolean;
  readonly askRecover: (call: LostCall) => Promise<RecoverAnswer | undefined>;
}

/** A call with what policy and plugins say of it. */
export interface DecidedCall extends PlannedCall {
  /** Higher first. */
  readonly priority: number;
  /** Node that a plugin wants it on. */
  readonly wish: string | undefined;
}

/** Sessions of a call that go to one node. */
export interface CallToAssign {
  readonly call: CallRecord;
  readonly legs: readonly unknown[];
  readonly priority: number;
  readonly wish: string | undefined;
}

export class RecoveryPlanner {
  readonly #options: PlannerOptions;

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** Calls in set-up on the node; none where the ledger does not answer. */
  async invitesOf(node: string): Promise<readonly OpenInvite[]> {
    try {
      return await this.#options.source.openInvites(node);
    } catch (error) {
      this.#options.log.warn({ node, error }, `the calls in set-up on ${node} are not known: ${messageOf(error)}`);
      return [];
    }
  }

  /** What can become of the node's sessions, but for those that are being recovered already. */
  async planned(node: string, isPending: (legId: string) => boolean): Promise<PlannedCall[]> {
    const { engine, source, log } = this.#options;
    const calls = engine.book.withLegsOn(node);
    // As it is now: who is on the way to another node may be there when the dialogs are known.
    const legs = calls.flatMap(call => call.legs).filter(leg => leg.node === node && !isPending(leg.id));
    const lost = new Set(legs.map(leg => leg.id));
    const dialogs = await source.dialogs(node).catch((error: unknown) => {
      log.error({ node, error }, `the dialogs of ${node} are not known: ${messageOf(error)}`);
      return new Map<string, Dialog>();
    });
    const planned = planCalls(
      calls,
      leg => lost.has(leg.id),
      leg => dialogs.get(this.callIdOf(leg) ?? ''),
    );
    return planned.filter(one => one.legs.length > 0);
  }

  /** The same of calls that lack a dialog, when a trace source has said what it knows; may take seconds. */
  async traced(node: string, lacking: readonly PlannedCall[]): Promise<PlannedCall[]> {
    const { engine, source } = this.#options;
    const callIds = lacking.flatMap(one => one.legs.flatMap(({ leg }) => this.callIdOf(leg) ?? []));
    const traced = await source.traced(node, callIds, Math.min(...lacking.map(one => one.call.startedMs)));
    const calls = lacking.flatMap(one => engine.book.record(one.call.id) ?? []);
    const before = new Map(lacking.flatMap(one => one.legs.map(({ leg, dialog }) => [leg.id, dialog] as const)));
    return planCalls(
      calls,
      leg => before.has(leg.id),
      leg => traced.get(this.callIdOf(leg) ?? '') ?? before.get(leg.id),
    );
  }

  callIdOf(leg: LegRecord): string | undefined {
    return this.#options.engine.book.sipCallIdOf(leg);
  }

  /** Asks policy and plugins, who may veto. */
  async decide(planned: PlannedCall, { node, dryRun }: Pick<LostCall, 'node' | 'dryRun'>): Promise<DecidedCall> {
    const { policy, isEmergency, askRecover, log } = this.#options;
    if (policy() === undefined) return notAtAll(planned);
    const { call, legs } = planned;
    const emergency = isEmergency(call);
    const { id, source, dialled, callerNumber } = call;
    const base = policy()?.priorityOf({ source, dialled, emergency }) ?? 0;
    const sessions = legs.filter(isWanted).length;
    if (sessions === 0) return { ...planned, priority: base, wish: undefined };
    try {
      const lost: LostCall = { id, node, source, dialled, callerNumber, emergency, sessions, priority: base, dryRun };
      const answer = await askRecover(lost);
      if (answer && 'skip' in answer)
        return { ...refusing(planned, `a plugin says: ${answer.skip}`), priority: base, wish: undefined };
      return { ...planned, priority: answer?.priority ?? base, wish: answer?.node };
    } catch (error) {
      log.error({ call: id, error }, `recovered as the policy says: ${messageOf(error)}`);
      return { ...planned, priority: base, wish: undefined };
    }
  }

  /** Call → node: by load, all calls of a conference that is mixed on their node the same one. */
  assign(calls: readonly CallToAssign[], without: string | undefined): ReadonlyMap<string, string> {
    const { engine, nodes, conferences } = this.#options;
    const targets = nodes
      .up('call')
      .filter(node => node.name !== without)
      .map(node => ({ node: node.name, channels: engine.book.liveLegsOn(node.name).length }));
    const groups = new Map<string, SessionGroup<string>>();
    const keyOf = ({ call }: CallToAssign): string => conferences.mixedTogether(call.id) ?? call.id;
    for (const one of calls) {
      const key = keyOf(one);
      const { sessions, priority, wish } = groups.get(key) ?? { sessions: 0, priority: one.priority, wish: undefined };
      groups.set(key, {
        key,
        sessions: sessions + one.legs.length,
        priority: Math.max(priority, one.priority),
        wish: wish ?? one.wish,
      });
    }
    const assigned = assignTargets([...groups.values()], targets);
    return new Map(
      calls.flatMap(one => {
        const node = assigned.get(keyOf(one));
        return node === undefined ? [] : [[one.call.id, node] as const];
      }),
    );
  }
}

export function isWanted(leg: PlannedLeg): boolean {
  return leg.action === 'recover';
}

export function isRecovered(call: PlannedCall): boolean {
  return call.legs.some(isWanted);
}

/** A confirmed leg whose dialog is not known, or not enough of it. */
export function lacksDialog({ call, legs }: PlannedCall): boolean {
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

function refusing<Call extends PlannedCall>(planned: Call, reason: string): Call {
  const legs = planned.legs.map(leg => (isWanted(leg) ? { ...leg, action: 'end' as const, reason } : leg));
  return { ...planned, legs };
}

function notAtAll(planned: PlannedCall): DecidedCall {
  return { ...refusing(planned, 'the session-recovery plugin is not in the config'), priority: 0, wish: undefined };
}
