// How a call, and each of its legs, comes to its end. Pure parts of the call's state table.
import { unchanged, type CallAction, type LegEnded, type Transition } from './call-events.js';
import type { RejectAnswer } from './call-facts.js';
import { callerLeg, isLive, type CallEnding, type CallRecord, type LegRecord } from './call-record.js';
import type { HeaderField } from './leg-headers.js';
import { outcomeOf } from './sip-status.js';

/** Q.850 causes we hang up with. */
export const normalClearing = 16;
export const answeredElsewhere = 26;
export const noAnswer = 19;
export const timerExpiry = 102;

export function withLeg(call: CallRecord, legId: string, change: Partial<LegRecord>): CallRecord {
  return { ...call, legs: call.legs.map(leg => (leg.id === legId ? { ...leg, ...change } : leg)) };
}

export function liveOutbound(call: CallRecord): LegRecord[] {
  return call.legs.slice(1).filter(isLive);
}

export function hangupLegs(
  call: CallRecord,
  legIds: readonly string[],
  cause: number,
  headers: readonly HeaderField[] = [],
): Transition {
  const marked = legIds.reduce((next, id) => withLeg(next, id, { ending: true }), call);
  return { call: marked, actions: legIds.map(leg => ({ do: 'hangup', leg, cause, ...some(headers) })) };
}

function some(headers: readonly HeaderField[]): { readonly headers?: readonly HeaderField[] } {
  return headers.length === 0 ? {} : { headers };
}

/** Headers of the response that refuses. */
export function retryAfter({ retryAfterSeconds: seconds }: RejectAnswer): readonly HeaderField[] {
  return seconds === undefined ? [] : [{ name: 'Retry-After', value: String(seconds) }];
}

/** How many targets a reason names. */
const mostNamed = 4;

/** Why nobody has answered, target by target. */
export function whyNobody({ legs }: CallRecord): string {
  const failed = legs.slice(1).filter(leg => leg.sipStatus !== null);
  if (failed.length === 0) return 'there was no target to call';
  const named = failed.slice(0, mostNamed).map(leg => `${leg.peer} ${whyFailed(leg)}`);
  const more = failed.length - named.length;
  return `every target failed: ${named.join(', ')}${more === 0 ? '' : `, and ${more} more`}`;
}

function whyFailed({ sipStatus, ending, times }: LegRecord): string {
  if (!ending) return `ended with ${sipStatus ?? 0}`;
  return times.ringingMs === null ? 'did not respond' : 'rang and was not answered in time';
}

/** Ends a call that was never answered with a final status to the caller. */
export function refuse(
  call: CallRecord,
  status: number,
  reason: string,
  nowMs: number,
  limit: string | null = null,
  headers: readonly HeaderField[] = [],
): Transition {
  if (call.answeredMs !== null) return end(call, { by: 'holdfast', reason }, nowMs, nowMs);
  const outcome = call.legs.length > 1 ? outcomeOf(status) : 'rejected';
  const last = call.legs.slice(1).findLast(leg => leg.sipStatus === status);
  // One that was given up has not said a word.
  const isTheirs = call.legs.length > 1 && limit === null && last?.ending !== true;
  const ended = withEnding(call, {
    by: isTheirs ? 'callee' : 'holdfast',
    outcome,
    sipStatus: status,
    reason,
    limit,
    atMs: nowMs,
    notBeforeMs: nowMs,
  });
  const others = hangupLegs(
    withLeg(ended, callerLeg(call).id, { ending: true }),
    liveOutbound(call).map(leg => leg.id),
    normalClearing,
  );
  const reject: CallAction = { do: 'reject', sipStatus: status, ...some([...headers, ...(last?.endHeaders ?? [])]) };
  return { call: others.call, actions: [reject, ...others.actions, { do: 'leave' }] };
}

export type Why = Pick<CallEnding, 'by' | 'reason'> & { readonly limit?: string; readonly sipStatus?: number };

/** Why a call ends with this leg of its. */
export function whyEnded(
  { rtpTimeouts }: CallRecord,
  leg: LegRecord,
  wasUp: boolean,
  { silent, unseen, lost }: LegEnded,
): Why {
  const by = leg.direction === 'inbound' ? 'caller' : 'callee';
  if (lost !== undefined) return { by: 'holdfast', reason: `the ${by}'s session was lost: ${lost}` };
  if (silent === true) {
    const limit = leg.held ? 'rtpTimeoutOnHoldSeconds' : 'rtpTimeoutSeconds';
    const seconds = leg.held ? rtpTimeouts?.onHoldSeconds : rtpTimeouts?.seconds;
    const most = seconds === undefined ? `longer than ${limit} allows` : `${seconds} s, the most that ${limit} allows`;
    return { by: 'holdfast', reason: `no RTP from the ${by} for ${most}`, limit };
  }
  const when = unseen === true ? ' while the daemon did not see it' : '';
  return { by, reason: `${by} ${wasUp ? 'hung up' : 'cancelled'}${when}` };
}

/** `headers` of what ended the call, for the other legs. */
export function end(
  call: CallRecord,
  { by, reason, limit, sipStatus: sent }: Why,
  nowMs: number,
  notBeforeMs: number,
  headers: readonly HeaderField[] = [],
): Transition {
  const answered = call.answeredMs !== null;
  const outcome = answered ? 'answered' : by === 'caller' ? 'cancelled' : 'failed';
  const sipStatus = sent ?? (answered ? 200 : by === 'caller' ? 487 : 500);
  const how = { by, outcome, sipStatus, reason, limit: limit ?? null } as const;
  const ended = withEnding(call, { ...how, atMs: nowMs, notBeforeMs });
  const live = call.legs.filter(leg => isLive(leg) && !leg.ending).map(leg => leg.id);
  const hungUp = hangupLegs(ended, live, limit === undefined ? normalClearing : timerExpiry, headers);
  const finished = finishIfEmpty(hungUp.call);
  return { call: finished.call, actions: [...hungUp.actions, { do: 'leave' }, ...finished.actions] };
}

function withEnding(call: CallRecord, ending: CallEnding): CallRecord {
  return { ...call, ending };
}

export function finishIfEmpty(call: CallRecord): Transition {
  if (call.legs.some(isLive)) return unchanged(call);
  return { call: { ...call, state: 'terminated' }, actions: [{ do: 'finish' }] };
}
