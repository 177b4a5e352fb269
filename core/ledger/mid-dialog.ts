// Requests within dialogs and their responses: sequence numbers, target refreshes, moves to another node, ends. Pure.
import type { SipMessage } from '../trace/sip-scanner.js';
import { cseqSpace, noteRequest, noteTrace } from './cseq-space.js';
import { copiesOf, type EntryStore } from './entry-store.js';
import type { HeardMessage } from './heard-message.js';
import type { InitialTransactions } from './initial-transactions.js';
import { ledgerEntry, setParty, type LedgerEntry } from './ledger-entry.js';
import { exchangeOf, refreshTarget, takeAck, takeOffer, takePrack, takeResponse } from './sdp-exchange.js';
import { copyOf } from './sdp-facts.js';

/** Requests with an offer, and requests whose Contact is the new remote target (also pjsip's list). */
const offering: ReadonlySet<string> = new Set(['INVITE', 'UPDATE']);
const refreshing: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'REFER', 'SUBSCRIBE']);
/** Nothing can be learnt of a dialog from these alone. */
const untelling: ReadonlySet<string> = new Set(['BYE', 'PRACK']);
/** Outcomes that end a dialog (RFC 3261 §12.2.1.2). */
const endingStatus: ReadonlySet<number> = new Set([408, 481]);

/** More sequence numbers than this between two INVITEs: the second is one of a recovery. */
const leap = 1000;

export class MidDialog {
  readonly #store: EntryStore;
  readonly #initial: InitialTransactions;
  readonly #now: () => number;

  constructor(store: EntryStore, initial: InitialTransactions, now: () => number) {
    this.#store = store;
    this.#initial = initial;
    this.#now = now;
  }

  /** A message with both tags that is not a response to an INVITE known to make a dialog. */
  take(heard: HeardMessage): void {
    const entry = this.#find(heard) ?? this.#adopt(heard);
    if (!entry) return;
    const { sip, method } = heard;
    if (sip.kind === 'response' && method === 'BYE' && isSuccess(sip)) {
      // Whichever node it concerns: the far end has ended the dialog.
      this.#store.end(entry, this.#now());
      return;
    }
    if (method === 'INVITE' && sip.kind === 'request' && entry.state === 'early') this.#mustBeConfirmed(entry);
    if ((entry.node !== heard.node || isLeap(entry, heard)) && !movesTo(entry, heard)) return;
    if (method === 'ACK') this.#acknowledge(entry, heard);
    else if (sip.kind === 'request') this.#request(entry, heard);
    else this.#response(entry, heard);
  }

  /** A BYE that a Kamailio answers itself, for a dead node, ends the dialog as well. */
  answeredByEdge(sip: SipMessage): void {
    if (sip.kind !== 'response' || sip.method !== 'BYE' || !isSuccess(sip)) return;
    const [fromTag, toTag] = [sip.from?.parameters.get('tag'), sip.to?.parameters.get('tag')];
    const entry = this.#store.of(sip.callId).find(({ local, remote }) => {
      return (local.tag === toTag && remote.tag === fromTag) || (local.tag === fromTag && remote.tag === toTag);
    });
    if (entry && fromTag !== undefined && toTag !== undefined) this.#store.end(entry, this.#now());
  }

  #find({ sip, localTag = '', remoteTag = '' }: HeardMessage): LedgerEntry | undefined {
    const entries = this.#store.of(sip.callId);
    const whole = entries.find(({ local, remote }) => local.tag === localTag && remote.tag === remoteTag);
    if (whole) return whole;
    // The first response with the other side's tag was not seen yet.
    const half = entries.find(({ role, local, remote }) =>
      role === 'uac' ? remote.tag === null && local.tag === localTag : local.tag === null && remote.tag === remoteTag,
    );
    if (half) Object.assign(half.role === 'uac' ? half.remote : half.local, tagged(half, localTag, remoteTag));
    return half;
  }

  #request(entry: LedgerEntry, heard: HeardMessage): void {
    const { sip, byUs, cseq, method, atMs } = heard;
    const exchange = offering.has(method) ? exchangeOf(entry, heard) : undefined;
    const seen = noteRequest(byUs ? entry.ours : entry.theirs, cseq);
    if (entry.isAdopted && !entry.initial.isSeen && !untelling.has(method)) entry.state = 'confirmed';
    if (byUs) learnWay(entry, sip);
    else if (refreshing.has(method) && seen !== 'old') refreshTarget(entry, sip, heard);
    if (exchange) takeOffer(entry, exchange, sip);
    if (method === 'PRACK') takePrack(entry, heard, sip);
    if (method === 'BYE') entry.byeMs ??= atMs;
    if (seen !== 'old') this.#store.touch(entry, atMs);
  }

  #response(entry: LedgerEntry, heard: HeardMessage): void {
    const { sip, byUs, cseq, method, atMs } = heard;
    const status = sip.status ?? 0;
    noteTrace(byUs ? entry.ours : entry.theirs, cseq, refreshing.has(method));
    if (endingStatus.has(status) && (method === 'BYE' || (byUs && offering.has(method)))) {
      this.#store.end(entry, this.#now());
      return;
    }
    // Our Asterisk refuses a BYE that is older than what it has had.
    if (method === 'BYE' && status >= 300 && !byUs) entry.byeMs = undefined;
    if (!offering.has(method) || status <= 100) return;
    const exchange = exchangeOf(entry, heard);
    if (byUs && isSuccess(sip)) refreshTarget(entry, sip, heard);
    if (exchange) takeResponse(entry, exchange, sip, atMs);
    this.#store.touch(entry, atMs);
  }

  #acknowledge(entry: LedgerEntry, heard: HeardMessage): void {
    const { sip, byUs, cseq, atMs } = heard;
    const { initial } = entry;
    if (cseq === initial.cseq && byUs === (entry.role === 'uac') && !initial.isAcked) {
      if (entry.state === 'early' && this.#hasFailed(entry, heard)) return;
      this.#initial.acknowledged(entry);
    }
    noteTrace(byUs ? entry.ours : entry.theirs, cseq, true);
    const exchange = exchangeOf(entry, { ...heard, method: 'INVITE' });
    if (exchange) takeAck(entry, exchange, sip, atMs);
    this.#store.touch(entry, atMs);
  }

  /** Neither the 2xx nor its ACK was seen, but nobody sends a second INVITE before (RFC 3261 §14.1). */
  #mustBeConfirmed(entry: LedgerEntry): void {
    entry.holes.add('lost');
    this.#initial.confirm(entry);
    this.#initial.acknowledged(entry);
  }

  /** The final response was not seen, but the ACK tells which kind it was. True where the INVITE has failed. */
  #hasFailed(entry: LedgerEntry, { sip, byUs }: HeardMessage): boolean {
    const branch = sip.vias.at(-1)?.branch;
    if (!branch || !entry.initial.branch) return false;
    if (branch === entry.initial.branch) {
      this.#initial.failed(entry);
      return true;
    }
    if (byUs) learnWay(entry, sip);
    this.#initial.confirm(entry);
    return false;
  }

  /** A dialog that becomes known in mid-life: the daemon was not there, or copies were lost. */
  #adopt(heard: HeardMessage): LedgerEntry | undefined {
    const { sip, node, method, byUs, localTag = '', remoteTag = '', cseq, atMs } = heard;
    const isSameSide = (one: LedgerEntry): boolean => one.local.tag === localTag && one.node === node;
    // What our Asterisk has to say to a branch that answered too late is no dialog to keep.
    if (this.#store.isGone(sip.callId) || this.#store.of(sip.callId).some(isSameSide)) return undefined;
    const isAnswer = sip.kind === 'response';
    const status = sip.status ?? 0;
    if (untelling.has(method) || (isAnswer && (method !== 'INVITE' || status <= 100 || status >= 300)))
      return undefined;
    const entry = ledgerEntry(sip.callId, node, byUs ? 'uac' : 'uas', atMs);
    if (!this.#store.add(entry)) return undefined;
    entry.isAdopted = true;
    entry.adoptedBy = { byUs, cseq, atMs };
    const [local, remote] = byUs ? [sip.from, sip.to] : [sip.to, sip.from];
    setParty(entry.local, local, localTag);
    setParty(entry.remote, remote, remoteTag);
    if (!isAnswer && method !== 'ACK') {
      entry.state = 'confirmed';
      return entry;
    }
    // Of the INVITE that makes the dialog, as far as is known.
    entry.initial.cseq = cseq;
    if (!isAnswer) return entry;
    noteTrace(byUs ? entry.ours : entry.theirs, cseq, true);
    this.#initial.answer(entry, heard);
    return undefined;
  }
}

/**
 * Another node of ours carries the dialog on: it speaks with a number newer than all before. What the old one says is late.
 */
function movesTo(entry: LedgerEntry, { sip, byUs, method, cseq, node }: HeardMessage): boolean {
  if (!byUs || entry.state !== 'confirmed' || cseq <= (entry.ours.highest ?? -1)) return false;
  const isRecovery = method === 'INVITE' && sip.kind === 'request';
  // It began with an INVITE, which tells the rest as well.
  if (!isRecovery && (method !== 'INVITE' || !isSuccess(sip))) entry.holes.add('lost');
  entry.node = node;
  entry.ours = cseqSpace(isRecovery ? cseq - 1 : null);
  entry.exchanges = entry.exchanges.filter(one => !one.byUs);
  entry.byeMs = undefined;
  return true;
}

/** A node that carries on a dialog of its own earlier life, or tries again: nobody loses so many requests. */
function isLeap({ ours, state }: LedgerEntry, { sip, byUs, method, cseq }: HeardMessage): boolean {
  const isInvite = byUs && method === 'INVITE' && sip.kind === 'request' && state === 'confirmed';
  return isInvite && ours.highest !== null && cseq - ours.highest > leap;
}

/** Our own requests show the route set and the target (RFC 3261 §12.2.1.1), unless the first router is a strict one. */
function learnWay(entry: LedgerEntry, sip: SipMessage): void {
  if (entry.routeSet !== undefined && entry.remoteTarget !== null) return;
  const routes = sip.routes;
  if (routes[0] !== undefined && !/;\s*lr\b/i.test(routes[0])) return;
  entry.routeSet ??= copiesOf(routes);
  entry.remoteTarget ??= copyOf(sip.requestUri);
}

function tagged({ role }: LedgerEntry, localTag: string, remoteTag: string): { tag: string } {
  return { tag: copyOf(role === 'uac' ? remoteTag : localTag) };
}

function isSuccess({ status = 0 }: SipMessage): boolean {
  return status >= 200 && status < 300;
}
