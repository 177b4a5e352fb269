// How a call's legs are made and joined: targets dialled, the caller answered. Pure parts of the call's state table.
import type { Transition } from './call-events.js';
import type { ConnectStep } from './call-facts.js';
import { withLeg } from './call-ending.js';
import { callerLeg, homeOf, type CallRecord, type LegRecord } from './call-record.js';
import { noTimes } from './leg-times.js';
import { newLeg } from './new-leg.js';
import { nextTarget } from './next-target.js';

const defaultRingSeconds = 30;

export function dialTargets(call: CallRecord, step: ConnectStep, nowMs: number): Transition {
  const next = step.strategy === 'at-once' ? [...step.targets.keys()] : [nextTarget(call, step) ?? 0];
  return dialIndexes(call, step, next, nowMs);
}

export function dialIndexes(
  call: CallRecord,
  step: ConnectStep,
  indexes: readonly number[],
  nowMs: number,
): Transition {
  const legs = indexes.map((targetIndex, offset) => {
    const target = step.targets[targetIndex];
    const seconds = target?.ringTimeoutSeconds ?? step.ringTimeoutSeconds ?? defaultRingSeconds;
    return outboundLeg(call, { peer: target?.uri ?? '', targetIndex, ringUntilMs: nowMs + seconds * 1000 }, offset);
  });
  return dialLegs(call, legs);
}

export function outboundLeg(
  call: CallRecord,
  own: Pick<LegRecord, 'peer' | 'targetIndex' | 'ringUntilMs'>,
  offset = 0,
): LegRecord {
  const id = `${call.id}-${call.legs.length + offset}`;
  const from = { direction: 'outbound', step: call.step, node: homeOf(call) } as const;
  return newLeg({ ...own, id, ...from, sipCallId: null, times: noTimes });
}

export function dialLegs(call: CallRecord, legs: LegRecord[]): Transition {
  return {
    call: { ...call, legs: [...call.legs, ...legs] },
    actions: [{ do: 'dial', legs: legs.map(leg => leg.id) }],
  };
}

/** Answers the caller, if that has not been done. */
export function answerCaller(call: CallRecord, nowMs: number): Transition {
  const first = call.answeredMs === null;
  const confirmed: CallRecord = {
    ...withLeg(call, callerLeg(call).id, { state: 'confirmed' }),
    state: 'confirmed',
    answeredMs: call.answeredMs ?? nowMs,
    deadline: first ? lastMoment(call, nowMs) : call.deadline,
  };
  return { call: confirmed, actions: first ? [{ do: 'answer' }] : [] };
}

/** Answers the caller, and puts these legs into the call's conference. */
export function answerInto(call: CallRecord, legs: readonly string[], nowMs: number): Transition {
  const { call: confirmed, actions } = answerCaller(call, nowMs);
  return { call: confirmed, actions: [{ do: 'join', legs, ...(actions.length > 0 && { answer: true }) }] };
}

function lastMoment({ maxCallSeconds: seconds }: CallRecord, answeredMs: number): CallRecord['deadline'] {
  return seconds === 0 ? null : { atMs: answeredMs + seconds * 1000, limit: 'maxCallSeconds', seconds };
}
