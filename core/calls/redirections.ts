// Redirections (3xx): where a target says the call is to go, and how that changes what is rung next. Pure.
import { parseNameAddr, splitOutside } from '../trace/sip-header.js';
import type { ConnectStep, ConnectTarget, SipHeaders } from './call-facts.js';
import type { CallRecord, LegRecord } from './call-record.js';

/** A call that is sent on more often than this is sent in a circle. */
const mostRedirections = 5;
/** Of one 3xx. */
const mostContacts = 10;

export function isRedirection(status: number): boolean {
  return status >= 300 && status < 400;
}

/** The SIP URIs of a redirection, best first (RFC 3261 §8.1.3.4: by q, which is 1 where there is none). */
export function contactsOf(fields: SipHeaders): readonly string[] {
  return (fields['contact'] ?? [])
    .flatMap(value => splitOutside(value, ','))
    .map(parseNameAddr)
    .filter(({ uri }) => /^sips?:/i.test(uri))
    .map(({ uri, parameters }) => ({ uri, q: Number(parameters.get('q') ?? 1) }))
    .sort((a, b) => (Number.isNaN(a.q) ? 0 : b.q) - (Number.isNaN(b.q) ? 0 : a.q))
    .slice(0, mostContacts)
    .map(({ uri }) => uri);
}

/** How often this call has been sent on. */
export function redirections(call: CallRecord): number {
  return call.legs.filter(leg => leg.sipStatus !== null && isRedirection(leg.sipStatus)).length;
}

/** True where somebody is to be asked what becomes of the call: it may go on, and the target named somebody. */
export function mayFollow(call: CallRecord, contacts: readonly string[]): boolean {
  return contacts.length > 0 && redirections(call) <= mostRedirections;
}

/**
 * The call with new targets behind the one that named them, and their places in the step; none of them where all were tried before.
 * Targets are counted by their place, so the legs of those behind move with them.
 */
export function withRedirected(
  call: CallRecord,
  leg: LegRecord,
  named: readonly ConnectTarget[],
): { readonly call: CallRecord; readonly indexes: readonly number[] } {
  const step = call.flow[leg.step];
  if (step?.action !== 'connect' || leg.targetIndex === null) return { call, indexes: [] };
  const known = new Set(step.targets.map(target => target.uri));
  const fresh = named.filter(({ uri }, i) => !known.has(uri) && named.findIndex(one => one.uri === uri) === i);
  const at = leg.targetIndex + 1;
  const targets = [...step.targets.slice(0, at), ...fresh, ...step.targets.slice(at)];
  const moved: ConnectStep = { ...step, targets };
  return {
    call: {
      ...call,
      flow: call.flow.map((one, i) => (i === leg.step ? moved : one)),
      legs: call.legs.map(one =>
        one.step === leg.step && one.targetIndex !== null && one.targetIndex >= at
          ? { ...one, targetIndex: one.targetIndex + fresh.length }
          : one,
      ),
    },
    indexes: fresh.map((_, i) => at + i),
  };
}
