// The one id of a call: sortable by time, safe in SIP headers, file names and channel ids.
import { randomBytes } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** 9 characters of time (ms) and 8 of chance (40 bits), Crockford's base 32 in lower case. */
export function newCallId(nowMs = Date.now()): string {
  let time = '';
  for (let rest = nowMs, i = 0; i < 9; i++, rest = Math.floor(rest / 32)) time = (alphabet[rest % 32] ?? '0') + time;
  return time + [...randomBytes(8)].map(byte => alphabet[byte % 32] ?? '0').join('');
}
