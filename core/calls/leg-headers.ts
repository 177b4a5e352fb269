// The headers of an outgoing leg's INVITE: what is passed on from the caller, changed as plugins said.
import { z } from 'zod';
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

/** A header that plugins may set and remove, for schemas: of configs, and of answers to hooks. */
export const headerName: z.ZodType<string, string> = z.string().check(({ value, issues }) => {
  const wrong = wrongHeaderName(value);
  if (wrong !== undefined) issues.push({ code: 'custom', message: wrong, input: value });
});

/** One header field as it is written. */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
}

/** What is passed on, as fields: `p-asserted-identity` is written `P-Asserted-Identity`, as everybody does. */
export function passedFields(headers: SipHeaders): readonly HeaderField[] {
  return Object.entries(headers).flatMap(([key, values]) => {
    const name = key.replace(/(^|-)[a-z]/g, letter => letter.toUpperCase());
    return values.map(value => ({ name, value }));
  });
}

/** Pure. Of `changes` an earlier one goes before a later one. Names are equal whatever their case (RFC 3261 §7.3.1). */
export function changedFields(
  fields: readonly HeaderField[],
  changes: readonly (HeaderChanges | undefined)[],
): readonly HeaderField[] {
  let changed = fields;
  for (const { set = {}, remove = [] } of changes.filter(change => change !== undefined).reverse()) {
    const gone = new Set([...remove, ...Object.keys(set)].map(name => name.toLowerCase()));
    const added = Object.entries(set).map(([name, value]) => ({ name, value }));
    changed = [...changed.filter(({ name }) => !gone.has(name.toLowerCase())), ...added];
  }
  return changed;
}

/** By lower-case name, as plugins see them. */
export function headersOf(fields: readonly HeaderField[]): SipHeaders {
  const headers: Record<string, string[]> = {};
  for (const { name, value } of fields) (headers[name.toLowerCase()] ??= []).push(value);
  return headers;
}

/** Channel variables that have Asterisk send these fields. The number, which `add` ignores, keeps equal names apart. */
export function headerVariables(fields: readonly HeaderField[]): Record<string, string> {
  return Object.fromEntries(fields.map(({ name, value }, i) => [`PJSIP_HEADER(add,${name},${i + 1})`, value]));
}
