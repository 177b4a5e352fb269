// The voice of whoever speaks SIP over UDP: OPTIONS (RFC 3261 section 11), answered whatever the answer is.
import { ports } from '../farm/farm-plan.js';
import type { WordVoice } from '../ports/voices.js';

const everyMs = 140;

/** `suspectAfter` as in VoiceBase; `from` is the address that asks. */
export function sipVoice(name: string, from: string, address: string, suspectAfter: number): WordVoice {
  // One Call-ID for all: whoever keeps what was said by Call-ID keeps one dialogue, and not thousands.
  const question = [
    `OPTIONS sip:${address}:${ports.sip} SIP/2.0`,
    `Via: SIP/2.0/UDP ${from};branch=z9hG4bK{id};rport`,
    `From: <sip:holdfast@${from}>;tag={id}`,
    `To: <sip:${address}:${ports.sip}>`,
    `Call-ID: sentinel-${address}`,
    'CSeq: 1 OPTIONS',
    `Contact: <sip:holdfast@${from}>`,
    'Max-Forwards: 5',
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
  return { name, via: 'udp', address, port: ports.sip, everyMs, suspectAfter, question };
}
