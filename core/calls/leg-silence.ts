// Why an Asterisk has given up a leg whose far end had not hung up. Pure.
import type { LegRecord } from './call-record.js';
import type { HeaderField } from './leg-headers.js';

/** A 2xx waits 64*T1 for its ACK (RFC 3261 §13.3.1.4). */
const ackMs = 32_000;
/** The shortest session, 90 s, is given up 30 s before its end (RFC 4028 §5, §10). */
const shortestSessionMs = 60_000;

/** The reason for the call record, and for the other legs. */
export function silence(
  leg: LegRecord,
  nowMs: number,
): { readonly reason: string; readonly headers: readonly HeaderField[] } {
  const upMs = nowMs - (leg.times.answeredMs ?? nowMs);
  const isUnacknowledged = leg.direction === 'inbound' && upMs < (ackMs + shortestSessionMs) / 2;
  const who = leg.direction === 'inbound' ? 'caller' : 'callee';
  const reason = isUnacknowledged
    ? `the ${who} never acknowledged the answer`
    : `the ${who} has fallen silent: its session was not refreshed`;
  const text = isUnacknowledged ? 'No ACK' : 'Session expired';
  return { reason, headers: [{ name: 'Reason', value: `SIP;cause=408;text="${text}"` }] };
}
