// What the ledger keeps of one dialog, and how that is told as a Dialog or an OpenInvite. Pure.
import { cseqSpace, isGapless, type CseqSpace } from './cseq-space.js';
import type { Dialog, DialogHole, OpenInvite } from './dialog.js';
import { copyOf, type SdpFacts, type SdpSeen } from './sdp-facts.js';

export interface LedgerParty {
  uri: string;
  displayName: string;
  tag: string | null;
}

/** When something was last set: of two transactions of one side the higher CSeq is the newer, else the clock tells. */
export interface Stamp {
  readonly byUs: boolean;
  readonly cseq: number;
  readonly atMs: number;
}

/** An INVITE or UPDATE transaction whose outcome for the session is not known yet. */
export interface Exchange {
  readonly byUs: boolean;
  readonly method: string;
  readonly cseq: number;
  atMs: number;
  isRequestSeen: boolean;
  /** SDP of the request. */
  offer: SdpSeen;
  /** SDP of a provisional response. */
  earlyAnswer: SdpFacts | null;
  /** Of the final response. */
  status: number | undefined;
  /** SDP of the 2xx: the answer, or the offer where the request had none (RFC 3264 §4). */
  answer: SdpSeen;
  isAcked: boolean;
  ackAnswer: SdpSeen;
}

/** The INVITE that makes the dialog; shared by all early dialogs that it forked to. */
export interface InitialInvite {
  cseq: number;
  /** Branch of the last Via: an ACK to a non-2xx has the same, one to a 2xx has not (RFC 3261 §17.1.1.3, §13.2.2.4). */
  branch: string | undefined;
  isSeen: boolean;
  /** Kept while the transaction is open. */
  message: Omit<OpenInvite, 'toTags' | 'answeredBy' | 'node'> | undefined;
  toTags: string[];
  status: number | undefined;
  isAcked: boolean;
  answeredBy: OpenInvite['answeredBy'];
}

/** Which INVITE made the dialog was not seen. */
export const unknownCseq = -1;

export interface LedgerEntry {
  readonly callId: string;
  node: string;
  role: Dialog['role'];
  state: 'early' | 'confirmed';
  readonly local: LedgerParty;
  readonly remote: LedgerParty;
  ours: CseqSpace;
  theirs: CseqSpace;
  /** Undefined while it is not known. */
  routeSet: readonly string[] | undefined;
  remoteTarget: string | null;
  targetStamp: Stamp | undefined;
  localSdp: SdpFacts | null;
  remoteSdp: SdpFacts | null;
  sdpStamp: Stamp | undefined;
  /** The `o=` of ours to count on from, in force or not. */
  localOrigin: string | null;
  session: Dialog['session'];
  legId: string | null;
  initial: InitialInvite;
  /** Unfinished ones; of finished ones the highest CSeq number of each side. */
  exchanges: Exchange[];
  doneByUs: number;
  doneByThem: number;
  /** The dialog was known in mid-life first: what came before may have been missed. */
  isAdopted: boolean;
  /** The first request that was seen of an adopted one. */
  adoptedBy: Stamp | undefined;
  readonly holes: Set<DialogHole>;
  /** Estimated. */
  bytes: number;
  /** When a BYE was seen. */
  byeMs: number | undefined;
  changedMs: number;
}

/** How long a transaction may take, 64*T1 (RFC 3261 §17.1.1.2). */
export const transactionMs = 32_000;

type Unknown = Omit<
  LedgerEntry,
  'callId' | 'node' | 'role' | 'changedMs' | 'local' | 'remote' | 'ours' | 'theirs' | 'initial' | 'exchanges' | 'holes'
>;

const unknown: Unknown = {
  ...{ state: 'early', routeSet: undefined, remoteTarget: null, targetStamp: undefined, localSdp: null },
  ...{
    remoteSdp: null,
    sdpStamp: undefined,
    localOrigin: null,
    session: null,
    legId: null,
    doneByUs: -1,
    doneByThem: -1,
  },
  ...{ isAdopted: false, adoptedBy: undefined, bytes: 0, byeMs: undefined },
};

export function ledgerEntry(callId: string, node: string, role: Dialog['role'], changedMs: number): LedgerEntry {
  return {
    ...unknown,
    ...{ callId: copyOf(callId), node, role, changedMs },
    local: { uri: '', displayName: '', tag: null },
    remote: { uri: '', displayName: '', tag: null },
    ours: cseqSpace(),
    theirs: cseqSpace(),
    initial: initialInvite(),
    exchanges: [],
    holes: new Set(),
  };
}

export function initialInvite(): InitialInvite {
  const none = { branch: undefined, message: undefined, status: undefined };
  return { cseq: unknownCseq, ...none, isSeen: false, toTags: [], isAcked: false, answeredBy: null };
}

/** Another early dialog of the same INVITE (RFC 3261 §12.1, forking). */
export function forkOf(entry: LedgerEntry): LedgerEntry {
  return {
    ...entry,
    ...{ remoteTarget: null, targetStamp: undefined, localSdp: null, remoteSdp: null, sdpStamp: undefined },
    session: null,
    local: { ...entry.local },
    remote: { ...entry.remote, tag: null },
    ours: cseqSpace(entry.initial.cseq),
    theirs: cseqSpace(),
    exchanges: entry.exchanges
      .filter(one => one.cseq === entry.initial.cseq)
      .map(one => ({ ...one, earlyAnswer: null })),
    holes: new Set(),
  };
}

/** What an earlier daemon knew; what came since is missing. */
export function seededEntry(dialog: Dialog): LedgerEntry {
  const { callId, node, role, changedMs, remoteTarget, localSdp, remoteSdp, session, legId } = dialog;
  const holes = new Set<DialogHole>([...dialog.holes, 'lost']);
  return {
    ...ledgerEntry(callId, node, role, changedMs),
    ...{ remoteTarget, localSdp, remoteSdp, session, legId, holes },
    state: 'confirmed',
    local: { ...dialog.local },
    remote: { ...dialog.remote },
    ours: cseqSpace(dialog.localCseq),
    theirs: cseqSpace(dialog.remoteCseq),
    routeSet: holes.has('routeSet') ? undefined : [...dialog.routeSet],
    localOrigin: localSdp?.origin ?? null,
    doneByUs: dialog.localCseq ?? -1,
    doneByThem: dialog.remoteCseq ?? -1,
  };
}

export function formatDialog(entry: LedgerEntry, nowMs: number): Dialog {
  const { callId, node, role, state, local, remote, remoteTarget, localSdp, remoteSdp, session, legId, changedMs } =
    entry;
  return {
    ...{ callId, node, role, state, remoteTarget, remoteSdp, session, legId, changedMs },
    local: { ...local },
    remote: { ...remote },
    localCseq: entry.ours.highest,
    remoteCseq: entry.theirs.highest,
    routeSet: [...(entry.routeSet ?? [])],
    localSdp: localSdp && { direction: localSdp.direction, origin: entry.localOrigin ?? localSdp.origin },
    holes: holesOf(entry, nowMs),
  };
}

/** The open INVITE of this entry; undefined when it has its final response, and for a 2xx of ours to ACK the ACK. */
export function formatOpenInvite({ initial, node }: LedgerEntry): OpenInvite | undefined {
  const { message, toTags, answeredBy } = initial;
  return message && isOpen(initial) ? { ...message, node, toTags: [...toTags], answeredBy } : undefined;
}

export function isOpen({ message, status, isAcked }: InitialInvite): boolean {
  if (!message || isAcked) return false;
  return status === undefined || (status < 300 && message.direction === 'out');
}

function holesOf(entry: LedgerEntry, nowMs: number): DialogHole[] {
  const holes = new Set(entry.holes);
  const missed = !isGapless(entry.ours) || !isGapless(entry.theirs);
  if (missed || entry.isAdopted) holes.add('lost');
  if (entry.local.tag === null) holes.add('localTag');
  if (entry.remote.tag === null) holes.add('remoteTag');
  if (entry.role === 'uac' && entry.ours.highest === null) holes.add('localCseq');
  if (entry.routeSet === undefined) holes.add('routeSet');
  if (entry.remoteTarget === null) holes.add('remoteTarget');
  if (entry.localSdp === null) holes.add('localSdp');
  if (entry.remoteSdp === null) holes.add('remoteSdp');
  if (entry.exchanges.some(one => isUnresolved(entry, one, nowMs))) {
    for (const hole of ['lost', 'localSdp', 'remoteSdp'] as const) holes.add(hole);
  }
  return [...holes];
}

/** Its outcome is there and was not seen, or must be by now. */
function isUnresolved(entry: LedgerEntry, one: Exchange, nowMs: number): boolean {
  if (one.status !== undefined && one.status >= 300) return false;
  if (one.status !== undefined && !one.isRequestSeen) return true;
  if (one.status === undefined && one.isAcked) return true;
  if ((one.byUs ? entry.doneByUs : entry.doneByThem) > one.cseq) return true;
  // Nobody sends a second INVITE while the first one is open (RFC 3261 §14.1).
  const isOvertaken = entry.exchanges.some(other => other.byUs === one.byUs && other.cseq > one.cseq);
  return (one.method === 'INVITE' && isOvertaken) || nowMs - one.atMs > transactionMs;
}

export function setParty(
  party: LedgerParty,
  value: { readonly uri: string; readonly displayName: string } | undefined,
  tag?: string,
): void {
  if (value) Object.assign(party, { uri: copyOf(value.uri), displayName: copyOf(value.displayName) });
  if (tag !== undefined && party.tag !== tag) party.tag = copyOf(tag);
}
