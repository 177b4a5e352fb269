// Moves the media of a dead RTPEngine to another one: every leg that had ports there gets a re-INVITE from its own Asterisk.
import type { CallEngine } from '../calls/call-engine.js';
import { echoPeer } from '../calls/call-record.js';
import { messageOf } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Dialog } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import type { AsteriskFarm } from '../ports/asterisk.js';
import type { EngineIncarnation } from '../ports/edge.js';
import type { Store, Table } from '../store/store.js';
import type { NodeDeath } from './recoveries.js';
import type { LedgerPort } from './dialog-source.js';
import { recoveryRecordSchema, type RecoveryRecord } from './recovery-record.js';

export interface MediaRecoveryOptions {
  readonly store: Store;
  readonly engine: CallEngine;
  readonly nodes: NodeStates;
  readonly asterisks: AsteriskFarm;
  readonly ledger: () => LedgerPort | undefined;
  /** Incarnations as the edge has them, dead ones with their successors. */
  readonly incarnations: () => readonly EngineIncarnation[];
  /** Brings the Kamailios to what the farm is now; the phones' requests then find the successors. */
  readonly applyEdge: (reason: string) => Promise<unknown>;
  readonly patienceMs: () => number;
  readonly log: Logger;
}

/** re-INVITEs asked for at once of one Asterisk. */
const inFlight = 8;
const lookEveryMs = 50;

export class MediaRecovery {
  readonly #options: MediaRecoveryOptions;
  readonly #records: Table<RecoveryRecord>;
  /** Incarnation in a dialog's Route → node whose ports the dialog has. */
  #nodeOf = new Map<string, string>();

  constructor(options: MediaRecoveryOptions) {
    this.#options = options;
    this.#records = options.store.table('recoveries', recoveryRecordSchema);
  }

  /** The edge has taken this farm: whoever sends an offer now gets ports from these. */
  note(): void {
    const all = this.#options.incarnations();
    this.#nodeOf = new Map(
      all.flatMap(({ id }) => {
        const node = resolve(all, id);
        return node === undefined ? [] : [[id, node] as const];
      }),
    );
  }

  /** An RTPEngine is dead. Resolves with what became of the legs that had ports there. */
  async engineDied(death: NodeDeath): Promise<RecoveryRecord> {
    const { log, applyEdge } = this.#options;
    const { node, firstSignMs, declaredMs } = death;
    const lost = new Set([...this.#nodeOf].filter(([, on]) => on === node).map(([id]) => id));
    const record: RecoveryRecord = {
      ...{ epoch: `${node}-${Math.round(firstSignMs).toString(36)}`, node, farm: 'rtpengine', firstSignMs, declaredMs },
      ...{ sessions: { found: 0, recovered: 0, ended: 0, failed: 0 }, lastUpMs: null, done: false },
    };
    const legs = await this.#legsOn(lost);
    record.sessions.found = legs.length;
    await this.#successor(lost);
    await applyEdge(`${node} is dead`);
    this.note();
    if (legs.length > 0)
      log.warn({ node, legs: legs.length }, `${node} died with the media of ${legs.length} legs: they move to another`);
    const callNodes = new Set(legs.map(leg => leg.node));
    const onNode = (name: string): typeof legs => legs.filter(leg => leg.node === name);
    await Promise.all([...callNodes].map(name => this.#reinvite(name, onNode(name), record)));
    const done = { ...record, done: true };
    await this.#records.put(done.epoch, done);
    const { found, recovered } = done.sessions;
    log.info({ node, found, recovered }, `the media of ${recovered} of ${found} legs have left ${node}`);
    return done;
  }

  /** Confirmed legs whose dialogs name one of these incarnations in their Route. */
  async #legsOn(
    lost: ReadonlySet<string>,
  ): Promise<{ readonly legId: string; readonly callId: string; readonly node: string }[]> {
    const { nodes, ledger, engine, log } = this.#options;
    const dialogs = new Map<string, Dialog>();
    for (const { name } of nodes.nodes('call')) {
      const there = await ledger()
        ?.dialogs(name)
        .catch((error: unknown): readonly Dialog[] => {
          log.error({ node: name, error }, `legs of ${name} not known: ${messageOf(error)}`);
          return [];
        });
      for (const dialog of there ?? []) dialogs.set(dialog.callId, dialog);
    }
    return engine.list().flatMap(call =>
      call.legs.flatMap(leg => {
        if (leg.state !== 'confirmed' || leg.ending || leg.peer === echoPeer) return [];
        const dialog = dialogs.get(leg.sipCallId ?? engine.sipCallIdOf(leg.id) ?? '');
        const incarnation = dialog && engineOf(dialog);
        return incarnation !== undefined && lost.has(incarnation)
          ? [{ legId: leg.id, callId: call.id, node: leg.node }]
          : [];
      }),
    );
  }

  /** Waits until some engine can take over, as long as the policy's patience lasts. */
  async #successor(lost: ReadonlySet<string>): Promise<void> {
    const endMs = Date.now() + this.#options.patienceMs();
    const has = (): boolean => {
      const all = this.#options.incarnations();
      return [...lost].every(id => resolve(all, id) !== undefined);
    };
    while (!has() && Date.now() < endMs) await new Promise(resolve => setTimeout(resolve, lookEveryMs));
  }

  async #reinvite(
    node: string,
    legs: readonly { readonly legId: string; readonly callId: string }[],
    record: RecoveryRecord,
  ): Promise<void> {
    const { asterisks, log } = this.#options;
    const { channels } = asterisks.node(node).ari;
    const waiting = [...legs];
    const one = async (): Promise<void> => {
      for (let leg = waiting.shift(); leg; leg = waiting.shift()) {
        try {
          await channels.setChannelVar({
            channelId: leg.legId,
            variable: 'PJSIP_SEND_SESSION_REFRESH()',
            value: 'reoffer',
          });
          record.sessions.recovered++;
          record.lastUpMs = Date.now();
          log.info(
            { call: leg.callId, leg: leg.legId, from: record.node },
            `the media of ${leg.legId} leave ${record.node}`,
          );
        } catch (error) {
          record.sessions.failed++;
          log.warn({ call: leg.callId, leg: leg.legId, error }, `no re-INVITE for ${leg.legId}: ${messageOf(error)}`);
        }
      }
    };
    await Promise.all(Array.from({ length: inFlight }, one));
  }
}

/** The node that serves an incarnation now: its own, or its successor's. */
function resolve(all: readonly EngineIncarnation[], id: string): string | undefined {
  const engine = all.find(one => one.id === id);
  if (!engine) return undefined;
  if (engine.state !== 'dead') return engine.node;
  return engine.successor === undefined ? undefined : resolve(all, engine.successor);
}

/** The engine incarnation of a dialog: second field of the parameter `hf` of our own Route. */
function engineOf(dialog: Dialog): string | undefined {
  for (const route of dialog.routeSet) {
    const fields = /;hf=([^;>]+)/.exec(route)?.[1]?.split('.');
    if (fields?.[1] !== undefined) return fields[1];
  }
  return undefined;
}
