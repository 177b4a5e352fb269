// Reads SIPp's message log (`-trace_msg`) as the ladder of its calls.
import { SipLadder } from './sip-ladder.js';
import { SipMessage, type HostPort } from './sip-message.js';

const head = /^-{20,} \S+ (\d+):(\d+):(\d+\.\d+)\s+UDP message (sent|received)[^\n]*\n/m;

/** `peer`: who SIPp was talking to, which its log does not tell. */
export function readMessages(log: string, peer: HostPort): SipLadder {
  const entries = log.split(/^(?=-{20,} )/m).flatMap(text => {
    const found = head.exec(text);
    const message = found ? SipMessage.parse(text.slice(found.index + found[0].length).trimStart()) : undefined;
    if (!found || !message) return [];
    const [, hours, minutes, seconds, direction] = found;
    const atMs = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
    return [{ atMs, direction: direction as 'sent' | 'received', message }];
  });
  const ladder = new SipLadder(entries[0]?.atMs ?? 0);
  for (const { direction, message, atMs } of entries) ladder.add(direction, peer, message, atMs);
  return ladder;
}
