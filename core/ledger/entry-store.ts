// Keeps the ledger's entries by Call-ID in a memory that does not grow, and what changed among them since the last look.
import type { LedgerEntry } from './ledger-entry.js';
import { copyOf } from './sdp-facts.js';

export interface LedgerLimits {
  /** Dialogs kept; the ones longest unchanged go first. */
  readonly dialogs: number;
  /** What they may take in memory, estimated. */
  readonly bytes: number;
  /** A dialog that was never confirmed is forgotten after this time, ms. */
  readonly earlyMs: number;
}

export const defaultLedgerLimits: LedgerLimits = { dialogs: 50_000, bytes: 160 * 1024 * 1024, earlyMs: 600_000 };

/** A dialog that is gone: its late messages must not bring it back. */
interface Tombstone {
  readonly fromTag: string | null;
  readonly initialCseq: number;
  readonly goneMs: number;
}

/** Twice the time that a transaction may take. */
const tombstoneMs = 64_000;
const mostTombstones = 20_000;
const mostPerCall = 8;
/** What an entry takes beside its long strings; measured by test/bench/ledger. */
const entryBytes = 3000;
const stringBytes = 32;

export class EntryStore {
  readonly #limits: LedgerLimits;
  /** In the order of their last change. */
  readonly #calls = new Map<string, LedgerEntry[]>();
  readonly #tombstones = new Map<string, Tombstone>();
  readonly #changed = new Set<LedgerEntry>();
  readonly #ended = new Set<string>();
  #size = 0;
  #bytes = 0;
  #evicted = 0;
  #forgotten = 0;

  constructor(limits: LedgerLimits) {
    this.#limits = limits;
  }

  get counters(): { dialogs: number; ledgerBytes: number; evicted: number; forgotten: number } {
    return { dialogs: this.#size, ledgerBytes: this.#bytes, evicted: this.#evicted, forgotten: this.#forgotten };
  }

  of(callId: string): readonly LedgerEntry[] {
    return this.#calls.get(callId) ?? none;
  }

  *all(): Generator<LedgerEntry> {
    for (const entries of this.#calls.values()) yield* entries;
  }

  /** False where its Call-ID has as many dialogs as are kept of one. */
  add(entry: LedgerEntry): boolean {
    const siblings = this.#calls.get(entry.callId);
    if (siblings && siblings.length >= mostPerCall) return false;
    if (siblings) siblings.push(entry);
    else this.#calls.set(entry.callId, [entry]);
    this.#tombstones.delete(entry.callId);
    this.#size++;
    this.weigh(entry);
    return true;
  }

  /** It has changed: it is now the last to be forgotten. */
  touch(entry: LedgerEntry, atMs: number): void {
    entry.changedMs = atMs;
    const entries = this.#calls.get(entry.callId);
    if (!entries) return;
    this.#calls.delete(entry.callId);
    this.#calls.set(entry.callId, entries);
    if (entry.state === 'confirmed') this.#changed.add(entry);
  }

  /** Its strings have changed. */
  weigh(entry: LedgerEntry): void {
    const bytes =
      entryBytes + sizeOf(entry.initial.message) + sizeOf(entry.routeSet) + (entry.remoteTarget?.length ?? 0);
    this.#bytes += bytes - entry.bytes;
    entry.bytes = bytes;
    this.#evict(entry);
  }

  /** A dialog is over, or an INVITE has failed. */
  end(entry: LedgerEntry, nowMs: number): void {
    this.#remove(entry);
    const { local, remote, role, initial } = entry;
    const fromTag = role === 'uac' ? local.tag : remote.tag;
    this.#tombstones.delete(entry.callId);
    this.#tombstones.set(entry.callId, { fromTag, initialCseq: initial.cseq, goneMs: nowMs });
    dropOldest(this.#tombstones, mostTombstones);
  }

  /** Without a trace: another entry stands for it. */
  replace(entry: LedgerEntry): void {
    this.#remove(entry);
  }

  isGone(callId: string): boolean {
    return this.#tombstones.has(callId);
  }

  /** Whether an INVITE is one that has failed, or made a dialog that is over. */
  isOldInvite(callId: string, fromTag: string, cseq: number): boolean {
    const tombstone = this.#tombstones.get(callId);
    return tombstone?.fromTag === fromTag && cseq <= tombstone.initialCseq;
  }

  drain(): { readonly changed: LedgerEntry[]; readonly ended: string[] } {
    const drained = { changed: [...this.#changed], ended: [...this.#ended] };
    this.#changed.clear();
    this.#ended.clear();
    return drained;
  }

  prune(nowMs: number): void {
    for (const entry of this.all()) {
      if (entry.state !== 'early' || nowMs - entry.changedMs <= this.#limits.earlyMs) continue;
      this.#remove(entry);
      this.#forgotten++;
    }
    for (const [callId, { goneMs }] of this.#tombstones) {
      if (nowMs - goneMs <= tombstoneMs) break;
      this.#tombstones.delete(callId);
    }
  }

  #remove(entry: LedgerEntry): void {
    const entries = this.#calls.get(entry.callId);
    const at = entries?.indexOf(entry) ?? -1;
    if (!entries || at < 0) return;
    // A new array: somebody may be walking over the old one.
    if (entries.length === 1) this.#calls.delete(entry.callId);
    else
      this.#calls.set(
        entry.callId,
        entries.filter(one => one !== entry),
      );
    this.#size--;
    this.#bytes -= entry.bytes;
    entry.bytes = 0;
    this.#changed.delete(entry);
    if (entry.state !== 'confirmed') return;
    const other = this.of(entry.callId).find(one => one.state === 'confirmed');
    if (other) this.#changed.add(other);
    else this.#ended.add(entry.callId);
    dropOldest(this.#ended, this.#limits.dialogs);
  }

  #evict(newest: LedgerEntry): void {
    while (this.#size > this.#limits.dialogs || this.#bytes > this.#limits.bytes) {
      const [oldest] = this.#calls.values();
      const entry = oldest?.find(one => one !== newest);
      if (!entry) return;
      this.#remove(entry);
      this.#evicted++;
    }
  }
}

const none: readonly LedgerEntry[] = [];

function dropOldest(kept: Map<string, unknown> | Set<string>, most: number): void {
  if (kept.size <= most) return;
  const [oldest] = kept.keys();
  if (oldest !== undefined) kept.delete(oldest);
}

/** Characters of all strings in a value, and what each costs beside them. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return stringBytes + value.length;
  if (typeof value !== 'object' || value === null) return 0;
  let size = 0;
  for (const part of Object.values(value)) size += sizeOf(part);
  return size;
}

/** Our own copies of what was cut out of a message. */
export function copiesOf(texts: readonly string[]): string[] {
  return texts.map(copyOf);
}
