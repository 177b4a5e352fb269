// Which header fields of one leg are passed to the other: the configured ones, and of a trunk that is trusted also who diverted. Pure.
import type { SipHeaders } from './call-facts.js';
import type { HeaderField } from './leg-headers.js';
import type { TrunkCaller } from './trunk-caller.js';

/** What config says of passing; asked for each call, so that a reload counts for the next one. */
export interface PassingRules {
  /** Names as the config spells them. */
  readonly headers: readonly string[];
  /** Host part of the identities that we assert. */
  readonly domain: string;
  /** True for a trunk of the trust domain (RFC 3325 §3): its assertions are believed, and ours are sent to it. */
  trusts(trunk: string): boolean;
  /** How numbers and callers are written to and by it; undefined: as they are. */
  callersOf?(trunk: string): TrunkCaller | undefined;
}

export const defaultPassHeaders = ['Diversion', 'History-Info', 'User-to-User', 'Alert-Info', 'Subject'] as const;

/** Of whom a call came, in words of the sender's own: believed from a trusted trunk only. */
const identities: ReadonlySet<string> = new Set(['diversion', 'history-info', 'remote-party-id', 'referred-by']);

/** Of an INVITE: what plugins see and a leg gets. */
export function passedHeaders(fields: SipHeaders, { headers }: PassingRules, trusted: boolean): SipHeaders {
  const names = headers.map(name => name.toLowerCase()).filter(name => trusted || !identities.has(name));
  return Object.fromEntries(names.flatMap(name => (fields[name] ? [[name, fields[name]]] : [])));
}

/** Of the message that ended a leg: also why (RFC 3326), whoever says it. */
export function endHeaders(fields: SipHeaders, { headers }: PassingRules): readonly HeaderField[] {
  const names = ['Reason', ...headers.filter(name => !identities.has(name.toLowerCase()))];
  return names.flatMap(name => (fields[name.toLowerCase()] ?? []).map(value => ({ name, value })));
}
