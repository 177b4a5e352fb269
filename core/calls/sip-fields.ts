// Header fields as our Asterisk keeps them in a channel variable and takes them from one (patches/0006). Pure.
import type { SipHeaders } from './call-facts.js';
import type { HeaderField } from './leg-headers.js';

/** Compact forms that pjsip leaves as they are (RFC 3261 §20 and the registry of SIP parameters). */
const compact: Readonly<Record<string, string>> = {
  a: 'accept-contact',
  b: 'referred-by',
  d: 'request-disposition',
  f: 'from',
  j: 'reject-contact',
  m: 'contact',
  n: 'identity-info',
  r: 'refer-to',
  s: 'subject',
  y: 'identity',
};

/** Longest value read; the Asterisk's own limit is 4,096 octets. */
const longest = 65_536;

/** Empty for what is not there, as it is from an Asterisk without the module. */
export function readFields(encoded: string | undefined): SipHeaders {
  const fields = new Map<string, string[]>();
  for (const line of decode((encoded ?? '').slice(0, longest)).split('\n')) {
    const colon = line.indexOf(':');
    if (colon < 1) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    const key = compact[name] ?? name;
    const values = fields.get(key);
    const value = line.slice(colon + 1).trim();
    if (values) values.push(value);
    else fields.set(key, [value]);
  }
  return Object.fromEntries(fields);
}

/** The value of `PJSIP_SEND_END`. */
export function writeFields(fields: readonly HeaderField[]): string {
  return encodeURIComponent(fields.map(({ name, value }) => `${name}: ${value.replace(/[\r\n\0]+/g, ' ')}`).join('\n'));
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** SIP is UTF-8 (RFC 3261 §7); a phone that writes Latin-1 is understood, and what we send on is UTF-8. */
function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return decodeOctets(encoded);
  }
}

function decodeOctets(encoded: string): string {
  const octets = Buffer.from(
    encoded.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    'latin1',
  );
  try {
    return utf8.decode(octets);
  } catch {
    return octets.toString('latin1');
  }
}
