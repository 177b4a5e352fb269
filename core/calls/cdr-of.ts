// The CDR of a call that has ended: a pure reading of its record.
import type { CallDetailRecord, LegFacts, TransferFacts } from './call-facts.js';
import { callerLeg, type CallRecord, type LegRecord } from './call-record.js';

export function cdrOf(call: CallRecord): CallDetailRecord {
  const ending = call.ending;
  if (!ending) throw new RangeError(`call ${call.id} has not ended`);
  const answering = call.legs.slice(1).find(leg => leg.sipStatus === null && call.answeredMs !== null);
  return {
    callId: call.id,
    sipCallIds: call.legs.flatMap(leg => (leg.sipCallId === null ? [] : [leg.sipCallId])),
    source: call.source,
    callerNumber: call.callerNumber,
    dialled: call.dialled,
    route: call.routeName,
    answeredBy: call.answeredMs === null ? null : (answering?.peer ?? callerLeg(call).peer),
    startedAt: iso(call.startedMs),
    answeredAt: call.answeredMs === null ? null : iso(call.answeredMs),
    endedAt: iso(ending.atMs),
    endedNotBefore: iso(ending.notBeforeMs),
    durationSeconds: seconds(call.startedMs, ending.atMs),
    billSeconds: call.answeredMs === null ? 0 : seconds(call.answeredMs, ending.atMs),
    outcome: ending.outcome,
    sipStatus: ending.sipStatus,
    endedBy: ending.by,
    reason: ending.reason,
    limit: ending.limit,
    nodes: [...new Set([...call.lostNodes, ...call.legs.map(leg => leg.node)])],
    recoveries: call.recoveries,
    transfers: transferFacts(call),
    legs: call.legs.map(legFacts),
  };
}

/** Those that were done, also while the call goes on. */
export function transferFacts({ transfers }: CallRecord): readonly TransferFacts[] {
  return transfers.map(({ atMs, ...how }) => ({ at: iso(atMs), ...how }));
}

/** What is told of a leg, also while the call goes on. */
export function legFacts({ direction, peer, sipCallId, node, sipStatus, times }: LegRecord): LegFacts {
  const at = (ms: number | null): string | null => (ms === null ? null : iso(ms));
  return {
    ...{ direction, peer, sipCallId, node, sipStatus },
    startedAt: at(times.startedMs),
    ringingAt: at(times.ringingMs),
    answeredAt: at(times.answeredMs),
    endedAt: at(times.endedMs),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** Whole seconds, rounded up as billing does. */
function seconds(fromMs: number, toMs: number): number {
  return Math.max(0, Math.ceil((toMs - fromMs) / 1000));
}
