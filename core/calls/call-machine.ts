// The call's state table: one pure function from a call and an event to the call after it and what is to be done.
import type { FlowActions } from '../flows/action-registry.js';
import { answerInto, dialIndexes, dialTargets } from './call-dialling.js';
import {
  answeredElsewhere,
  end,
  finishIfEmpty,
  hangupLegs,
  liveOutbound,
  noAnswer,
  normalClearing,
  refuse,
  retryAfter,
  whyEnded,
  withLeg,
  type Why,
} from './call-ending.js';
import { andThen, unchanged, type CallEvent, type LegEnded, type Routed, type Transition } from './call-events.js';
import type { ConnectTarget, RejectAnswer } from './call-facts.js';
import type { Refusal } from '../trunks/call-limits.js';
import { callerLeg, echoPeer, isLive, type CallRecord } from './call-record.js';
import {
  backToFlow,
  connectFailed,
  flowEvent,
  mutedAgain,
  nextStep,
  outOfFlow,
  wantsCallerBack,
  type Around,
} from './call-steps.js';
import { consulted, gaveWay, givesWay, merged, mergeFailed, staysAfterAll } from './call-consultation.js';
import { parted, referred, transferAnswered, transferred, transferTargetFailed } from './call-transfer.js';
import { silence } from './leg-silence.js';
import { withLegTimes } from './leg-times.js';
import { nextTarget } from './next-target.js';
import { isRedirection, mayFollow, withRedirected } from './redirections.js';
import { isTransferTarget } from './transfers.js';
import { bestStatus, isGlobalFailure } from './sip-status.js';

export type { CallAction, CallEvent, TransferOutcome, Transition } from './call-events.js';

/** The events that still matter to a call that is ending. */
const stillHeard: ReadonlySet<CallEvent['type']> = new Set([
  'legEnded',
  'legAnswered',
  'legCallId',
  'legsMoved',
  'legRecovered',
]);

/** No flow has an action. */
const noActions: FlowActions = new Map();

/**
 * Advances a call by one event. Pure; an event that does not apply (late, doubled) changes nothing.
 */
export function advance(
  call: CallRecord,
  event: CallEvent,
  nowMs: number,
  { actions = noActions, companions = 0 }: Partial<Omit<Around, 'nowMs'>> = {},
): Transition {
  const next = transition(call, event, { nowMs, actions, companions });
  return next.call === call ? next : { ...next, call: withLegTimes(call, next.call, nowMs) };
}

function transition(call: CallRecord, event: CallEvent, around: Around): Transition {
  const { nowMs } = around;
  if (call.ending && !stillHeard.has(event.type)) return unchanged(call);
  switch (event.type) {
    case 'started':
      return { call, actions: [{ do: 'route' }] };
    case 'routed':
      return routed(call, event.answer, event.maxCallSeconds ?? 0, around);
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
      return legEnded(call, event, around);
    case 'redirected':
      return redirected(call, event.leg, event.targets, around);
    case 'referred':
      return referred(call, event);
    case 'transferred':
      return transferred(call, event.leg, event.step, nowMs);
    case 'consulted':
      return consulted(call, event);
    case 'merged':
      return merged(call, event, nowMs);
    case 'mergeFailed':
      return mergeFailed(call, event, nowMs);
    case 'givesWay':
      return givesWay(call, event.leg);
    case 'gaveWay':
      return gaveWay(call, event, nowMs);
    case 'staysAfterAll':
      return staysAfterAll(call, event.leg, nowMs);
    case 'ringTimeout':
      return ringTimeout(call, event.leg);
    case 'legSilent':
      return legSilent(call, event.leg);
    case 'deadline':
      return deadline(call, event.atMs, nowMs);
    case 'legsMoved':
      return moved(call, event, around);
    case 'legRecovered':
      return recovered(call, event.leg, around);
    case 'flow':
      return flowEvent(call, event.event, around);
    case 'entered':
      return answerInto(call, [callerLeg(call).id], nowMs);
    case 'notEntered':
      return call.run === null
        ? refuse(call, event.sipStatus, event.reason, nowMs)
        : andThen(mutedAgain({ ...call, step: call.flow.length }), out => connectFailed(out, event.sipStatus, around));
    case 'joined':
      return { call: { ...call, conferenceId: event.conferenceId }, actions: [] };
    case 'joinFailed':
    case 'hangup':
      return end(call, { by: 'holdfast', reason: event.reason }, nowMs, nowMs);
  }
}

/** Told more than once, by the wire and by the Asterisk. */
function legCallId(call: CallRecord, legId: string, sipCallId: string): Transition {
  const known = call.legs.some(leg => leg.id === legId && leg.sipCallId === sipCallId);
  return known ? unchanged(call) : { call: withLeg(call, legId, { sipCallId }), actions: [] };
}

function routed(call: CallRecord, answer: Routed | undefined, usualSeconds: number, around: Around): Transition {
  if (!answer) return refuse(call, 404, 'no route', around.nowMs);
  if ('reject' in answer) return rejected(call, answer, around.nowMs);
  const { flow, run = null, routeName, maxCallSeconds = usualSeconds } = answer;
  const begun: CallRecord = { ...call, flow: [...flow], run, routeName, maxCallSeconds, step: -1 };
  return run === null ? nextStep(begun, 480, around) : flowEvent(begun, { type: 'begin' }, around);
}

function rejected(call: CallRecord, answer: RejectAnswer | Refusal, nowMs: number): Transition {
  const limit = 'limit' in answer ? answer.limit : null;
  const by = { ...call, routeName: answer.routeName ?? null };
  return refuse(by, answer.reject, answer.reason, nowMs, limit, retryAfter(answer));
}

/** What becomes of the caller's leg is news to the flow that runs for them. */
function moved(
  call: CallRecord,
  { legs, node, epoch, sinceMs }: Extract<CallEvent, { type: 'legsMoved' }>,
  around: Around,
): Transition {
  const waiting = legsMoved(call, legs, node, epoch);
  if (!legs.includes(callerLeg(call).id)) return unchanged(waiting);
  return flowEvent(waiting, { type: 'paused', sinceMs: sinceMs ?? around.nowMs }, around);
}

function legRinging(call: CallRecord, legId: string): Transition {
  const leg = call.legs.find(one => one.id === legId);
  if (leg?.state !== 'trying' || leg.direction === 'inbound') return unchanged(call);
  const rung = withLeg(call, legId, { state: 'proceeding' });
  if (call.state !== 'trying') return { call: rung, actions: [] };
  // The caller is rung by their node: `ringVariable`.
  return { call: { ...rung, state: 'proceeding' }, actions: [] };
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
  if (!call.ending && !leg.ending && isTransferTarget(call, leg)) return transferAnswered(up, leg, nowMs);
  // The 200 crossed our CANCEL, or another target was faster: Asterisk acknowledges, we hang up.
  if (call.ending || leg.ending || call.legs.some(one => one.direction === 'outbound' && one.state === 'confirmed')) {
    return hangupLegs(up, [legId], answeredElsewhere);
  }
  const losers = liveOutbound(call).filter(one => one.id !== legId && !one.ending);
  const joined = andThen(outOfFlow(up, nowMs), silent =>
    andThen(answerInto(silent, [callerLeg(call).id, legId], nowMs), mutedAgain),
  );
  const cancelled = hangupLegs(
    joined.call,
    losers.map(one => one.id),
    answeredElsewhere,
  );
  return { call: cancelled.call, actions: [...joined.actions, ...cancelled.actions] };
}

function legsMoved(call: CallRecord, legIds: readonly string[], node: string, epoch: string): CallRecord {
  const lost = call.legs.filter(leg => legIds.includes(leg.id) && leg.recovering === null).map(leg => leg.node);
  const noted = { ...call, lostNodes: [...new Set([...call.lostNodes, ...lost])] };
  return legIds.reduce((next, id) => withLeg(next, id, { node, recovering: epoch, held: false }), noted);
}

function recovered(call: CallRecord, legId: string, around: Around): Transition {
  const up = mutedAgain(legRecovered(call, legId));
  if (legId !== callerLeg(call).id) return up;
  return andThen(up, next => flowEvent(next, { type: 'resumed' }, around));
}

/** The last one of a call counts: a death is one recovery of a call, however many legs it had there. */
function legRecovered(call: CallRecord, legId: string): CallRecord {
  const up = withLeg(call, legId, { recovering: null });
  const waiting = up.legs.some(leg => isLive(leg) && leg.recovering !== null);
  return waiting ? up : { ...up, recoveries: up.recoveries + 1 };
}

function ringTimeout(call: CallRecord, legId: string): Transition {
  const leg = call.legs.find(one => one.id === legId);
  if (!leg || leg.ending || leg.state === 'confirmed' || leg.state === 'terminated') return unchanged(call);
  const timedOut = withLeg(call, legId, { sipStatus: 480 });
  return hangupLegs(timedOut, [legId], noAnswer);
}

/** Given up where another target is left to try; the last one may take its time. */
function legSilent(call: CallRecord, legId: string): Transition {
  const leg = call.legs.find(one => one.id === legId);
  const step = call.flow[call.step];
  if (leg?.state !== 'trying' || leg.ending || step?.action !== 'connect' || step.strategy !== 'in-order')
    return unchanged(call);
  if (nextTarget(call, step) === undefined) return unchanged(call);
  return hangupLegs(withLeg(call, legId, { sipStatus: 408 }), [legId], noAnswer);
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

function legEnded(call: CallRecord, event: LegEnded, around: Around): Transition {
  const { nowMs } = around;
  const { leg: legId, sipStatus: status, headers = [], notBeforeMs = nowMs } = event;
  const leg = call.legs.find(one => one.id === legId);
  if (!leg || leg.state === 'terminated') return unchanged(call);
  const wasUp = leg.state === 'confirmed';
  const gone = withLeg(call, legId, {
    state: 'terminated',
    recovering: null,
    ringUntilMs: null,
    // Its Asterisk has asked for the end of one that never responded.
    ending: leg.ending || (!wasUp && event.givenUp === true),
    sipStatus: wasUp ? null : (leg.sipStatus ?? status),
    endHeaders: wasUp || leg.sipStatus !== null ? [] : headers,
  });
  if (event.cancelled === true && leg.direction === 'inbound' && leg.recovering === null && call.answeredMs !== null)
    return neverAnswered(gone, { ...whyEnded(call, leg, false, event), sipStatus: status }, nowMs);
  if (call.ending) return finishIfEmpty(gone);
  if (event.unanswered === true) {
    const reason = 'its node died before an answer had reached the caller';
    return neverAnswered(gone, { by: 'holdfast', reason, sipStatus: status }, nowMs);
  }
  if (leg.gaveWay || (legId === call.transfer?.referrer && !call.transfer.adds && !leg.ending))
    return parted(gone, legId);
  if (wasUp && !leg.ending && goesOn(gone, around)) return partedFromOthers(gone, legId);
  if ((leg.direction === 'inbound' && !leg.ending) || (wasUp && !leg.ending)) {
    if (leg.direction === 'outbound' && leg.peer !== echoPeer && wantsCallerBack(gone, around))
      return backToFlow(gone, around);
    const silent = wasUp && event.givenUp === true ? silence(leg, nowMs) : undefined;
    const why = silent ? ({ by: 'holdfast', reason: silent.reason } as const) : whyEnded(call, leg, wasUp, event);
    return end(gone, why, nowMs, notBeforeMs, silent?.headers ?? headers);
  }
  // It was hung up, for another one has taken its place; one that answered as we gave it up has left nobody.
  if (wasUp && call.legs.filter(one => one.id !== legId && one.state === 'confirmed').length > 1)
    return parted(gone, legId);
  // Of a connect that its flow has left behind.
  if (call.run !== null && leg.step !== call.step) return { call: gone, actions: [] };
  if (event.nodeDied === true && call.run !== null && !isTransferTarget(call, leg)) return beginAgain(gone, around);
  const { contacts = [] } = event;
  if (!leg.ending && isRedirection(status) && call.state !== 'confirmed' && mayFollow(gone, contacts)) {
    return { call: withLeg(gone, legId, { redirect: contacts }), actions: [{ do: 'redirect', leg: legId }] };
  }
  if (isTransferTarget(call, leg)) return transferTargetFailed(gone, status, nowMs);
  return targetFailed(gone, around);
}

/** There is somebody of the call left, and somebody for them to talk to. */
function goesOn({ legs }: CallRecord, { companions }: Around): boolean {
  const own = legs.filter(leg => leg.state === 'confirmed' && !leg.ending && !leg.gaveWay);
  return own.length > 0 && own.length + companions > 1;
}

/** A flow has nobody to run for once its caller has left the others. */
function partedFromOthers(call: CallRecord, legId: string): Transition {
  return parted(legId === callerLeg(call).id ? { ...call, run: null } : call, legId, true);
}

/** Those who were being called are gone with the node that the caller was on: they are called again when the caller is back. */
function beginAgain(call: CallRecord, around: Around): Transition {
  if (liveOutbound(call).some(leg => leg.step === call.step)) return { call, actions: [] };
  const left = { ...call, step: call.flow.length };
  return andThen(flowEvent(left, { type: 'paused' }, around), paused => flowEvent(paused, { type: 'again' }, around));
}

/** The caller heard nothing of an answer, also of one that is in the record. */
function neverAnswered(call: CallRecord, why: Why & { readonly sipStatus: number }, nowMs: number): Transition {
  const { times } = callerLeg(call);
  const legs = withLeg(call, callerLeg(call).id, { sipStatus: why.sipStatus, times: { ...times, answeredMs: null } });
  const ended = end({ ...legs, answeredMs: null }, why, nowMs, nowMs);
  return call.ending ? finishIfEmpty(ended.call) : ended;
}

/** Whom a plugin wants called in a target's place; nobody: the target has failed. */
function redirected(call: CallRecord, legId: string, targets: readonly ConnectTarget[], around: Around): Transition {
  const leg = call.legs.find(one => one.id === legId);
  if (!leg?.redirect) return unchanged(call);
  const next = withRedirected(withLeg(call, legId, { redirect: null }), leg, targets);
  const step = next.call.flow[leg.step];
  const isOver = call.state === 'confirmed' || leg.step !== call.step;
  if (isOver || step?.action !== 'connect' || next.indexes.length === 0) return targetFailed(next.call, around);
  const indexes = step.strategy === 'at-once' ? next.indexes : next.indexes.slice(0, 1);
  return dialIndexes(next.call, step, indexes, around.nowMs);
}

/** A target ended unanswered: the next one, or the caller hears the best of the failures. */
function targetFailed(call: CallRecord, around: Around): Transition {
  if (call.state === 'confirmed' && call.legs.some(leg => leg.direction === 'outbound' && leg.state === 'confirmed')) {
    return unchanged(call);
  }
  const { nowMs } = around;
  const step = call.flow[call.step];
  // A flow may connect more than once: what was before is over.
  const tried = call.legs.slice(1).filter(leg => call.run === null || leg.step === call.step);
  const statuses = tried.flatMap(leg => (leg.sipStatus === null ? [] : [leg.sipStatus]));
  const live = liveOutbound(call).filter(leg => tried.includes(leg));
  if (statuses.some(isGlobalFailure)) {
    const status = bestStatus(statuses);
    if (call.run === null) return refuse(call, status, 'a target refused for the whole call', nowMs);
    const others = hangupLegs(
      call,
      live.filter(leg => !leg.ending).map(leg => leg.id),
      normalClearing,
    );
    return andThen(others, left => connectFailed(left, status, around));
  }
  if (live.length > 0 || call.legs.some(leg => leg.redirect !== null)) return unchanged(call);
  if (step?.action === 'connect' && step.strategy === 'in-order' && nextTarget(call, step) !== undefined)
    return dialTargets(call, step, nowMs);
  return nextStep(call, bestStatus(statuses), around);
}
