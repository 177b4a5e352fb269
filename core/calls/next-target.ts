// Which target of a `connect` is rung next, of those that are rung in order. Pure.
import type { ConnectStep, ConnectTarget } from './call-facts.js';
import type { CallRecord, LegRecord } from './call-record.js';
import { userOf } from './sip-uri.js';

/** Place of the next target; undefined where all that matters were tried. */
export function nextTarget(call: CallRecord, step: ConnectStep): number | undefined {
  const legs = call.legs.filter(leg => leg.step === call.step && leg.direction === 'outbound');
  const tried = new Set(legs.map(leg => leg.targetIndex));
  const answered = new Set(legs.filter(isAnswer).flatMap(leg => numberAt(step.targets[leg.targetIndex ?? -1])));
  const next = step.targets.findIndex(
    (target, index) => !tried.has(index) && !numberAt(target).some(number => answered.has(number)),
  );
  return next === -1 ? undefined : next;
}

/** Gateways of one trunk that are asked for the same number: what one of them says of it, the others would say too. */
function numberAt(target: ConnectTarget | undefined): readonly string[] {
  return target?.trunk === undefined ? [] : [`${target.trunk} ${userOf(target.uri)}`];
}

/**
 * Failures of the server and not of the call are no answer (RFC 3263 §4.3: 503 and no response at all; other 5xx are carriers' habit). Nor is
 * the end of the ringing time of one that never rang.
 */
function isAnswer({ sipStatus, times }: LegRecord): boolean {
  if (sipStatus === null || sipStatus === 408 || sipStatus >= 500) return false;
  return sipStatus !== 480 || times.ringingMs !== null;
}
