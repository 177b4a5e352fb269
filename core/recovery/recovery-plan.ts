// Decides what becomes of a dead node's legs: which are recovered, which end and why, and on which nodes. Pure.
import { echoPeer, isLive, targetOf, type CallRecord, type LegRecord } from '../calls/call-record.js';
import type { Dialog } from '../ledger/dialog.js';
import { missingFrom } from './recovery-variables.js';

export interface PlannedLeg {
  readonly call: CallRecord;
  readonly leg: LegRecord;
  readonly dialog: Dialog | undefined;
  readonly action: 'recover' | 'end';
  readonly reason: string;
}

/** What is planned for the legs of one call. */
export interface PlannedCall {
  readonly call: CallRecord;
  readonly legs: readonly PlannedLeg[];
}

/** Plans the lost legs of these calls. `dialogOf` gives what is known of a leg's dialog. */
export function planCalls(
  calls: readonly CallRecord[],
  isLost: (leg: LegRecord) => boolean,
  dialogOf: (leg: LegRecord) => Dialog | undefined,
): PlannedCall[] {
  return calls.map(call => {
    const legs = call.legs.filter(leg => isLive(leg) && isLost(leg)).map(leg => planLeg(call, leg, dialogOf(leg)));
    // With one of two parties gone there is nothing to recover for: the other end hears a BYE at once. One that was being hung up, as
    // whoever has transferred the call, is no party any more.
    const lost = legs.find(one => one.action === 'end' && one.leg.state === 'confirmed' && !one.leg.ending);
    if (!lost || !isTwoParty(call)) return { call, legs };
    const reason = `the other leg cannot be recovered: ${lost.reason}`;
    return { call, legs: legs.map(one => (one.action === 'recover' ? { ...one, action: 'end', reason } : one)) };
  });
}

function planLeg(call: CallRecord, leg: LegRecord, dialog: Dialog | undefined): PlannedLeg {
  const planned = (action: PlannedLeg['action'], reason: string): PlannedLeg => ({ call, leg, dialog, action, reason });
  if (call.ending || leg.ending) return planned('end', 'it was being ended already');
  if (call.answeredMs === null) return planned('end', 'the call was not answered yet');
  if (leg.state !== 'confirmed') return planned('end', 'the leg was not answered yet');
  if (leg.peer === echoPeer) return planned('recover', 'the echo test is started again');
  if (!dialog) return planned('end', 'its dialog is not known: it has ended, or its messages were not seen');
  if (dialog.state !== 'confirmed') return planned('end', `its dialog is ${dialog.state}`);
  const missing = missingFrom(dialog);
  if (missing.length > 0) return planned('end', `of its dialog is not known: ${missing.join(', ')}`);
  return planned(
    'recover',
    dialog.holes.length === 0 ? 'its dialog is known' : `seen with holes: ${dialog.holes.join(', ')}`,
  );
}

function isTwoParty(call: CallRecord): boolean {
  return call.flow[call.step]?.action !== 'conference_join';
}

/** Trunk of the other end of a leg, if it is one. */
export function trunkOf(call: CallRecord, leg: LegRecord): string | null {
  if (leg.direction === 'inbound') return call.source.kind === 'trunk' ? call.source.trunk : null;
  return targetOf(call, leg)?.trunk ?? null;
}

/** A node that can take sessions, and the live channels it has. */
export interface RecoveryTarget {
  readonly node: string;
  readonly channels: number;
}

/** Sessions that must be on one node together. */
export interface SessionGroup<Key> {
  readonly key: Key;
  readonly sessions: number;
  /** Higher first. */
  readonly priority: number;
  /** Node that a plugin wants them on. */
  readonly wish: string | undefined;
}

/**
 * Gives each group of sessions a node: the wished one where that is a target, else the one with the fewest live channels, those already
 * given included. Groups in the order of priority, large ones first among equals: a room that came last would have nowhere to fit.
 */
export function assignTargets<Key>(
  groups: readonly SessionGroup<Key>[],
  targets: readonly RecoveryTarget[],
): ReadonlyMap<Key, string> {
  const load = new Map(targets.map(({ node, channels }) => [node, channels]));
  const assigned = new Map<Key, string>();
  const inOrder = [...groups].sort((a, b) => b.priority - a.priority || b.sessions - a.sessions);
  for (const { key, sessions, wish } of inOrder) {
    const [least] = [...load].sort(([, a], [, b]) => a - b);
    const node = wish !== undefined && load.has(wish) ? wish : least?.[0];
    if (node === undefined) break;
    assigned.set(key, node);
    load.set(node, (load.get(node) ?? 0) + sessions);
  }
  return assigned;
}

/** What a far end's answer to a recovery INVITE means. `gone`: it has no such dialog any more (RFC 3261 §12.2.1.2). */
export function judgeAnswer(sipStatus: number): 'gone' | 'again' | 'failed' {
  if (sipStatus === 481) return 'gone';
  // 491: a re-INVITE of its own is under way (§14.1). 500 and 503 refuse this attempt, not the dialog (§14.2).
  if (sipStatus === 491 || sipStatus === 500 || sipStatus === 503) return 'again';
  // The edge's word on a phone that has lost its connection (RFC 5626 §5.3.1): it may be on its way back.
  if (sipStatus === 430) return 'again';
  return 'failed';
}
