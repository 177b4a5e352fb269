// Reads what the dialplan hands over with an inbound INVITE: the arguments of StasisStart.
import type { AriChannel } from '../ports/asterisk.js';
import type { CallSource, IncomingCall } from './call-facts.js';
import { readIdentity, type CallerIdentity } from './caller-identity.js';
import { passedHeaders, type PassingRules } from './passed-headers.js';
import { readFields } from './sip-fields.js';
import { callerFrom } from './trunk-caller.js';
import { readNumber } from '../numbers/phone-number.js';

/** Everything of an incoming call but our own id. */
export type InviteFacts = Omit<IncomingCall, 'id'> & CallerIdentity;

/** The parts of an `inbound` StasisStart's one argument, URI-encoded: see `readInvite`. */
export function inviteParts(args: readonly string[]): readonly string[] {
  return (args[1] ?? '').split('&');
}

/**
 * `args`: `inbound`, and between `&`s: SIP Call-ID, source as the edge named it (`trunk:NAME` or `subscriber:NAME`), the user
 * part of the Request-URI, and the INVITE's header fields. Undefined where one of the first three is missing: then the INVITE
 * did not come through the edge.
 */
export function readInvite(args: readonly string[], channel: AriChannel, rules: PassingRules): InviteFacts | undefined {
  const parts = inviteParts(args);
  const [sipCallId = '', sourceName = '', dialled = ''] = parts.slice(0, 3).map(decode);
  const source = readSource(sourceName);
  if (sipCallId === '' || dialled === '' || !source) return undefined;
  const fields = readFields(parts[3]);
  const trusted = source.kind === 'trunk' && rules.trusts(source.trunk);
  const numbers = source.kind === 'trunk' ? rules.callersOf?.(source.trunk)?.numbers : undefined;
  const identity = readIdentity(fields, source, channel.caller, trusted);
  return {
    sipCallId,
    source,
    dialled: numbers === undefined || numbers.format === 'as-is' ? dialled : (readNumber(dialled, numbers) ?? dialled),
    ...(numbers === undefined ? identity : callerFrom(identity, numbers)),
    headers: passedHeaders(fields, rules, trusted),
  };
}

function readSource(text: string): CallSource | undefined {
  const [kind, name = ''] = text.split(':', 2);
  if (name === '') return undefined;
  if (kind === 'trunk') return { kind, trunk: name };
  if (kind === 'subscriber') return { kind, subscriber: name };
  return undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}
