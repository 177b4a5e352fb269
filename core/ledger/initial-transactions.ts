// INVITEs that make dialogs, and their responses: early dialogs, forks, confirmation (RFC 3261 §12.1, §13). Pure.
import { noteRequest } from './cseq-space.js';
import { copiesOf, type EntryStore } from './entry-store.js';
import type { HeardMessage } from './heard-message.js';
import {
  forkOf,
  initialInvite,
  isOpen,
  ledgerEntry,
  setParty,
  unknownCseq,
  type InitialInvite,
  type LedgerEntry,
} from './ledger-entry.js';
import { exchangeOf, refreshTarget, takeOffer, takeResponse } from './sdp-exchange.js';
import { copyOf } from './sdp-facts.js';

const legHeader = 'x-holdfast-leg';
const legId = /^[\w.:-]{1,128}$/;
const mostToTags = 16;

export class InitialTransactions {
  readonly #store: EntryStore;
  readonly #now: () => number;

  constructor(store: EntryStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** An INVITE without a To tag. */
  request(heard: HeardMessage): void {
    const { sip, byUs, cseq, fromTag, node, atMs } = heard;
    const known = this.#entryOfInvite(heard);
    if (known === 'old') return;
    const entry = known ?? ledgerEntry(sip.callId, node, byUs ? 'uac' : 'uas', atMs);
    if (!known && !this.#store.add(entry)) return;
    entry.role = byUs ? 'uac' : 'uas';
    setParty(byUs ? entry.local : entry.remote, sip.from, fromTag);
    setParty(byUs ? entry.remote : entry.local, sip.to);
    this.#beginInvite(entry, heard);
    if (entry.isAdopted && isContiguous(entry, heard)) entry.isAdopted = false;
    noteRequest(byUs ? entry.ours : entry.theirs, cseq);
    if (!byUs) {
      refreshTarget(entry, sip, heard);
      entry.routeSet ??= copiesOf(sip.recordRoutes);
    }
    const exchange = exchangeOf(entry, heard);
    if (exchange) takeOffer(entry, exchange, sip);
    this.#store.touch(entry, atMs);
    this.#close(entry);
  }

  /** A response to an INVITE. False where that is not one that makes a dialog, as far as is known. */
  response(heard: HeardMessage): boolean {
    const entries = this.#entriesOfResponse(heard);
    const [first] = entries;
    const status = heard.sip.status ?? 0;
    if (!first) return false;
    if (first.node !== heard.node || status === 100) return true;
    if (status >= 300) {
      // Another branch's failure does not end what one branch has answered.
      if (!entries.some(one => one.state === 'confirmed')) this.#endAll(entries);
      return true;
    }
    const entry = heard.toTag === undefined ? undefined : this.#dialogOf(heard.toTag, entries);
    if (entry) this.answer(entry, heard);
    return true;
  }

  /** A 1xx or 2xx of a dialog that this INVITE makes. */
  answer(entry: LedgerEntry, heard: HeardMessage): void {
    const { sip, toTag = '', byUs, atMs } = heard;
    const { initial } = entry;
    if (!initial.toTags.includes(toTag) && initial.toTags.length < mostToTags) initial.toTags.push(copyOf(toTag));
    const status = sip.status ?? 0;
    const isFirst = initial.status === undefined;
    if (byUs && isFirst) refreshTarget(entry, sip, heard);
    const exchange = exchangeOf(entry, heard);
    if (exchange) takeResponse(entry, exchange, sip, atMs);
    if (status >= 200 && (isFirst || entry.routeSet === undefined)) {
      initial.status = status;
      const routes = copiesOf(sip.recordRoutes);
      if (byUs) this.#answeredToUs(entry, heard, routes);
      else if (routes.length > 0) entry.routeSet ??= routes;
      this.confirm(entry);
    }
    this.#store.touch(entry, atMs);
  }

  /** Its first 2xx, or the ACK to it, was seen: the other early dialogs are over (RFC 3261 §13.2.2.4). */
  confirm(entry: LedgerEntry): void {
    entry.state = 'confirmed';
    for (const other of this.#store.of(entry.callId)) {
      if (other !== entry && other.initial === entry.initial) this.#store.replace(other);
    }
    this.#close(entry);
  }

  acknowledged(entry: LedgerEntry): void {
    entry.initial.isAcked = true;
    entry.initial.answeredBy = null;
    this.#close(entry);
  }

  /** The INVITE has failed: none of its early dialogs lives. */
  failed(entry: LedgerEntry): void {
    this.#endAll(this.#store.of(entry.callId).filter(one => one.initial === entry.initial));
  }

  /** The route set is that of the 2xx, in reverse (RFC 3261 §12.1.2). */
  #answeredToUs(entry: LedgerEntry, { sip, toTag = '' }: HeardMessage, routes: string[]): void {
    // A response whose INVITE was not seen may be one within a dialog, which needs no Record-Route.
    if (routes.length > 0 || entry.initial.isSeen) entry.routeSet = [...routes].reverse();
    if (entry.initial.isAcked) return;
    const contact = copyOf(sip.contacts[0]?.uri ?? '');
    entry.initial.answeredBy = { toTag: copyOf(toTag), contact, recordRoutes: routes };
  }

  /** The entry that this INVITE belongs to; undefined for a new one, `old` where it says nothing new. */
  #entryOfInvite({ sip, byUs, cseq, fromTag }: HeardMessage): LedgerEntry | undefined | 'old' {
    const known = this.#store.of(sip.callId).find(({ role, local, remote, initial }) => {
      const isRole = (role === 'uac') === byUs || initial.cseq === unknownCseq;
      return isRole && (byUs ? local.tag : remote.tag) === fromTag;
    });
    if (!known) return this.#store.isOldInvite(sip.callId, fromTag, cseq) ? 'old' : undefined;
    const { initial, state } = known;
    if (initial.cseq === cseq || initial.cseq === unknownCseq) return initial.isSeen ? 'old' : known;
    if (cseq < initial.cseq || state === 'confirmed') return 'old';
    // Sent again with credentials, and the challenge was not seen (RFC 3261 §22.2).
    this.failed(known);
    return undefined;
  }

  #beginInvite(entry: LedgerEntry, { sip, byUs, cseq, atMs }: HeardMessage): void {
    const leg = byUs ? sip.holdfast.get(legHeader) : undefined;
    if (leg !== undefined && legId.test(leg)) entry.legId = copyOf(leg);
    const { callId, legId: legOfEntry } = entry;
    const initial: InitialInvite = entry.initial.cseq === unknownCseq ? initialInvite() : entry.initial;
    const earlier = entry.exchanges.find(one => one.byUs === byUs && one.cseq === cseq);
    // One that became known in mid-life has had its 2xx and its ACK.
    if (entry.adoptedBy && initial !== entry.initial && entry.state === 'confirmed') {
      initial.status = earlier?.status ?? 200;
      initial.isAcked = true;
    }
    initial.cseq = cseq;
    initial.isSeen = true;
    initial.branch = copyOf(sip.vias.at(-1)?.branch ?? '');
    initial.message = {
      ...{ callId, direction: byUs ? 'out' : 'in', cseq, sentMs: atMs, legId: legOfEntry },
      requestUri: copyOf(sip.requestUri),
      vias: copiesOf(sip.viaValues),
      routes: copiesOf(sip.routes),
      recordRoutes: copiesOf(sip.recordRoutes),
      from: copyOf(sip.fromValue),
      to: copyOf(sip.toValue),
    };
    entry.initial = initial;
    this.#store.weigh(entry);
  }

  #entriesOfResponse({ sip, byUs, cseq, fromTag }: HeardMessage): readonly LedgerEntry[] {
    const isOfIt = ({ role, initial, local, remote }: LedgerEntry): boolean =>
      initial.cseq === cseq && (role === 'uac') === byUs && (byUs ? local.tag : remote.tag) === fromTag;
    const entries = this.#store.of(sip.callId);
    return entries.every(isOfIt) ? entries : entries.filter(isOfIt);
  }

  /** The early dialog of this To tag, a new one where the INVITE was forked; undefined where another one was answered. */
  #dialogOf(toTag: string, entries: readonly LedgerEntry[]): LedgerEntry | undefined {
    const tagged = (one: LedgerEntry): { tag: string | null } => (one.role === 'uac' ? one.remote : one.local);
    const known = entries.find(one => tagged(one).tag === toTag);
    if (known) return known;
    const blank = entries.find(one => tagged(one).tag === null);
    const [first] = entries;
    if (!first || entries.some(one => one.state === 'confirmed' && one !== blank)) return undefined;
    // Our own Asterisk does not fork: its final response's tag is the one that counts.
    const entry = blank ?? (first.role === 'uac' ? forkOf(first) : first);
    if (!entries.includes(entry) && !this.#store.add(entry)) return undefined;
    tagged(entry).tag = copyOf(toTag);
    return entry;
  }

  #endAll(entries: readonly LedgerEntry[]): void {
    for (const entry of [...entries]) this.#store.end(entry, this.#now());
  }

  /** What only an open INVITE needs may go. */
  #close(entry: LedgerEntry): void {
    if (isOpen(entry.initial)) return;
    entry.initial.message = undefined;
    this.#store.weigh(entry);
  }
}

/** Nothing was missed between the INVITE and the message by which the dialog became known. */
function isContiguous({ adoptedBy, initial }: LedgerEntry, { byUs, cseq }: HeardMessage): boolean {
  if (initial.cseq !== cseq || !adoptedBy || adoptedBy.byUs !== byUs) return true;
  return adoptedBy.cseq <= cseq + 1;
}
