// When each leg began, rang, was answered and ended: read off the states before and after an event. Pure.
import type { CallRecord, LegRecord } from './call-record.js';

export type LegTimes = LegRecord['times'];

export const noTimes: LegTimes = { startedMs: null, ringingMs: null, answeredMs: null, endedMs: null };

/** `after`, with the times of what became of its legs since `before`. */
export function withLegTimes(before: CallRecord, after: CallRecord, nowMs: number): CallRecord {
  if (after.legs === before.legs) return after;
  const rang = before.state === 'trying' && (after.state === 'proceeding' || after.state === 'early');
  const legs = after.legs.map((leg, index) => {
    const was = before.legs[index];
    if (was === leg && !(index === 0 && rang)) return leg;
    return { ...leg, times: timesOf(leg, was, index === 0 && rang, nowMs) };
  });
  return { ...after, legs };
}

/** The caller's leg rings when it is told so, which changes no state of its own. */
function timesOf(leg: LegRecord, was: LegRecord | undefined, callerRang: boolean, nowMs: number): LegTimes {
  const { startedMs, ringingMs, answeredMs, endedMs } = leg.times;
  const came = (state: LegRecord['state']): boolean => leg.state === state && was?.state !== state;
  return {
    startedMs: startedMs ?? nowMs,
    ringingMs: ringingMs ?? (callerRang || came('proceeding') || came('early') ? nowMs : null),
    answeredMs: answeredMs ?? (came('confirmed') ? nowMs : null),
    endedMs: endedMs ?? (came('terminated') ? nowMs : null),
  };
}
