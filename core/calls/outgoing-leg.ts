// What the INVITE of a leg that we dial says: pure readings of the call, the route and what plugins answered.
import type { DialAnswer, OutgoingLeg } from './call-facts.js';
import { presentCaller } from './caller-identity.js';
import { incomingCall, targetOf, type CallRecord, type LegRecord } from './call-record.js';
import { changedFields, headersOf, headerVariables, passedFields, type HeaderField } from './leg-headers.js';
import type { PassingRules } from './passed-headers.js';
import { callerFor, presentedTo } from './trunk-caller.js';

/** The leg as plugins see it before it is dialled; undefined for one that is no target of a `connect`, as the echo test's. */
export function outgoingLeg(call: CallRecord, legId: string, rules: PassingRules): OutgoingLeg | undefined {
  const leg = call.legs.find(one => one.id === legId);
  const target = leg === undefined ? undefined : targetOf(call, leg);
  if (leg === undefined || target === undefined) return undefined;
  const { callerNumber, callerName, fields } = routedLeg(call, leg, rules);
  const routeName = call.routeName ?? '';
  return { call: incomingCall(call), routeName, target, callerNumber, callerName, headers: headersOf(fields) };
}

type PolicyFor = (leg: { readonly trunk?: string; readonly subscriber?: string }) => string | undefined;

/** Channel variables that have Asterisk send this INVITE. Of `answers` an earlier one goes before a later one. */
export function legVariables(
  call: CallRecord,
  leg: LegRecord,
  answers: readonly DialAnswer[],
  policyFor: PolicyFor,
  rules: PassingRules,
): Record<string, string> {
  const { callerNumber, callerName, fromHost, fields } = routedLeg(call, leg, rules, answers);
  const { trunk, subscriber } = targetOf(call, leg) ?? {};
  const policy = policyFor({
    ...(trunk === undefined ? {} : { trunk }),
    ...(subscriber === undefined ? {} : { subscriber }),
  });
  return {
    'CONNECTEDLINE(num,i)': callerNumber,
    'CONNECTEDLINE(name,i)': callerName,
    ...(fromHost === undefined ? {} : { SIPFROMDOMAIN: fromHost }),
    'PJSIP_HEADER(add,X-Holdfast-Call)': call.id,
    'PJSIP_HEADER(add,X-Holdfast-Leg)': leg.id,
    ...(policy === undefined ? {} : { 'PJSIP_HEADER(add,X-Holdfast-Policy)': policy }),
    ...headerVariables(fields),
  };
}

/** What plugins can change about a leg's INVITE. */
export interface PresentedLeg {
  readonly callerNumber: string;
  readonly callerName: string;
  readonly fields: readonly HeaderField[];
}

/** What plugins made of a leg: of `answers` an earlier one goes before a later one. */
export function answeredLeg(leg: PresentedLeg, answers: readonly DialAnswer[]): PresentedLeg {
  const first = (key: 'callerNumber' | 'callerName'): string =>
    answers.map(answer => answer[key]).find(value => value !== undefined) ?? leg[key];
  const changes = answers.map(({ headers }) => headers);
  return {
    callerNumber: first('callerNumber'),
    callerName: first('callerName'),
    fields: changedFields(leg.fields, changes),
  };
}

/**
 * The leg as the route, and plugins after it, would have it. A caller who wants privacy has it from them too: only a trusted trunk
 * is told the number that they say.
 */
function routedLeg(
  call: CallRecord,
  leg: LegRecord,
  rules: PassingRules,
  answers: readonly DialAnswer[] = [],
): PresentedLeg & { readonly fromHost?: string } {
  const step = call.flow[call.step];
  const connect = step?.action === 'connect' ? step : undefined;
  const target = targetOf(call, leg);
  const said = [...answers, ...(connect === undefined ? [] : [connect])];
  const number = said.map(one => one.callerNumber).find(value => value !== undefined);
  const name = said.map(one => one.callerName).find(value => value !== undefined);
  const { trunk } = target ?? {};
  const wishes = trunk === undefined ? undefined : rules.callersOf?.(trunk);
  const ruled = wishes === undefined ? { caller: call, number } : callerFor(call, wishes, number);
  const presented = presentCaller(ruled.caller, {
    trusted: trunk !== undefined && rules.trusts(trunk),
    domain: rules.domain,
    ...(ruled.number === undefined ? {} : { number: ruled.number }),
    ...(name === undefined ? {} : { name }),
  });
  const shown = wishes === undefined ? presented : presentedTo(presented, wishes, rules.domain);
  return {
    callerNumber: shown.number,
    callerName: shown.name,
    ...(shown.fromHost === undefined ? {} : { fromHost: shown.fromHost }),
    fields: changedFields(passedFields(shown.headers), [
      ...answers.map(({ headers }) => headers),
      target?.headers,
      connect?.headers,
    ]),
  };
}
