// Who calls, as the caller shows itself and as a trunk asserts it, and how that is presented to a callee (RFC 3323, RFC 3325). Pure.
import { parseNameAddr, splitOutside } from '../trace/sip-header.js';
import { sipUri } from './sip-uri.js';
import type { CallSource, SipHeaders } from './call-facts.js';

/** What the INVITE says of its sender. */
export interface CallerIdentity {
  readonly callerNumber: string;
  readonly callerName: string;
  /** As the From has it, where somebody else is asserted. */
  readonly presented: { readonly number: string; readonly name: string } | null;
  /** Values of P-Asserted-Identity, of a trusted trunk. */
  readonly asserted: readonly string[];
  /** Values of Privacy in lower case: `id`, `user`, `header`, `history`, `none`, … */
  readonly privacy: readonly string[];
}

/** How a leg shows the caller. */
export interface Presentation {
  readonly number: string;
  readonly name: string;
  /** Host part of the From where it is not our domain. */
  readonly fromHost?: string;
  /** What is passed on, by lower-case name. */
  readonly headers: SipHeaders;
}

export function readIdentity(
  fields: SipHeaders,
  source: CallSource,
  from: { readonly number: string; readonly name: string },
  trusted: boolean,
): CallerIdentity {
  const shown = fields['from']?.[0] === undefined ? from : party(fields['from'][0]);
  const privacy = (fields['privacy'] ?? []).flatMap(value => value.toLowerCase().split(/[;,\s]+/)).filter(Boolean);
  const asserted =
    source.kind === 'trunk' && trusted
      ? (fields['p-asserted-identity'] ?? []).flatMap(value => splitOutside(value, ','))
      : [];
  const identity = asserted.map(party).find(({ number }) => number !== '');
  if (identity === undefined) {
    return { callerNumber: shown.number, callerName: shown.name, presented: null, asserted: [], privacy };
  }
  const callerName = identity.name === '' ? shown.name : identity.name;
  return { callerNumber: identity.number, callerName, presented: shown, asserted, privacy };
}

/** RFC 3323 §4.2: each asks that the caller is not shown. */
const hiding: ReadonlySet<string> = new Set(['id', 'user', 'header', 'session']);
const unknown = { number: 'anonymous', name: 'Anonymous', fromHost: 'anonymous.invalid' } as const;

/** RFC 7044 §10.1 and RFC 3323 §4.2: by which way the call came. */
const hidingHistory: ReadonlySet<string> = new Set(['history', 'header']);
const history: ReadonlySet<string> = new Set(['history-info', 'diversion']);

/**
 * `number` and `name` are what the route, or a plugin, presents instead of the caller's own. A trusted trunk gets the identity and the wish for privacy;
 * anybody else only what the caller shows, and nothing where it wants to be hidden.
 */
export function presentCaller(
  caller: CallerIdentity & { readonly headers: SipHeaders },
  to: { readonly trusted: boolean; readonly domain: string; readonly number?: string; readonly name?: string },
): Presentation {
  const isHidden = caller.privacy.some(wish => hiding.has(wish));
  const own = { number: to.number ?? caller.callerNumber, name: to.name ?? caller.callerName };
  const base = to.number === undefined ? (caller.presented ?? own) : own;
  const shown = isHidden ? unknown : { number: base.number, name: to.name ?? base.name };
  if (!to.trusted) {
    const hidesHistory = caller.privacy.some(wish => hidingHistory.has(wish));
    const kept = Object.entries(caller.headers).filter(([name]) => !hidesHistory || !history.has(name));
    return { ...shown, headers: Object.fromEntries(kept) };
  }
  const passed = to.number === undefined ? caller.asserted : [];
  const made = own.number === '' || own.number === unknown.number ? [] : [nameAddr(own, to.domain)];
  const asserted = passed.length > 0 ? passed : made;
  return {
    ...shown,
    headers: {
      ...caller.headers,
      ...(asserted.length === 0 ? {} : { 'p-asserted-identity': asserted }),
      ...(caller.privacy.length === 0 ? {} : { privacy: [caller.privacy.join(';')] }),
    },
  };
}

/** The number of a `sip:` or `tel:` URI, without parameters; empty for a URI of any other kind. */
function party(value: string): { readonly number: string; readonly name: string } {
  const { uri, displayName } = parseNameAddr(value);
  const user = /^sips?:([^@]+)@/i.exec(uri)?.[1] ?? /^tel:(.+)$/i.exec(uri)?.[1] ?? '';
  return { number: unescape(user.split(/[;:]/)[0] ?? ''), name: displayName };
}

function unescape(user: string): string {
  try {
    return decodeURIComponent(user);
  } catch {
    return user;
  }
}

function nameAddr({ number, name }: { readonly number: string; readonly name: string }, domain: string): string {
  const quoted = name === '' ? '' : `"${name.replace(/[\\"]/g, '\\$&').replace(/\p{Cc}/gu, ' ')}" `;
  return `${quoted}<${sipUri(number, domain)}>`;
}
