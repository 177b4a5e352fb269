// Puts into a ledger entry what its living Asterisk says of the dialog. Pure.
import { cseqSpace, type CseqSpace } from './cseq-space.js';
import type { DialogFacts } from './dialog.js';
import { transactionMs, type Exchange, type LedgerEntry } from './ledger-entry.js';
import { laterOrigin } from './sdp-facts.js';

/**
 * What was asked before a message that has been seen since is older than what is known, and fills only what is not known
 * at all. `nowMs`: the time now, ms since 1970.
 */
export function fillEntry(entry: LedgerEntry, facts: DialogFacts, nowMs: number): void {
  const isOld = isBehind(entry.ours, facts.localCseq) || isBehind(entry.theirs, facts.remoteCseq);
  // A node that lost the dialog to another one still has it, with old numbers.
  if (isOld && entry.node !== facts.node) return;
  entry.node = facts.node;
  entry.state = 'confirmed';
  entry.local.tag = facts.localTag;
  entry.remote.tag = facts.remoteTag;
  if (entry.local.uri === '') Object.assign(entry.local, facts.local);
  if (entry.remote.uri === '') Object.assign(entry.remote, facts.remote);
  entry.legId ??= facts.legId;
  if (facts.remoteTarget !== '' && (!isOld || entry.remoteTarget === null)) entry.remoteTarget = facts.remoteTarget;
  if (!isOld || entry.routeSet === undefined) entry.routeSet = [...facts.routeSet];
  if (isOld) return;
  entry.ours = filled(entry.ours, facts.localCseq);
  entry.theirs = filled(entry.theirs, facts.remoteCseq);
  entry.isAdopted = false;
  entry.exchanges = entry.exchanges.filter(one => isUnderWay(entry, one, nowMs));
  entry.doneByUs = Math.max(entry.doneByUs, entry.ours.highest ?? -1);
  entry.doneByThem = Math.max(entry.doneByThem, entry.theirs.highest ?? -1);
  for (const hole of entry.holes) if (hole !== 'localSdp' && hole !== 'remoteSdp') entry.holes.delete(hole);
  fillSdp(entry, facts);
}

/** Its Asterisk may know its outcome already: the copies of that are on their way, and say more. */
function isUnderWay(entry: LedgerEntry, one: Exchange, nowMs: number): boolean {
  const { highest } = one.byUs ? entry.ours : entry.theirs;
  return one.isRequestSeen && one.cseq === highest && nowMs - one.atMs < transactionMs;
}

/** Of an open offer its Asterisk tells before its outcome is seen: what is in force then is not known until it is. */
function fillSdp(entry: LedgerEntry, facts: DialogFacts): void {
  const isOpen = entry.exchanges.length > 0;
  for (const side of ['localSdp', 'remoteSdp'] as const) {
    const [known, said] = [entry[side], facts[side]];
    if (!isOpen || known === null) {
      entry[side] = said ?? known;
      entry.holes.delete(side);
    } else if (said && said.origin !== known.origin && said.origin !== entry.localOrigin) entry.holes.add(side);
  }
  if (facts.localSdp) entry.localOrigin = laterOrigin(entry.localOrigin, facts.localSdp.origin);
}

function isBehind({ highest }: CseqSpace, said: number | null): boolean {
  return highest !== null && said !== null && said < highest;
}

function filled({ highest }: CseqSpace, said: number | null): CseqSpace {
  return cseqSpace(highest === null ? said : Math.max(highest, said ?? highest));
}
