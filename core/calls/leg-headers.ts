// The headers of an outgoing leg's INVITE: what is passed on from the caller, changed as plugins said.
import type { HeaderChanges, SipHeaders } from './call-facts.js';

/** By these SIP itself works, or the farm does: another value would break the call, or tell a lie to the edge. */
const ownHeaders: ReadonlySet<string> = new Set([
  ...[
    'from',
    'to',
    'via',
    'call-id',
    'cseq',
    'contact',
    'max-forwards',
    'route',
    'record-route',
    'path',
    'service-route',
  ],
  ...['content-type', 'content-length', 'content-encoding', 'content-disposition', 'mime-version', 'timestamp', 'date'],
  ...['require', 'proxy-require', 'supported', 'unsupported', 'allow', 'allow-events', 'accept', 'event', 'expires'],
  ...['session-expires', 'min-se', 'min-expires', 'rack', 'rseq', 'replaces', 'refer-to', 'join', 'th'],
  ...['authorization', 'proxy-authorization', 'www-authenticate', 'proxy-authenticate', 'server', 'user-agent'],
]);

/** A token of RFC 3261 §25.1, as every header name is. */
const token = /^[\w.!%*+`'~-]+$/;

/** Why plugins cannot change a header of this name, in words; undefined where they can. */
export function wrongHeaderName(name: string): string | undefined {
  if (!token.test(name)) return `"${name}" is no header name`;
  // Compact forms (RFC 3261 §7.3.3) are other names of headers in the list above, or might be.
  if (name.length === 1) return `"${name}" is a compact form: write the header's full name`;
  const lower = name.toLowerCase();
  if (ownHeaders.has(lower) || lower.startsWith('x-holdfast-'))
    return `${name} is Holdfast's own and cannot be changed`;
  return undefined;
}

/**
 * Pure. `passed` is what the caller's INVITE had and is passed on; of `changes` an earlier one goes before a later one. Names of
 * headers are equal whatever their case (RFC 3261 §7.3.1).
 */
export function legHeaders(
  passed: SipHeaders,
  changes: readonly HeaderChanges[],
): readonly (readonly [string, string])[] {
  const headers = new Map(
    Object.entries(passed).map(([name, values]) => [name.toLowerCase(), values.map(value => [name, value] as const)]),
  );
  for (const { set = {}, remove = [] } of [...changes].reverse()) {
    for (const name of remove) headers.delete(name.toLowerCase());
    for (const [name, value] of Object.entries(set)) headers.set(name.toLowerCase(), [[name, value]]);
  }
  return [...headers.values()].flat();
}

/** Channel variables that have Asterisk send these headers. The number, which `add` ignores, keeps equal names apart. */
export function headerVariables(headers: readonly (readonly [string, string])[]): Record<string, string> {
  return Object.fromEntries(headers.map(([name, value], i) => [`PJSIP_HEADER(add,${name},${i + 1})`, value]));
}
