// The ledger of dialogs: from the SIP that every Kamailio shows, what each Asterisk knows of its own dialogs. Pure.
import type { SipMessage } from '../trace/sip-scanner.js';
import type { Dialog, DialogFacts, DialogHole, OpenInvite } from './dialog.js';
import { readSdp, versionOf, withVersion, type SdpFacts } from './sdp-facts.js';

/** Between which of our nodes a message passed: one of the two is an Asterisk, or the ledger has no use for it. */
export interface Passage {
  /** The Asterisk that sent it. */
  readonly fromNode: string | undefined;
  /** The Asterisk that it was sent to. */
  readonly toNode: string | undefined;
  /** ms since 1970. */
  readonly atMs: number;
}

export interface LedgerLimits {
  /** Dialogs kept; the ones longest unchanged go first. */
  readonly dialogs: number;
  /** A dialog that was never confirmed is forgotten after this time, ms. */
  readonly earlyMs: number;
}

export const defaultLedgerLimits: LedgerLimits = { dialogs: 50_000, earlyMs: 600_000 };

/** Longest value kept of a header; a dialog with a longer one cannot be recovered, and says so. */
const longestValue = 4096;

interface Party {
  uri: string;
  displayName: string;
  tag: string | null;
}

/** A request with an offer, or one that asked for an offer, until its outcome is known. */
interface Exchange {
  readonly byUs: boolean;
  readonly offer: SdpFacts | undefined;
  /** The 2xx's SDP, where the request had none (RFC 3264 §4: the ACK then answers). */
  counterOffer?: SdpFacts;
}

interface Entry {
  readonly callId: string;
  node: string;
  role: 'uac' | 'uas';
  state: 'early' | 'confirmed';
  readonly local: Party;
  readonly remote: Party;
  localCseq: number | null;
  remoteCseq: number | null;
  routeSet: readonly string[];
  remoteTarget: string | null;
  localSdp: SdpFacts | null;
  remoteSdp: SdpFacts | null;
  /** Highest version of our `o=` that the far end may have seen, in force or not. */
  localVersion: bigint | undefined;
  legId: string | null;
  /** CSeq number of the INVITE that made the dialog. */
  initialCseq: number;
  open: OpenInvite | null;
  /** By sender, method and CSeq number. */
  readonly exchanges: Map<string, Exchange>;
  readonly holes: Set<DialogHole>;
  changedMs: number;
}

const noSequence: ReadonlySet<string> = new Set(['ACK', 'CANCEL']);
const refreshing: ReadonlySet<string> = new Set(['INVITE', 'UPDATE']);
/** Outcomes that end a dialog whatever was asked (RFC 3261 §12.2.1.2). */
const endingStatus: ReadonlySet<number> = new Set([408, 481]);
/** Offers whose outcome was not seen, of one dialog. */
const mostExchanges = 8;

export class DialogLedger {
  readonly #limits: LedgerLimits;
  /** By Call-ID, in the order of their last change. */
  readonly #entries = new Map<string, Entry>();
  readonly #changed = new Set<string>();
  readonly #ended = new Set<string>();
  #evicted = 0;

  constructor(limits: Partial<LedgerLimits> = {}) {
    this.#limits = { ...defaultLedgerLimits, ...limits };
  }

  get counters(): { readonly dialogs: number; readonly evicted: number } {
    return { dialogs: this.#entries.size, evicted: this.#evicted };
  }

  /** Takes one message, in whatever order and number they come. Never throws. */
  take(sip: SipMessage, passage: Passage): void {
    if (sip.callId.length > longestValue || sip.cseq === undefined) return;
    const known = this.#entries.get(sip.callId);
    if (sip.kind === 'request') this.#request(sip, passage, known);
    else if (known) this.#response(sip, passage, known);
  }

  dialog(callId: string): Dialog | undefined {
    const entry = this.#entries.get(callId);
    return entry && formatDialog(entry);
  }

  /** Confirmed dialogs that a node carries. */
  dialogsOn(node: string): Dialog[] {
    return [...this.#entries.values()].filter(one => one.node === node && one.state === 'confirmed').map(formatDialog);
  }

  /** Initial INVITEs of a node without a final response, and those whose 2xx was not acknowledged. */
  openInvitesOn(node: string): OpenInvite[] {
    return [...this.#entries.values()].flatMap(one => (one.node === node && one.open ? [one.open] : []));
  }

  /** Takes over what an earlier daemon knew; messages since then are missing. What is known already stays. */
  seed(dialogs: readonly Dialog[]): void {
    for (const dialog of dialogs) {
      if (this.#entries.has(dialog.callId) || dialog.state !== 'confirmed') continue;
      this.#add({ ...entryOf(dialog), holes: new Set([...dialog.holes, 'lost']) });
    }
  }

  /** What a living Asterisk says of its dialog: fills what was not seen. Sequence numbers never go back. */
  fill(facts: DialogFacts): void {
    const known = this.#entries.get(facts.callId);
    const entry = known ?? this.#add(blank(facts.callId, facts.node, facts.role, 0));
    entry.node = facts.node;
    entry.role = facts.role;
    entry.state = 'confirmed';
    entry.local.tag = facts.localTag;
    entry.remote.tag = facts.remoteTag;
    if (entry.local.uri === '') Object.assign(entry.local, facts.local);
    if (entry.remote.uri === '') Object.assign(entry.remote, facts.remote);
    entry.remoteTarget = facts.remoteTarget;
    entry.routeSet = facts.routeSet;
    entry.localCseq = highest(entry.localCseq, facts.localCseq);
    entry.remoteCseq = highest(entry.remoteCseq, facts.remoteCseq);
    entry.legId ??= facts.legId;
    if (facts.localOrigin !== null) {
      entry.localSdp = { origin: facts.localOrigin, direction: entry.localSdp?.direction ?? 'sendrecv' };
      this.#noteVersion(entry, entry.localSdp);
    }
    if (facts.remoteOrigin !== null)
      entry.remoteSdp = { origin: facts.remoteOrigin, direction: entry.remoteSdp?.direction ?? 'sendrecv' };
    entry.holes.clear();
    this.#touch(entry, entry.changedMs);
  }

  /** Confirmed dialogs that changed, and Call-IDs of those that ended, since the last time. */
  drain(): { readonly changed: readonly Dialog[]; readonly ended: readonly string[] } {
    const changed = [...this.#changed].flatMap(callId => {
      const entry = this.#entries.get(callId);
      return entry?.state === 'confirmed' ? [formatDialog(entry)] : [];
    });
    const ended = [...this.#ended];
    this.#changed.clear();
    this.#ended.clear();
    return { changed, ended };
  }

  /** Forgets what never became a dialog. Called now and then. */
  prune(nowMs: number): void {
    for (const [callId, entry] of this.#entries) {
      if (entry.state === 'early' && nowMs - entry.changedMs > this.#limits.earlyMs) this.#entries.delete(callId);
    }
  }

  #request(sip: SipMessage, passage: Passage, known: Entry | undefined): void {
    const byUs = passage.fromNode !== undefined;
    const node = passage.fromNode ?? passage.toNode;
    if (node === undefined) return;
    if (sip.method === 'INVITE' && !sip.to?.parameters.has('tag'))
      this.#initialInvite(sip, node, byUs, passage.atMs, known);
    else if (known) this.#inDialog(sip, node, byUs, passage.atMs, known);
    else if (byUs && sip.method === 'INVITE') this.#unknownDialog(sip, node, passage.atMs);
  }

  #initialInvite(sip: SipMessage, node: string, byUs: boolean, atMs: number, known: Entry | undefined): void {
    const cseq = sip.cseq ?? 0;
    const { from, to } = sip;
    const fromTag = from?.parameters.get('tag');
    if (!from || !to || fromTag === undefined) return;
    // A retransmission, or one that a dialog which is there answers with 482.
    if (known && (known.state === 'confirmed' || known.initialCseq >= cseq)) return;
    const entry = this.#add(blank(sip.callId, node, byUs ? 'uac' : 'uas', atMs));
    Object.assign(byUs ? entry.local : entry.remote, { ...partyOf(from), tag: fromTag });
    Object.assign(byUs ? entry.remote : entry.local, partyOf(to));
    entry.initialCseq = cseq;
    entry.legId = sip.holdfast.get('x-holdfast-leg') ?? null;
    if (byUs) entry.localCseq = cseq;
    else {
      entry.remoteCseq = cseq;
      entry.remoteTarget = sip.contacts[0]?.uri ?? null;
      entry.routeSet = sip.recordRoutes;
    }
    this.#beginExchange(entry, sip, byUs);
    entry.open = {
      ...{ callId: sip.callId, node, direction: byUs ? 'out' : 'in', requestUri: sip.requestUri, vias: sip.viaValues },
      ...{ routes: sip.routes, recordRoutes: sip.recordRoutes, from: sip.fromValue, to: sip.toValue, cseq },
      ...{ toTags: [], legId: entry.legId, answeredBy: null, sentMs: atMs },
    };
  }

  #inDialog(sip: SipMessage, node: string, byUs: boolean, atMs: number, entry: Entry): void {
    if (!tagsFit(sip, entry, byUs)) return;
    const cseq = sip.cseq ?? 0;
    if (node !== entry.node) {
      // Another node of ours carries it on, by an INVITE that is newer than all before; what the old one says is late.
      if (!byUs || sip.method !== 'INVITE' || cseq <= (entry.localCseq ?? -1)) return;
      entry.node = node;
      entry.exchanges.clear();
    }
    if (sip.method === 'ACK') this.#acknowledge(sip, byUs, entry);
    if (noSequence.has(sip.method)) return;
    if (byUs) entry.localCseq = highest(entry.localCseq, cseq);
    else {
      const newer = entry.remoteCseq === null || cseq > entry.remoteCseq;
      entry.remoteCseq = highest(entry.remoteCseq, cseq);
      const target = sip.contacts[0]?.uri;
      if (newer && refreshing.has(sip.method) && target !== undefined) entry.remoteTarget = target;
    }
    if (refreshing.has(sip.method)) this.#beginExchange(entry, sip, byUs);
    this.#touch(entry, atMs);
  }

  /** An INVITE of ours within a dialog whose beginning was not seen tells almost all of it. */
  #unknownDialog(sip: SipMessage, node: string, atMs: number): void {
    const { from, to } = sip;
    const [fromTag, toTag] = [from?.parameters.get('tag'), to?.parameters.get('tag')];
    if (!from || !to || fromTag === undefined || toTag === undefined) return;
    const entry = this.#add(blank(sip.callId, node, 'uac', atMs));
    Object.assign(entry.local, { ...partyOf(from), tag: fromTag });
    Object.assign(entry.remote, { ...partyOf(to), tag: toTag });
    entry.state = 'confirmed';
    entry.localCseq = sip.cseq ?? null;
    entry.routeSet = sip.routes;
    entry.remoteTarget = sip.requestUri;
    entry.holes.add('lost');
    this.#beginExchange(entry, sip, true);
    this.#touch(entry, atMs);
  }

  #response(sip: SipMessage, passage: Passage, entry: Entry): void {
    const status = sip.status ?? 0;
    // A BYE that a Kamailio answers itself, for a dead node, ends the dialog as well.
    if (sip.method === 'BYE' && (status === 200 || endingStatus.has(status))) {
      this.#end(entry);
      return;
    }
    const toUs = passage.toNode !== undefined;
    const node = passage.fromNode ?? passage.toNode;
    if (node === undefined || node !== entry.node) return;
    if (sip.method === 'INVITE' && sip.cseq === entry.initialCseq && toUs === (entry.role === 'uac') && entry.open) {
      this.#initialResponse(sip, status, toUs, passage.atMs, entry);
      return;
    }
    if (!refreshing.has(sip.method) || status < 200) return;
    const key = exchangeKey(toUs, sip);
    if (status >= 300) {
      entry.exchanges.delete(key);
      if (toUs && endingStatus.has(status)) this.#end(entry);
      return;
    }
    const target = sip.contacts[0]?.uri;
    if (toUs && target !== undefined && sip.cseq === entry.localCseq) entry.remoteTarget = target;
    this.#answer(entry, key, sip);
    this.#touch(entry, passage.atMs);
  }

  #initialResponse(sip: SipMessage, status: number, toUs: boolean, atMs: number, entry: Entry): void {
    const open = entry.open;
    if (!open || status === 100) return;
    if (status >= 300) {
      this.#entries.delete(entry.callId);
      return;
    }
    const toTag = sip.to?.parameters.get('tag');
    if (toTag !== undefined && !open.toTags.includes(toTag) && open.toTags.length < 16)
      entry.open = { ...open, toTags: [...open.toTags, toTag] };
    if (status < 200) return;
    // The first 2xx makes the dialog; another branch's is hung up by whoever sent the INVITE (RFC 3261 §13.2.2.4).
    if (entry.state === 'confirmed') return;
    this.#confirm(sip, toUs, toTag, entry);
    this.#touch(entry, atMs);
  }

  #confirm(sip: SipMessage, toUs: boolean, toTag: string | undefined, entry: Entry): void {
    entry.state = 'confirmed';
    const contact = sip.contacts[0]?.uri ?? null;
    if (toUs) {
      entry.remote.tag = toTag ?? null;
      entry.remoteTarget = contact;
      entry.routeSet = sip.recordRoutes.reverse();
      const answeredBy = { toTag: toTag ?? '', contact: contact ?? '', recordRoutes: sip.recordRoutes };
      entry.open = entry.open ? { ...entry.open, answeredBy } : null;
    } else {
      entry.local.tag = toTag ?? null;
      entry.open = null;
    }
    this.#answer(entry, exchangeKey(toUs, sip), sip);
  }

  #acknowledge(sip: SipMessage, byUs: boolean, entry: Entry): void {
    if (entry.open && sip.cseq === entry.initialCseq && byUs === (entry.role === 'uac') && entry.state === 'confirmed')
      entry.open = null;
    const key = `${byUs ? 'us' : 'them'} INVITE ${sip.cseq ?? 0}`;
    const exchange = entry.exchanges.get(key);
    if (!exchange?.counterOffer) return;
    entry.exchanges.delete(key);
    const answer = readSdp(sip.body.toString());
    this.#agree(entry, byUs ? answer : exchange.counterOffer, byUs ? exchange.counterOffer : answer);
  }

  #beginExchange(entry: Entry, sip: SipMessage, byUs: boolean): void {
    const offer = readSdp(sip.body.toString());
    if (byUs) this.#noteVersion(entry, offer);
    if (!offer && sip.method !== 'INVITE') return;
    const [oldest] = entry.exchanges.keys();
    if (entry.exchanges.size >= mostExchanges && oldest !== undefined) entry.exchanges.delete(oldest);
    entry.exchanges.set(exchangeKey(byUs, sip), { byUs, offer });
  }

  /** A 2xx: with an offer before it, its SDP is the answer; without, it is the offer, and the ACK answers. */
  #answer(entry: Entry, key: string, sip: SipMessage): void {
    const exchange = entry.exchanges.get(key);
    const sdp = readSdp(sip.body.toString());
    if (exchange && !exchange.byUs) this.#noteVersion(entry, sdp);
    if (!exchange || !sdp) {
      if (exchange?.offer) entry.exchanges.delete(key);
      return;
    }
    if (!exchange.offer) {
      exchange.counterOffer = sdp;
      return;
    }
    entry.exchanges.delete(key);
    this.#agree(entry, exchange.byUs ? exchange.offer : sdp, exchange.byUs ? sdp : exchange.offer);
  }

  #agree(entry: Entry, local: SdpFacts | undefined, remote: SdpFacts | undefined): void {
    if (local) {
      entry.localSdp = local;
      this.#noteVersion(entry, local);
    }
    if (remote) entry.remoteSdp = remote;
    this.#changed.add(entry.callId);
  }

  #noteVersion(entry: Entry, sdp: SdpFacts | undefined): void {
    const version = sdp && versionOf(sdp.origin);
    if (version !== undefined && (entry.localVersion === undefined || version > entry.localVersion))
      entry.localVersion = version;
  }

  #add(entry: Entry): Entry {
    this.#entries.delete(entry.callId);
    this.#entries.set(entry.callId, entry);
    while (this.#entries.size > this.#limits.dialogs) {
      const [oldest] = this.#entries.keys();
      if (oldest === undefined) break;
      this.#entries.delete(oldest);
      this.#evicted++;
    }
    return entry;
  }

  #touch(entry: Entry, atMs: number): void {
    entry.changedMs = atMs;
    this.#entries.delete(entry.callId);
    this.#entries.set(entry.callId, entry);
    if (entry.state === 'confirmed') this.#changed.add(entry.callId);
  }

  #end(entry: Entry): void {
    this.#entries.delete(entry.callId);
    this.#changed.delete(entry.callId);
    this.#ended.add(entry.callId);
  }
}

function exchangeKey(byUs: boolean, sip: SipMessage): string {
  return `${byUs ? 'us' : 'them'} ${sip.method} ${sip.cseq ?? 0}`;
}

/** Whether From and To tags are those of the dialog. */
function tagsFit(sip: SipMessage, entry: Entry, byUs: boolean): boolean {
  const from = sip.from?.parameters.get('tag');
  const to = sip.to?.parameters.get('tag');
  const [ours, theirs] = byUs ? [from, to] : [to, from];
  const fits = (known: string | null, given: string | undefined): boolean => known === null || known === given;
  return fits(entry.local.tag, ours) && fits(entry.remote.tag, theirs);
}

function partyOf({ uri, displayName }: { readonly uri: string; readonly displayName: string }): Omit<Party, 'tag'> {
  return { uri, displayName };
}

function highest(one: number | null, other: number | null): number | null {
  return one === null ? other : other === null ? one : Math.max(one, other);
}

function blank(callId: string, node: string, role: Entry['role'], changedMs: number): Entry {
  return {
    ...{ callId, node, role, state: 'early', changedMs },
    local: { uri: '', displayName: '', tag: null },
    remote: { uri: '', displayName: '', tag: null },
    ...{ localCseq: null, remoteCseq: null, routeSet: [], remoteTarget: null },
    ...{ localSdp: null, remoteSdp: null, localVersion: undefined, legId: null, initialCseq: -1, open: null },
    ...{ exchanges: new Map<string, Exchange>(), holes: new Set<DialogHole>() },
  };
}

function entryOf(dialog: Dialog): Entry {
  return {
    ...blank(dialog.callId, dialog.node, dialog.role, dialog.changedMs),
    state: 'confirmed',
    local: { ...dialog.local },
    remote: { ...dialog.remote },
    localCseq: dialog.localCseq,
    remoteCseq: dialog.remoteCseq,
    routeSet: dialog.routeSet,
    remoteTarget: dialog.remoteTarget,
    localSdp: dialog.localSdp,
    remoteSdp: dialog.remoteSdp,
    localVersion: dialog.localSdp ? versionOf(dialog.localSdp.origin) : undefined,
    legId: dialog.legId,
  };
}

function formatDialog(entry: Entry): Dialog {
  const { callId, node, role, state, local, remote, localCseq, remoteCseq, remoteTarget, legId, changedMs } = entry;
  const { localSdp } = entry;
  return {
    ...{ callId, node, role, state, localCseq, remoteCseq, remoteTarget, legId, changedMs },
    local: { ...local },
    remote: { ...remote },
    routeSet: [...entry.routeSet],
    localSdp: localSdp && { ...localSdp, origin: withVersion(localSdp.origin, entry.localVersion) },
    remoteSdp: entry.remoteSdp,
    holes: holesOf(entry),
  };
}

function holesOf(entry: Entry): DialogHole[] {
  const holes = new Set(entry.holes);
  if (entry.local.tag === null) holes.add('localTag');
  if (entry.remote.tag === null) holes.add('remoteTag');
  if (entry.remoteTarget === null || entry.remoteTarget.length > longestValue) holes.add('remoteTarget');
  if (entry.role === 'uac' && entry.localCseq === null) holes.add('localCseq');
  if (entry.localSdp === null) holes.add('localSdp');
  if (entry.remoteSdp === null) holes.add('remoteSdp');
  return [...holes];
}
