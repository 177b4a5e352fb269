// What a recovery must know of an SDP body: its origin, and the direction of its first audio stream. Pure.
import type { Dialog } from './dialog.js';

export type SdpFacts = NonNullable<Dialog['localSdp']>;

const directionLine = /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/m;

/** Reads an SDP, also one within a multipart body; undefined where there is no `o=` line. */
export function readSdp(body: string): SdpFacts | undefined {
  const origin = /^o=([^\r\n]*)/m.exec(body)?.[1]?.trim();
  if (origin === undefined || origin === '') return undefined;
  const [session = '', ...media] = body.split(/^m=/m);
  const audio = media.find(section => section.startsWith('audio ')) ?? '';
  // A stream's own attribute stands before the session's (RFC 4566 §6); without any, both ways.
  const direction = directionLine.exec(audio)?.[1] ?? directionLine.exec(session)?.[1] ?? 'sendrecv';
  return { origin, direction: direction as SdpFacts['direction'] };
}

/** `origin` with the higher of its version and `atLeast` (RFC 3264 §8: versions only grow). */
export function withVersion(origin: string, atLeast: bigint | undefined): string {
  const own = versionOf(origin);
  if (own === undefined || atLeast === undefined || atLeast <= own) return origin;
  return origin.split(' ').with(2, atLeast.toString()).join(' ');
}

/** Version of an `o=` value; undefined where it is not a number. */
export function versionOf(origin: string): bigint | undefined {
  const version = origin.split(' ')[2] ?? '';
  return /^\d{1,20}$/.test(version) ? BigInt(version) : undefined;
}
