// The CDR of a call that has ended: a pure reading of its record.
import type { CallDetailRecord } from './call-facts.js';
import { callerLeg, type CallRecord } from './call-record.js';

export function cdrOf(call: CallRecord): CallDetailRecord {
  const ending = call.ending;
  if (!ending) throw new RangeError(`call ${call.id} has not ended`);
  const answering = call.legs.slice(1).find(leg => leg.sipStatus === null && call.answeredMs !== null);
  const iso = (ms: number): string => new Date(ms).toISOString();
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
    nodes: [...new Set([...call.lostNodes, ...call.legs.map(leg => leg.node)])],
    recoveries: call.recoveries,
  };
}

/** Whole seconds, rounded up as billing does. */
function seconds(fromMs: number, toMs: number): number {
  return Math.max(0, Math.ceil((toMs - fromMs) / 1000));
}
