// What a recovery must know of an SDP body: its origin, and the direction of its first audio stream. Pure.
import type { SipMessage } from '../trace/sip-scanner.js';
import type { Dialog } from './dialog.js';

export type SdpFacts = NonNullable<Dialog['localSdp']>;

/** Null: the message has no SDP; undefined: it has one that was not seen whole. */
export type SdpSeen = SdpFacts | null | undefined;

const directionLine = /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/m;
const versionField = 2;

/** The SDP of a message, also of one within a multipart body. */
export function sdpOf(sip: SipMessage): SdpSeen {
  const type = sip.contentType;
  if (type === undefined || !/^\s*(?:application\/sdp|multipart\/)/i.test(type)) return null;
  if (!sip.isBodyWhole) return undefined;
  return readSdp(sip.body.toString()) ?? (/^\s*multipart/i.test(type) ? null : undefined);
}

/** Reads an SDP, also one within a multipart body; undefined where there is no `o=` line. */
export function readSdp(body: string): SdpFacts | undefined {
  const origin = copyOf(/^o=([^\r\n]*)/m.exec(body)?.[1]?.trim() ?? '');
  if (origin === '') return undefined;
  const [session = '', ...media] = body.split(/^m=/m);
  const audio = media.find(section => section.startsWith('audio ')) ?? '';
  // A stream with port 0 is refused (RFC 3264 §6).
  if (audio === '' || /^audio 0[ /]/.test(audio)) return { origin, direction: 'inactive' };
  // A stream's own attribute stands before the session's (RFC 4566 §6); without any, both ways.
  const direction = directionLine.exec(audio)?.[1] ?? directionLine.exec(session)?.[1] ?? 'sendrecv';
  return { origin, direction: directions[direction as SdpFacts['direction']] };
}

/** Our own strings: what is cut out of a body would keep the body in memory. */
const directions = {
  sendrecv: 'sendrecv',
  sendonly: 'sendonly',
  recvonly: 'recvonly',
  inactive: 'inactive',
} as const satisfies Record<SdpFacts['direction'], SdpFacts['direction']>;

/**
 * Of two `o=` values that one side sent, `known` first, the one to count on from (RFC 3264 §8: the version only grows):
 * of one session the one with the higher version, else the newer.
 */
export function laterOrigin(known: string | null, sent: string): string {
  if (known === null) return sent;
  const [a, b] = [known.split(' '), sent.split(' ')];
  if (a[0] !== b[0] || a[1] !== b[1]) return sent;
  return compareNumbers(a[versionField], b[versionField]) > 0 ? known : sent;
}

/** Of two numbers in decimal: they may have 20 digits. What is not a number is below all. */
function compareNumbers(a = '', b = ''): number {
  const [x, y] = [a, b].map(text => (/^\d{1,30}$/.test(text) ? BigInt(text) : -1n));
  return x === y || x === undefined || y === undefined ? 0 : x > y ? 1 : -1;
}

/** A piece cut out of a message's text would keep the whole text in memory. */
export function copyOf(text: string): string {
  return text === '' ? text : Buffer.from(text).toString();
}
