// The ledger of dialogs: from the SIP that every Kamailio shows, what each Asterisk knows of its own dialogs. Pure.
import type { SipMessage } from '../trace/sip-scanner.js';
import type { Dialog, DialogFacts, OpenInvite } from './dialog.js';
import { defaultLedgerLimits, EntryStore, type LedgerLimits } from './entry-store.js';
import { fillEntry } from './fill-entry.js';
import { hear, type HeardMessage, type Passage } from './heard-message.js';
import { InitialTransactions } from './initial-transactions.js';
import { formatDialog, formatOpenInvite, ledgerEntry, seededEntry, transactionMs } from './ledger-entry.js';
import { MidDialog } from './mid-dialog.js';

export interface LedgerOptions extends Partial<LedgerLimits> {
  /** ms since 1970. */
  readonly now?: () => number;
}

export interface LedgerCounters {
  /** Dialogs kept now, early ones among them, and their memory (estimated). */
  readonly dialogs: number;
  readonly ledgerBytes: number;
  /** Had to go because the ledger was full. */
  readonly evicted: number;
  /** Never confirmed, and silent for too long. */
  readonly forgotten: number;
  /** Messages of an Asterisk without CSeq, tags or whole headers. */
  readonly unreadable: number;
}

export class DialogLedger {
  readonly #now: () => number;
  readonly #store: EntryStore;
  readonly #initial: InitialTransactions;
  readonly #midDialog: MidDialog;
  #unreadable = 0;

  constructor({ now = Date.now, ...limits }: LedgerOptions = {}) {
    this.#now = now;
    this.#store = new EntryStore({ ...defaultLedgerLimits, ...limits });
    this.#initial = new InitialTransactions(this.#store, now);
    this.#midDialog = new MidDialog(this.#store, this.#initial, now);
  }

  get counters(): LedgerCounters {
    return { ...this.#store.counters, unreadable: this.#unreadable };
  }

  /** Takes one message, in whatever order and number they come. Never throws. */
  take(sip: SipMessage, passage: Passage): void {
    const node = passage.fromNode ?? passage.toNode;
    if (node === undefined) {
      this.#midDialog.answeredByEdge(sip);
      return;
    }
    if (sip.method === 'CANCEL') return;
    if (!sip.isHeadWhole) {
      this.#damaged(sip, node, passage.atMs);
      return;
    }
    const heard = hear(sip, node, passage);
    if (heard) this.#take(heard);
    else this.#unreadable++;
  }

  /** The dialog of this Call-ID, the confirmed one first. */
  dialog(callId: string): Dialog | undefined {
    const entries = this.#store.of(callId);
    const entry = entries.find(one => one.state === 'confirmed') ?? entries.at(-1);
    return entry && formatDialog(entry, this.#now());
  }

  /** Confirmed dialogs that a node carries. */
  dialogsOn(node: string): Dialog[] {
    const nowMs = this.#now();
    const dialogs: Dialog[] = [];
    for (const entry of this.#store.all()) {
      if (entry.node === node && entry.state === 'confirmed') dialogs.push(formatDialog(entry, nowMs));
    }
    return dialogs;
  }

  /** Initial INVITEs of a node without a final response, and those of ours whose 2xx was not acknowledged. */
  openInvitesOn(node: string): OpenInvite[] {
    const invites = new Map<object, OpenInvite>();
    for (const entry of this.#store.all()) {
      // Early dialogs of one INVITE share it.
      const open = entry.node === node ? formatOpenInvite(entry) : undefined;
      if (open) invites.set(entry.initial, open);
    }
    return [...invites.values()];
  }

  /** Takes over what an earlier daemon knew; messages since then are missing. What is known already stays. */
  seed(dialogs: readonly Dialog[]): void {
    for (const dialog of dialogs) {
      const isKnown = this.#store.of(dialog.callId).some(one => one.local.tag === dialog.local.tag);
      if (isKnown || this.#store.isGone(dialog.callId) || dialog.state !== 'confirmed') continue;
      this.#store.add(seededEntry(dialog));
    }
  }

  /** What a living Asterisk says of its dialog: fills what was not seen. Sequence numbers never go back. */
  fill(facts: DialogFacts): void {
    const known = this.#store.of(facts.callId).find(one => one.local.tag === facts.localTag);
    const entry = known ?? ledgerEntry(facts.callId, facts.node, facts.role, this.#now());
    if (!known && (this.#store.isGone(facts.callId) || !this.#store.add(entry))) return;
    fillEntry(entry, facts, this.#now());
    this.#store.weigh(entry);
    this.#store.touch(entry, entry.changedMs);
  }

  /** Its call is over, whatever was seen of it. */
  forget(callId: string): void {
    for (const entry of this.#store.of(callId)) this.#store.end(entry, this.#now());
  }

  /** Confirmed dialogs that changed, and Call-IDs without one any more, since the last time. */
  drain(): { readonly changed: Dialog[]; readonly ended: string[] } {
    const { changed, ended } = this.#store.drain();
    const nowMs = this.#now();
    return { changed: changed.map(entry => formatDialog(entry, nowMs)), ended };
  }

  /** Forgets what never became a dialog, and dialogs whose BYE nobody answered. To be called now and then. */
  prune(nowMs: number): void {
    for (const entry of this.#store.all()) {
      if (entry.byeMs !== undefined && nowMs - entry.byeMs > transactionMs) this.#store.end(entry, nowMs);
    }
    this.#store.prune(nowMs);
  }

  #take(heard: HeardMessage): void {
    const { sip, method, toTag } = heard;
    if (method === 'INVITE' && sip.kind === 'request' && toTag === undefined) this.#initial.request(heard);
    else if (method === 'INVITE' && sip.kind === 'response' && this.#initial.response(heard)) return;
    else if (toTag !== undefined) this.#midDialog.take(heard);
  }

  /** Headers are cut off: which, nobody knows. */
  #damaged(sip: SipMessage, node: string, atMs: number): void {
    this.#unreadable++;
    for (const entry of this.#store.of(sip.callId)) {
      if (entry.node !== node) continue;
      entry.holes.add('lost');
      this.#store.touch(entry, atMs);
    }
  }
}
