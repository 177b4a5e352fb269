// Keeps the ledger through a restart of the daemon: its dialogs in the store, and what was missed from the living Asterisks.
import { echoPeer, type CallRecord } from '../calls/call-record.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AriClient, AsteriskFarm } from '../ports/asterisk.js';
import type { Store, Table } from '../store/store.js';
import { parseNameAddr, splitOutside } from '../trace/sip-header.js';
import { dialogSchema, sdpDirection, type Dialog, type DialogFacts } from './dialog.js';

/** The ledger in its thread. */
export interface LedgerThread {
  onDialogs(listener: (changed: readonly Dialog[], ended: readonly string[]) => void): () => void;
  seed(dialogs: readonly Dialog[]): void;
  fill(facts: readonly DialogFacts[]): void;
  forget(callId: string): void;
  dialogs(node: string): Promise<readonly Dialog[]>;
}

export interface DialogBookOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly calls: () => readonly CallRecord[];
  readonly log: Logger;
}

/** Dialogs asked for at once of one Asterisk: they are not urgent. */
const inFlight = 2;
/** What an Asterisk says while a transaction is under way may be older than what was seen of it. */
const fillAfterMs = 1_000;

export class DialogBook {
  readonly #options: DialogBookOptions;
  readonly #table: Table<Dialog>;
  /** Of the dialogs in the store. */
  readonly #callIds = new Set<string>();
  /** Nodes that are about to be asked for what was missed, or are being asked; true where more was missed since. */
  readonly #filling = new Map<string, boolean>();
  #ledger: LedgerThread | undefined;

  constructor(options: DialogBookOptions) {
    this.#options = options;
    this.#table = options.store.table('dialogs', dialogSchema);
  }

  /** Gives the ledger what an earlier daemon knew, and writes down what it learns from now on. */
  async open(ledger: LedgerThread): Promise<void> {
    const known: Dialog[] = [];
    for await (const [callId, { value }] of this.#table.range()) {
      known.push(value);
      this.#callIds.add(callId);
    }
    ledger.seed(known);
    this.#ledger = ledger;
    ledger.onDialogs((changed, ended) => {
      void this.#write(changed, ended);
      for (const { node, holes } of changed) if (holes.includes('lost')) this.#fillSoon(node);
    });
  }

  /** Call-IDs of the dialogs that are kept. */
  callIds(): readonly string[] {
    return [...this.#callIds];
  }

  /** Its call is over, though nobody saw its BYE. */
  async forget(callId: string): Promise<void> {
    this.#ledger?.forget(callId);
    this.#callIds.delete(callId);
    await this.#table.delete(callId);
  }

  /** Asks the node for dialogs with holes, while its Asterisk lives to answer: as its event stream opens, and when copies were missed. */
  async fill(node: string): Promise<void> {
    const ledger = this.#ledger;
    if (!ledger) return;
    try {
      const seen = new Map((await ledger.dialogs(node)).map(dialog => [dialog.callId, dialog]));
      const legs = this.#options.calls().flatMap(call =>
        call.legs.filter(leg => {
          if (leg.node !== node || leg.state !== 'confirmed' || leg.peer === echoPeer) return false;
          const dialog = leg.sipCallId === null ? undefined : seen.get(leg.sipCallId);
          return dialog === undefined || dialog.holes.length > 0;
        }),
      );
      const waiting = legs.map(leg => leg.id);
      const { ari } = this.#options.asterisks.node(node);
      const one = async (): Promise<void> => {
        for (let legId = waiting.shift(); legId !== undefined; legId = waiting.shift()) {
          const facts = await readDialog(ari, node, legId).catch(() => undefined);
          if (facts) ledger.fill([facts]);
        }
      };
      await Promise.all(Array.from({ length: inFlight }, one));
      if (legs.length > 0)
        this.#options.log.info({ node, legs: legs.length }, `asked ${node} for ${legs.length} dialogs`);
    } catch (error) {
      this.#options.log.warn({ node, error }, `dialogs of ${node} not filled: ${messageOf(error)}`);
    }
  }

  #fillSoon(node: string): void {
    if (this.#filling.has(node)) {
      this.#filling.set(node, true);
      return;
    }
    this.#filling.set(node, false);
    const fill = async (): Promise<void> => {
      this.#filling.set(node, false);
      await this.fill(node);
      const isMore = this.#filling.get(node) === true;
      this.#filling.delete(node);
      if (isMore) this.#fillSoon(node);
    };
    setTimeout(() => void fill(), fillAfterMs).unref();
  }

  async #write(changed: readonly Dialog[], ended: readonly string[]): Promise<void> {
    for (const { callId } of changed) this.#callIds.add(callId);
    for (const callId of ended) this.#callIds.delete(callId);
    try {
      await this.#options.store.transaction([
        ...changed.map(dialog => this.#table.putting(dialog.callId, dialog)),
        ...ended.map(callId => this.#table.deleting(callId)),
      ]);
    } catch (error) {
      this.#options.log.warn({ error }, `dialogs not written down: ${messageOf(error)}`);
    }
  }
}

/** Reads a dialog from the Asterisk that has it, by CHANNEL(pjsip,…) with our fields (patches/0001). */
export async function readDialog(ari: AriClient, node: string, channelId: string): Promise<DialogFacts | undefined> {
  const read = async (field: string): Promise<string> =>
    (await ari.channels.getChannelVar({ channelId, variable: `CHANNEL(pjsip,${field})` })).value;
  const [callId, role, localTag, remoteTag] = [
    await read('call-id'),
    await read('role'),
    await read('local_tag'),
    await read('remote_tag'),
  ];
  if (callId === '' || localTag === '' || remoteTag === '' || (role !== 'uac' && role !== 'uas')) return undefined;
  const sdp = async (side: 'local' | 'remote'): Promise<Dialog['localSdp']> => {
    const origin = await read(`${side}_sdp_origin`);
    const direction = sdpDirection.safeParse(await read(`${side}_sdp_direction`)).data;
    return origin === '' || direction === undefined ? null : { origin, direction };
  };
  return {
    ...{ callId, node, role, localTag, remoteTag },
    local: party(await read('local_uri')),
    remote: party(await read('remote_uri')),
    remoteTarget: await read('target_uri'),
    localCseq: number(await read('local_cseq')),
    remoteCseq: number(await read('remote_cseq')),
    routeSet: splitOutside(await read('route_set'), ','),
    localSdp: await sdp('local'),
    remoteSdp: await sdp('remote'),
    legId: channelId,
  };
}

function party(value: string): { readonly uri: string; readonly displayName: string } {
  const { uri, displayName } = parseNameAddr(value);
  return { uri, displayName };
}

function number(value: string): number | null {
  return /^\d{1,10}$/.test(value) ? Number(value) : null;
}
