// The call's state table: one pure function from a call and an event to the call after it and what is to be done.
import type { AdmittedAnswer, Refusal } from '../trunks/call-limits.js';
import type { ConnectStep, ConnectTarget, RejectAnswer } from './call-facts.js';
import {
  callerLeg,
  echoPeer,
  homeOf,
  isLive,
  type CallEnding,
  type CallRecord,
  type LegRecord,
} from './call-record.js';
import { silence } from './leg-silence.js';
import { noTimes, withLegTimes } from './leg-times.js';
import { isRedirection, mayFollow, withRedirected } from './redirections.js';
import type { HeaderField } from './leg-headers.js';
import { isTransferTarget, mayRefer, presentReferrer, withTransferStep } from './transfers.js';
import { bestStatus, isGlobalFailure, outcomeOf } from './sip-status.js';

/** What can happen to a call. */
export type CallEvent =
  | { readonly type: 'started' }
  /** `maxCallSeconds`: of a call whose route says nothing of it. */
  | { readonly type: 'routed'; readonly answer: AdmittedAnswer | undefined; readonly maxCallSeconds?: number }
  | { readonly type: 'routeFailed'; readonly reason: string }
  | { readonly type: 'legRinging'; readonly leg: string }
  | { readonly type: 'legProgress'; readonly leg: string }
  | { readonly type: 'legAnswered'; readonly leg: string }
  | { readonly type: 'legHeld'; readonly leg: string; readonly held: boolean }
  | { readonly type: 'legCallId'; readonly leg: string; readonly sipCallId: string }
  /** `notBeforeMs`: earliest time it can have ended, where we were blind meanwhile. */
  | {
      readonly type: 'legEnded';
      readonly leg: string;
      readonly sipStatus: number;
      readonly notBeforeMs?: number;
      /** Of the message that ended it, for the other legs. */
      readonly headers?: readonly HeaderField[];
      /** Whom a 3xx named. */
      readonly contacts?: readonly string[];
      /** Its Asterisk has ended it, as no RTP came from its phone. */
      readonly silent?: boolean;
      /** It was found gone when the daemon came back, or looked. */
      readonly unseen?: boolean;
      /** Nobody hung up: why its session is gone, in words. */
      readonly lost?: string;
      /** Its Asterisk has given the far end up, which had not said a word. */
      readonly givenUp?: boolean;
      /** Its node died before the caller was answered, whatever the record says: the caller was sent `sipStatus` instead. */
      readonly unanswered?: boolean;
    }
  | { readonly type: 'redirected'; readonly leg: string; readonly targets: readonly ConnectTarget[] }
  /** The leg's far end wants the other one connected to this number. */
  | { readonly type: 'referred'; readonly leg: string; readonly dialled: string }
  /** What a plugin makes of that; nothing: it is declined. */
  | { readonly type: 'transferred'; readonly leg: string; readonly step: ConnectStep | undefined }
  | { readonly type: 'ringTimeout'; readonly leg: string }
  /** The call's deadline has come. */
  | { readonly type: 'deadline'; readonly atMs: number }
  /** The node of these legs died: they are recovered on `node`, or wait there until one is found. */
  | { readonly type: 'legsMoved'; readonly legs: readonly string[]; readonly node: string; readonly epoch: string }
  | { readonly type: 'legRecovered'; readonly leg: string }
  /** It has a place in the room of its step, or has not. */
  | { readonly type: 'entered' }
  | { readonly type: 'notEntered'; readonly sipStatus: number; readonly reason: string }
  | { readonly type: 'joined'; readonly conferenceId: string }
  | { readonly type: 'joinFailed'; readonly reason: string }
  | { readonly type: 'hangup'; readonly reason: string };

type LegEnded = Extract<CallEvent, { type: 'legEnded' }>;

/** What is to be done for a call, in this order, after the record is in the store. */
export type CallAction =
  | { readonly do: 'route' }
  | { readonly do: 'dial'; readonly legs: readonly string[] }
  | { readonly do: 'redirect'; readonly leg: string }
  | { readonly do: 'refer'; readonly leg: string }
  | { readonly do: 'tellReferrer'; readonly leg: string; readonly outcome: TransferOutcome }
  /** A leg has left, and the call goes on without it. */
  | { readonly do: 'part'; readonly leg: string }
  | { readonly do: 'ring' }
  | { readonly do: 'progress' }
  | { readonly do: 'answer' }
  | { readonly do: 'enter' }
  | { readonly do: 'join'; readonly legs: readonly string[] }
  | { readonly do: 'hangup'; readonly leg: string; readonly cause: number; readonly headers?: readonly HeaderField[] }
  | { readonly do: 'reject'; readonly sipStatus: number; readonly headers?: readonly HeaderField[] }
  | { readonly do: 'leave' }
  | { readonly do: 'finish' };

/** What whoever asked for a transfer is told of it. */
export type TransferOutcome = 'progress' | 'answered' | 'declined' | 'unavailable';

export interface Transition {
  readonly call: CallRecord;
  readonly actions: readonly CallAction[];
}

/** Q.850 causes we hang up with. */
const normalClearing = 16;
const answeredElsewhere = 26;
const noAnswer = 19;
const timerExpiry = 102;

const defaultRingSeconds = 30;

/** The events that still matter to a call that is ending. */
const stillHeard: ReadonlySet<CallEvent['type']> = new Set([
  'legEnded',
  'legAnswered',
  'legCallId',
  'legsMoved',
  'legRecovered',
]);

/** Advances a call by one event. Pure; an event that does not apply (late, doubled) changes nothing. */
export function advance(call: CallRecord, event: CallEvent, nowMs: number): Transition {
  const next = transition(call, event, nowMs);
  return next.call === call ? next : { ...next, call: withLegTimes(call, next.call, nowMs) };
}

function transition(call: CallRecord, event: CallEvent, nowMs: number): Transition {
  if (call.ending && !stillHeard.has(event.type)) return unchanged(call);
  switch (event.type) {
    case 'started':
      return { call, actions: [{ do: 'route' }] };
    case 'routed':
      return routed(call, event.answer, event.maxCallSeconds ?? 0, nowMs);
    case 'routeFailed':
      return refuse(call, 500, event.reason, nowMs);
    case 'legRinging':
      return legRinging(call, event.leg);
    case 'legProgress':
      return legProgress(call, event.leg);
    case 'legAnswered':
      return legAnswered(call, event.leg, nowMs);
    case 'legHeld':
      return { call: withLeg(call, event.leg, { held: event.held }), actions: [] };
    case 'legCallId':
      return legCallId(call, event.leg, event.sipCallId);
    case 'legEnded':
      return legEnded(call, event, nowMs);
    case 'redirected':
      return redirected(call, event.leg, event.targets, nowMs);
    case 'referred':
      return referred(call, event.leg, event.dialled);
    case 'transferred':
      return transferred(call, event.leg, event.step, nowMs);
    case 'ringTimeout':
      return ringTimeout(call, event.leg);
    case 'deadline':
      return deadline(call, event.atMs, nowMs);
    case 'legsMoved':
      return { call: legsMoved(call, event.legs, event.node, event.epoch), actions: [] };
    case 'legRecovered':
      return { call: legRecovered(call, event.leg), actions: [] };
    case 'entered':
      return answerInto(call, [callerLeg(call).id], nowMs);
    case 'notEntered':
      return refuse(call, event.sipStatus, event.reason, nowMs);
    case 'joined':
      return { call: { ...call, conferenceId: event.conferenceId }, actions: [] };
    case 'joinFailed':
    case 'hangup':
      return end(call, { by: 'holdfast', reason: event.reason }, nowMs, nowMs);
  }
}

function unchanged(call: CallRecord): Transition {
  return { call, actions: [] };
}

function withLeg(call: CallRecord, legId: string, change: Partial<LegRecord>): CallRecord {
  return { ...call, legs: call.legs.map(leg => (leg.id === legId ? { ...leg, ...change } : leg)) };
}

/** Told more than once, by the wire and by the Asterisk. */
function legCallId(call: CallRecord, legId: string, sipCallId: string): Transition {
  const known = call.legs.some(leg => leg.id === legId && leg.sipCallId === sipCallId);
  return known ? unchanged(call) : { call: withLeg(call, legId, { sipCallId }), actions: [] };
}

function liveOutbound(call: CallRecord): LegRecord[] {
  return call.legs.slice(1).filter(isLive);
}

function routed(call: CallRecord, answer: AdmittedAnswer | undefined, usualSeconds: number, nowMs: number): Transition {
  if (!answer) return refuse(call, 404, 'no route', nowMs);
  if ('reject' in answer) return rejected(call, answer, nowMs);
  const { flow, routeName, maxCallSeconds = usualSeconds } = answer;
  return nextStep({ ...call, flow: [...flow], routeName, maxCallSeconds, step: -1 }, 480, nowMs);
}

function rejected(call: CallRecord, answer: RejectAnswer | Refusal, nowMs: number): Transition {
  const limit = 'limit' in answer ? answer.limit : null;
  return refuse(call, answer.reject, answer.reason, nowMs, limit, retryAfter(answer));
}

/** Headers of the response that refuses. */
export function retryAfter({ retryAfterSeconds: seconds }: RejectAnswer): readonly HeaderField[] {
  return seconds === undefined ? [] : [{ name: 'Retry-After', value: String(seconds) }];
}

/** Begins the step after the present one; after the last one the call ends, with `status` where it was never answered. */
function nextStep(call: CallRecord, status: number, nowMs: number): Transition {
  const step = call.flow[call.step + 1];
  const moved = { ...call, step: call.step + 1 };
  if (!step) {
    return call.answeredMs === null
      ? refuse(call, status, 'every target failed', nowMs)
      : end(call, { by: 'holdfast', reason: 'flow done' }, nowMs, nowMs);
  }
  switch (step.action) {
    case 'connect':
      return step.targets.length === 0 ? nextStep(moved, 480, nowMs) : dialTargets(moved, step, nowMs);
    case 'echo':
      return dialLegs(moved, [outboundLeg(moved, { peer: echoPeer, targetIndex: null, ringUntilMs: null })]);
    case 'conference_join':
      return { call: moved, actions: [{ do: 'enter' }] };
  }
}

function dialTargets(call: CallRecord, step: ConnectStep, nowMs: number): Transition {
  const tried = new Set(call.legs.filter(leg => leg.step === call.step).map(leg => leg.targetIndex));
  const next = step.targets.findIndex((_, index) => !tried.has(index));
  return dialIndexes(call, step, step.strategy === 'at-once' ? step.targets.map((_, index) => index) : [next], nowMs);
}

function dialIndexes(call: CallRecord, step: ConnectStep, indexes: readonly number[], nowMs: number): Transition {
  const legs = indexes.map((targetIndex, offset) => {
    const target = step.targets[targetIndex];
    const seconds = target?.ringTimeoutSeconds ?? step.ringTimeoutSeconds ?? defaultRingSeconds;
    return outboundLeg(call, { peer: target?.uri ?? '', targetIndex, ringUntilMs: nowMs + seconds * 1000 }, offset);
  });
  return dialLegs(call, legs);
}

function outboundLeg(
  call: CallRecord,
  own: Pick<LegRecord, 'peer' | 'targetIndex' | 'ringUntilMs'>,
  offset = 0,
): LegRecord {
  return {
    ...own,
    id: `${call.id}-${call.legs.length + offset}`,
    direction: 'outbound',
    step: call.step,
    node: homeOf(call),
    state: 'trying',
    sipCallId: null,
    sipStatus: null,
    endHeaders: [],
    redirect: null,
    ending: false,
    held: false,
    recovering: null,
    times: noTimes,
  };
}

function dialLegs(call: CallRecord, legs: LegRecord[]): Transition {
  return {
    call: { ...call, legs: [...call.legs, ...legs] },
    actions: [{ do: 'dial', legs: legs.map(leg => leg.id) }],
  };
}

function legRinging(call: CallRecord, legId: string): Transition {
  const leg = call.legs.find(one => one.id === legId);
  if (leg?.state !== 'trying') return unchanged(call);
  const rung = withLeg(call, legId, { state: 'proceeding' });
  if (call.state !== 'trying') return { call: rung, actions: [] };
  return { call: { ...rung, state: 'proceeding' }, actions: [{ do: 'ring' }] };
}

/** A 183 with SDP: its audio is passed to the caller before the answer, of the first leg that has any. */
function legProgress(call: CallRecord, legId: string): Transition {
  const leg = call.legs.find(one => one.id === legId);
  if (!leg || leg.ending || (leg.state !== 'trying' && leg.state !== 'proceeding')) return unchanged(call);
  const another = call.legs.some(one => one.state === 'early' && isLive(one) && one.direction === 'outbound');
  const early = withLeg(call, legId, { state: 'early' });
  if (call.state === 'confirmed' || another) return { call: early, actions: [] };
  return {
    call: { ...withLeg(early, callerLeg(call).id, { state: 'early' }), state: 'early' },
    actions: [{ do: 'progress' }, { do: 'join', legs: [callerLeg(call).id, legId] }],
  };
}

function legAnswered(call: CallRecord, legId: string, nowMs: number): Transition {
  const leg = call.legs.find(one => one.id === legId);
  if (!leg || leg.state === 'confirmed' || leg.state === 'terminated' || leg.direction === 'inbound') {
    return unchanged(call);
  }
  const up = withLeg(call, legId, { state: 'confirmed', ringUntilMs: null });
  if (!call.ending && !leg.ending && isTransferTarget(call, leg)) return transferAnswered(up, leg);
  // The 200 crossed our CANCEL, or another target was faster: Asterisk acknowledges, we hang up.
  if (call.ending || leg.ending || call.legs.some(one => one.direction === 'outbound' && one.state === 'confirmed')) {
    return hangupLegs(up, [legId], answeredElsewhere);
  }
  const losers = liveOutbound(call).filter(one => one.id !== legId && !one.ending);
  const joined = answerInto(up, [callerLeg(call).id, legId], nowMs);
  const cancelled = hangupLegs(
    joined.call,
    losers.map(one => one.id),
    answeredElsewhere,
  );
  return { call: cancelled.call, actions: [...joined.actions, ...cancelled.actions] };
}

/** Answers the caller, if that has not been done, and puts these legs into the call's conference. */
function answerInto(call: CallRecord, legs: readonly string[], nowMs: number): Transition {
  const first = call.answeredMs === null;
  const confirmed: CallRecord = {
    ...withLeg(call, callerLeg(call).id, { state: 'confirmed' }),
    state: 'confirmed',
    answeredMs: call.answeredMs ?? nowMs,
    deadline: first ? lastMoment(call, nowMs) : call.deadline,
  };
  return { call: confirmed, actions: [...(first ? [{ do: 'answer' } as const] : []), { do: 'join', legs }] };
}

function lastMoment({ maxCallSeconds: seconds }: CallRecord, answeredMs: number): CallRecord['deadline'] {
  return seconds === 0 ? null : { atMs: answeredMs + seconds * 1000, limit: 'maxCallSeconds', seconds };
}

function legsMoved(call: CallRecord, legIds: readonly string[], node: string, epoch: string): CallRecord {
  const lost = call.legs.filter(leg => legIds.includes(leg.id) && leg.recovering === null).map(leg => leg.node);
  const noted = { ...call, lostNodes: [...new Set([...call.lostNodes, ...lost])] };
  return legIds.reduce((next, id) => withLeg(next, id, { node, recovering: epoch, held: false }), noted);
}

/** The last one of a call counts: a death is one recovery of a call, however many legs it had there. */
function legRecovered(call: CallRecord, legId: string): CallRecord {
  const up = withLeg(call, legId, { recovering: null });
  const waiting = up.legs.some(leg => isLive(leg) && leg.recovering !== null);
  return waiting ? up : { ...up, recoveries: up.recoveries + 1 };
}

function hangupLegs(
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

function ringTimeout(call: CallRecord, legId: string): Transition {
  const leg = call.legs.find(one => one.id === legId);
  if (!leg || leg.ending || leg.state === 'confirmed' || leg.state === 'terminated') return unchanged(call);
  const timedOut = withLeg(call, legId, { sipStatus: 480 });
  return hangupLegs(timedOut, [legId], noAnswer);
}

function deadline(call: CallRecord, atMs: number, nowMs: number): Transition {
  // That of another time: the call was answered as its timer ran out.
  if (call.deadline?.atMs !== atMs) return unchanged(call);
  const { limit, seconds } = call.deadline;
  if (call.answeredMs !== null) {
    const reason = `it has lasted ${seconds} s, the most that ${limit} allows`;
    return end(call, { by: 'holdfast', reason, limit }, nowMs, nowMs);
  }
  // RFC 3261 §16.8, Timer C.
  return refuse(call, 408, `not answered in ${seconds} s, the most that ${limit} allows`, nowMs, limit);
}

function legEnded(call: CallRecord, event: LegEnded, nowMs: number): Transition {
  const { leg: legId, sipStatus: status, headers = [], notBeforeMs = nowMs } = event;
  const leg = call.legs.find(one => one.id === legId);
  if (!leg || leg.state === 'terminated') return unchanged(call);
  const wasUp = leg.state === 'confirmed';
  const gone = withLeg(call, legId, {
    state: 'terminated',
    recovering: null,
    ringUntilMs: null,
    sipStatus: wasUp ? null : (leg.sipStatus ?? status),
    endHeaders: wasUp || leg.sipStatus !== null ? [] : headers,
  });
  if (call.ending) return finishIfEmpty(gone);
  if (event.unanswered === true) return neverAnswered(gone, status, nowMs);
  if (legId === call.transfer?.referrer && !leg.ending) return parted(gone, legId);
  if ((leg.direction === 'inbound' && !leg.ending) || (wasUp && !leg.ending)) {
    const silent = wasUp && event.givenUp === true ? silence(leg, nowMs) : undefined;
    const why = silent ? ({ by: 'holdfast', reason: silent.reason } as const) : whyEnded(leg, wasUp, event);
    return end(gone, why, nowMs, notBeforeMs, silent?.headers ?? headers);
  }
  const { contacts = [] } = event;
  if (!leg.ending && isRedirection(status) && call.state !== 'confirmed' && mayFollow(gone, contacts)) {
    return { call: withLeg(gone, legId, { redirect: contacts }), actions: [{ do: 'redirect', leg: legId }] };
  }
  if (isTransferTarget(call, leg)) return transferTargetFailed(gone, status, nowMs);
  // It was hung up, for another one has taken its place.
  if (wasUp && call.legs.some(one => one.id !== legId && one.state === 'confirmed')) return parted(gone, legId);
  return targetFailed(gone, nowMs);
}

/** The caller heard nothing of an answer, also of one that is in the record. */
function neverAnswered(call: CallRecord, sipStatus: number, nowMs: number): Transition {
  const { times } = callerLeg(call);
  const legs = withLeg(call, callerLeg(call).id, { sipStatus, times: { ...times, answeredMs: null } });
  const reason = 'its node died before an answer had reached the caller';
  return end({ ...legs, answeredMs: null }, { by: 'holdfast', reason, sipStatus }, nowMs, nowMs);
}

/** A leg is gone, and the others stay. */
function parted(call: CallRecord, legId: string): Transition {
  return { call, actions: call.conferenceId === null ? [] : [{ do: 'part', leg: legId }] };
}

function referred(call: CallRecord, legId: string, dialled: string): Transition {
  if (!mayRefer(call, legId)) return { call, actions: [{ do: 'tellReferrer', leg: legId, outcome: 'declined' }] };
  const transfer = { referrer: legId, dialled, step: null };
  return { call: { ...call, transfer }, actions: [{ do: 'refer', leg: legId }] };
}

function transferred(call: CallRecord, legId: string, step: ConnectStep | undefined, nowMs: number): Transition {
  if (call.transfer?.referrer !== legId || call.transfer.step !== null) return unchanged(call);
  if (!step || step.targets.length === 0) return transferFailed(call, 'declined', 'refused', nowMs);
  const dialled = dialTargets(withTransferStep(call, step), step, nowMs);
  const referrer = presentReferrer(call);
  return { ...dialled, actions: [...told(referrer, 'progress'), ...dialled.actions] };
}

/** The new party takes the place of whoever asked for it. */
function transferAnswered(call: CallRecord, leg: LegRecord): Transition {
  const referrer = presentReferrer(call);
  const rivals = liveOutbound(call).filter(one => one.id !== leg.id && isTransferTarget(call, one) && !one.ending);
  const stays = call.legs.filter(one => one.state === 'confirmed' && !one.ending && one.id !== referrer?.id);
  const done = { ...call, transfer: null };
  const lost = hangupLegs(
    done,
    rivals.map(one => one.id),
    answeredElsewhere,
  );
  const left = hangupLegs(lost.call, referrer ? [referrer.id] : [], normalClearing);
  const join: CallAction = { do: 'join', legs: stays.map(one => one.id) };
  return { call: left.call, actions: [join, ...told(referrer, 'answered'), ...left.actions, ...lost.actions] };
}

function transferTargetFailed(call: CallRecord, status: number, nowMs: number): Transition {
  const step = call.flow[call.step];
  const tried = call.legs.filter(leg => leg.step === call.step);
  if (tried.some(isLive)) return unchanged(call);
  const isMore = step?.action === 'connect' && step.strategy === 'in-order' && tried.length < step.targets.length;
  if (isMore && !isGlobalFailure(status)) return dialTargets(call, step, nowMs);
  const statuses = tried.flatMap(leg => (leg.sipStatus === null ? [] : [leg.sipStatus]));
  const best = bestStatus(statuses);
  return transferFailed(call, isGlobalFailure(best) ? 'declined' : 'unavailable', `${best}`, nowMs);
}

function told(referrer: LegRecord | undefined, outcome: TransferOutcome): readonly CallAction[] {
  return referrer ? [{ do: 'tellReferrer', leg: referrer.id, outcome }] : [];
}

/** Whoever asked for it has its call as it was; if it has left, nobody is there for the other one. */
function transferFailed(call: CallRecord, outcome: TransferOutcome, why: string, nowMs: number): Transition {
  const over = { ...call, transfer: null };
  const referrer = presentReferrer(call);
  if (referrer) return { call: over, actions: told(referrer, outcome) };
  const reason = `transfer to ${call.transfer?.dialled ?? ''} failed: ${why}`;
  return end(over, { by: 'holdfast', reason }, nowMs, nowMs);
}

/** Whom a plugin wants called in a target's place; nobody: the target has failed. */
function redirected(call: CallRecord, legId: string, targets: readonly ConnectTarget[], nowMs: number): Transition {
  const leg = call.legs.find(one => one.id === legId);
  if (!leg?.redirect) return unchanged(call);
  const next = withRedirected(withLeg(call, legId, { redirect: null }), leg, targets);
  const step = next.call.flow[leg.step];
  const isOver = call.state === 'confirmed' || leg.step !== call.step;
  if (isOver || step?.action !== 'connect' || next.indexes.length === 0) return targetFailed(next.call, nowMs);
  const indexes = step.strategy === 'at-once' ? next.indexes : next.indexes.slice(0, 1);
  return dialIndexes(next.call, step, indexes, nowMs);
}

/** A target ended unanswered: the next one, or the caller hears the best of the failures. */
function targetFailed(call: CallRecord, nowMs: number): Transition {
  if (call.state === 'confirmed' && call.legs.some(leg => leg.direction === 'outbound' && leg.state === 'confirmed')) {
    return unchanged(call);
  }
  const statuses = call.legs.slice(1).flatMap(leg => (leg.sipStatus === null ? [] : [leg.sipStatus]));
  const step = call.flow[call.step];
  const live = liveOutbound(call);
  if (statuses.some(isGlobalFailure)) {
    return refuse(call, bestStatus(statuses), 'a target refused for the whole call', nowMs);
  }
  if (live.length > 0 || call.legs.some(leg => leg.redirect !== null)) return unchanged(call);
  const tried = call.legs.filter(leg => leg.step === call.step).length;
  if (step?.action === 'connect' && step.strategy === 'in-order' && tried < step.targets.length)
    return dialTargets(call, step, nowMs);
  return nextStep(call, bestStatus(statuses), nowMs);
}

/** Ends a call that was never answered with a final status to the caller. */
function refuse(
  call: CallRecord,
  status: number,
  reason: string,
  nowMs: number,
  limit: string | null = null,
  headers: readonly HeaderField[] = [],
): Transition {
  if (call.answeredMs !== null) return end(call, { by: 'holdfast', reason }, nowMs, nowMs);
  const outcome = call.legs.length > 1 ? outcomeOf(status) : 'rejected';
  const ended = withEnding(call, {
    by: call.legs.length > 1 && limit === null ? 'callee' : 'holdfast',
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
  const heard = call.legs.slice(1).findLast(leg => leg.sipStatus === status)?.endHeaders ?? [];
  const reject: CallAction = { do: 'reject', sipStatus: status, ...some([...headers, ...heard]) };
  return { call: others.call, actions: [reject, ...others.actions, { do: 'leave' }] };
}

type Why = Pick<CallEnding, 'by' | 'reason'> & { readonly limit?: string; readonly sipStatus?: number };

/** Why a call ends with this leg of its. */
function whyEnded(leg: LegRecord, wasUp: boolean, { silent, unseen, lost }: LegEnded): Why {
  const by = leg.direction === 'inbound' ? 'caller' : 'callee';
  if (lost !== undefined) return { by: 'holdfast', reason: `the ${by}'s session was lost: ${lost}` };
  if (silent === true) {
    const limit = leg.held ? 'rtpTimeoutOnHoldSeconds' : 'rtpTimeoutSeconds';
    return { by: 'holdfast', reason: `no RTP from the ${by} for longer than ${limit}`, limit };
  }
  const when = unseen === true ? ' while the daemon did not see it' : '';
  return { by, reason: `${by} ${wasUp ? 'hung up' : 'cancelled'}${when}` };
}

/** `headers` of what ended the call, for the other legs. */
function end(
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

function finishIfEmpty(call: CallRecord): Transition {
  if (call.legs.some(isLive)) return unchanged(call);
  return { call: { ...call, state: 'terminated' }, actions: [{ do: 'finish' }] };
}
