// Offers, answers and target refreshes of one dialog: what is in force once a transaction has its outcome. Pure.
import type { SipMessage } from '../trace/sip-scanner.js';
import type { Exchange, LedgerEntry, Stamp } from './ledger-entry.js';
import { copyOf, laterOrigin, sdpOf, type SdpSeen } from './sdp-facts.js';

/** Unfinished transactions kept of one dialog. */
const mostExchanges = 8;
/** Clocks of two Kamailios that are further apart than this tell nothing about order. */
const clockTrustMs = 5000;

export interface ExchangeKey extends Stamp {
  readonly method: string;
}

/** The transaction of an INVITE or UPDATE; undefined where it was over before. */
export function exchangeOf(entry: LedgerEntry, key: ExchangeKey): Exchange | undefined {
  const { byUs, cseq, method, atMs } = key;
  const known = entry.exchanges.find(one => one.byUs === byUs && one.cseq === cseq);
  if (known) return known.method === method ? known : undefined;
  const space = byUs ? entry.ours : entry.theirs;
  if (cseq <= (byUs ? entry.doneByUs : entry.doneByThem) && !space.missing.includes(cseq)) return undefined;
  if (entry.exchanges.length >= mostExchanges) {
    entry.exchanges.shift();
    for (const hole of ['lost', 'localSdp', 'remoteSdp'] as const) entry.holes.add(hole);
  }
  const none = { offer: null, earlyAnswer: null, status: undefined, answer: null, isAcked: false, ackAnswer: null };
  const exchange = { byUs, method: copyOf(method), cseq, atMs, isRequestSeen: false, ...none };
  entry.exchanges.push(exchange);
  return exchange;
}

export function takeOffer(entry: LedgerEntry, exchange: Exchange, sip: SipMessage): void {
  if (exchange.isRequestSeen) return;
  exchange.isRequestSeen = true;
  exchange.offer = sdpOf(sip);
  if (exchange.byUs) noteOrigin(entry, exchange.offer);
  settle(entry, exchange);
}

export function takeResponse(entry: LedgerEntry, exchange: Exchange, sip: SipMessage, atMs: number): void {
  const status = sip.status ?? 0;
  if (exchange.status !== undefined) return;
  const sdp = sdpOf(sip);
  if (!exchange.byUs) noteOrigin(entry, sdp);
  if (status < 200) {
    exchange.earlyAnswer = sdp ?? exchange.earlyAnswer;
    return;
  }
  if (status < 300) entry.session = sessionOf(sip, exchange.byUs);
  exchange.status = status;
  exchange.answer = sdp;
  exchange.atMs = atMs;
  settle(entry, exchange);
}

/** The session timer that a 2xx agrees on (RFC 4028 §4); `uac` is whoever sent the request. */
function sessionOf({ sessionExpires = '' }: SipMessage, requestByUs: boolean): LedgerEntry['session'] {
  const [, seconds, refresher = 'uac'] = /^(\d{1,9})\s*(?:;.*\brefresher\s*=\s*(ua[cs]))?/i.exec(sessionExpires) ?? [];
  if (seconds === undefined) return null;
  const isRequester = refresher.toLowerCase() === 'uac';
  return { seconds: Number(seconds), refresher: isRequester === requestByUs ? 'local' : 'remote' };
}

export function takeAck(entry: LedgerEntry, exchange: Exchange, sip: SipMessage, atMs: number): void {
  if (exchange.isAcked) return;
  exchange.isAcked = true;
  exchange.ackAnswer = sdpOf(sip);
  if (exchange.byUs) noteOrigin(entry, exchange.ackAnswer);
  exchange.atMs = atMs;
  settle(entry, exchange);
}

/** The offer or answer in a PRACK (RFC 3262 §5) is not followed: what is in force is not known until the next one. */
export function takePrack(entry: LedgerEntry, stamp: Stamp, sip: SipMessage): void {
  const sdp = sdpOf(sip);
  if (sdp === null) return;
  if (stamp.byUs) noteOrigin(entry, sdp);
  entry.sdpStamp = stampOf(stamp);
  entry.holes.add('localSdp').add('remoteSdp');
}

/** RFC 3261 §12.2: the Contact of a target refresh, unless a newer one was seen before. */
export function refreshTarget(entry: LedgerEntry, sip: SipMessage, stamp: Stamp): void {
  const uri = sip.contacts[0]?.uri;
  if (uri === undefined || uri === '' || uri === '*' || isOlder(stamp, entry.targetStamp)) return;
  if (uri !== entry.remoteTarget) entry.remoteTarget = copyOf(uri);
  entry.targetStamp = stampOf(stamp);
  entry.holes.delete('remoteTarget');
}

/** Applies the outcome, if all that it needs was seen. */
function settle(entry: LedgerEntry, exchange: Exchange): void {
  const { status, offer, answer } = exchange;
  if (status === undefined) return;
  const { missing } = exchange.byUs ? entry.ours : entry.theirs;
  if (!exchange.isRequestSeen && (status < 300 || missing.includes(exchange.cseq))) return;
  if (status >= 300 || (offer === null && answer === null)) {
    finish(entry, exchange);
    return;
  }
  if (offer === null) {
    if (exchange.isAcked) agree(entry, exchange, answer, exchange.ackAnswer, !exchange.byUs);
    return;
  }
  // The 2xx may leave out what a reliable provisional response said (RFC 3262 §5).
  agree(entry, exchange, offer, answer === null ? exchange.earlyAnswer : answer, exchange.byUs);
}

function agree(entry: LedgerEntry, exchange: Exchange, offer: SdpSeen, answer: SdpSeen, offeredByUs: boolean): void {
  finish(entry, exchange);
  const { byUs, cseq, atMs } = exchange;
  const isInitial = cseq === entry.initial.cseq && byUs === (entry.role === 'uac');
  // What was agreed on after an early answer stands, and the 2xx of the INVITE only repeats that answer.
  if (isInitial ? entry.sdpStamp !== undefined : isOlder(exchange, entry.sdpStamp)) return;
  const [local, remote] = offeredByUs ? [offer, answer] : [answer, offer];
  entry.sdpStamp = stampOf(exchange);
  if (local) {
    entry.localSdp = local;
    entry.holes.delete('localSdp');
  } else entry.holes.add('localSdp');
  if (remote) {
    entry.remoteSdp = remote;
    entry.holes.delete('remoteSdp');
  } else entry.holes.add('remoteSdp');
  if (!local || !remote) return;
  // Whatever else was still open is over, or there would have been no agreement (RFC 3261 §14, 491).
  for (const other of entry.exchanges) {
    if (other.byUs === byUs ? other.cseq < cseq : other.atMs <= atMs) finish(entry, other);
  }
}

function finish(entry: LedgerEntry, exchange: Exchange): void {
  entry.exchanges = entry.exchanges.filter(one => one !== exchange);
  if (exchange.byUs) entry.doneByUs = Math.max(entry.doneByUs, exchange.cseq);
  else entry.doneByThem = Math.max(entry.doneByThem, exchange.cseq);
}

/** Our version counter goes on from the highest version we ever sent, whether or not it came into force. */
export function noteOrigin(entry: LedgerEntry, sdp: SdpSeen): void {
  if (sdp) entry.localOrigin = laterOrigin(entry.localOrigin, sdp.origin);
}

/** Nothing else of it: what came with it is a whole message. */
function stampOf({ byUs, cseq, atMs }: Stamp): Stamp {
  return { byUs, cseq, atMs };
}

function isOlder(one: Stamp, than: Stamp | undefined): boolean {
  if (!than) return false;
  if (one.byUs === than.byUs) return one.cseq < than.cseq;
  return one.atMs < than.atMs && than.atMs - one.atMs < clockTrustMs;
}
