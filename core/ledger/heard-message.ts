// One SIP message as the ledger looks at it: whose transaction it belongs to, and which tag is ours. Pure.
import type { SipMessage } from '../trace/sip-scanner.js';
import type { Stamp } from './ledger-entry.js';

/** Between which of our nodes a message passed: one of the two is an Asterisk, or the ledger has little use for it. */
export interface Passage {
  /** Name of the Asterisk that sent it. */
  readonly fromNode: string | undefined;
  /** Name of the Asterisk that it was sent to. */
  readonly toNode: string | undefined;
  /** ms since 1970. */
  readonly atMs: number;
}

/** `byUs`: our side sent the request; of a response, the request that it answers. */
export interface HeardMessage extends Stamp {
  readonly sip: SipMessage;
  readonly method: string;
  readonly node: string;
  readonly fromTag: string;
  readonly toTag: string | undefined;
  readonly localTag: string | undefined;
  readonly remoteTag: string | undefined;
}

/** Longest Call-ID and tag that are believed. */
const longest = { callId: 4096, tag: 512 };

/** Undefined where what the ledger needs of every message is not there, or is not possible. */
export function hear(sip: SipMessage, node: string, passage: Passage): HeardMessage | undefined {
  const { cseq, callId, method } = sip;
  const fromTag = sip.from?.parameters.get('tag');
  const toTag = sip.to?.parameters.get('tag');
  if (cseq === undefined || !fromTag || !sip.to || callId.length > longest.callId || toTag === '') return undefined;
  if (fromTag.length > longest.tag || (toTag?.length ?? 0) > longest.tag) return undefined;
  // No server transaction takes such a request (RFC 3261 §8.1.1.5).
  if (sip.cseqMethod !== method) return undefined;
  const sentByUs = passage.fromNode !== undefined;
  const byUs = (sip.kind === 'request') === sentByUs;
  const [localTag, remoteTag] = byUs ? [fromTag, toTag] : [toTag, fromTag];
  return { sip, node, method, fromTag, toTag, localTag, remoteTag, byUs, cseq, atMs: passage.atMs };
}
