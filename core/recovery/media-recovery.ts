// Moves the media of a dead RTPEngine to another one: every leg that had ports there gets a re-INVITE from its own Asterisk.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { CallEngine } from '../calls/call-engine.js';
import { messageOf } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Dialog } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import type { AsteriskFarm } from '../ports/asterisk.js';
import type { EngineIncarnation } from '../ports/edge.js';
import type { Store, StoreWrite, Table } from '../store/store.js';
import { epochOf, type NodeDeath } from './recovery-ports.js';
import type { LedgerPort } from './dialog-source.js';
import { engineOf, mediaLegs, onEngines, type MediaLeg } from './media-legs.js';
import type { RecoveryRecord } from './recovery-record.js';

export interface MediaRecoveryOptions {
  readonly store: Store;
  readonly engine: CallEngine;
  readonly nodes: NodeStates;
  readonly asterisks: AsteriskFarm;
  readonly ledger: () => LedgerPort | undefined;
  /** Incarnation in a dialog's Route → node whose ports the dialog has, as the farm is now. */
  readonly serving: () => ReadonlyMap<string, string>;
  /** Incarnations as the edge has them, dead ones with their successors. */
  readonly incarnations: () => readonly EngineIncarnation[];
  /** Brings the Kamailios to what the farm is now; the phones' requests then find the successors. */
  readonly applyEdge: (reason: string) => Promise<unknown>;
  readonly patienceMs: () => number;
  /** Told what became of the legs. */
  readonly done: (record: RecoveryRecord) => void;
  readonly log: Logger;
}

/** A move that has begun: in the store until it is done, so that a daemon that dies can do it again. */
const moveSchema = z.object({
  death: z.object({ node: z.string(), reason: z.string(), firstSignMs: z.number(), declaredMs: z.number() }),
  /** Incarnations whose dialogs have lost their ports. */
  lost: z.array(z.string()),
});

/** re-INVITEs asked for at once of one Asterisk. */
const inFlight = 8;
const lookEveryMs = 50;
/** A leg that had an offer from a dead engine is known so soon after its death. */
const arrivalMs = 3_000;
const followEveryMs = 250;
/** How long a session waits for the verdict on its engine, ms, and how often it looks: servers of one host are found dead within a tenth of a second. */
const doubt = { mostMs: 300, everyMs: 10 };
/** How often a leg that was answered is looked at before its dialog must have been seen. */
const mostLooks = 10;

export class MediaRecovery {
  readonly #options: MediaRecoveryOptions;
  readonly #moves: Table<z.output<typeof moveSchema>>;
  #nodeOf: ReadonlyMap<string, string> = new Map();
  /** What a death has cost, until its media move: incarnations by epoch. */
  readonly #lost = new Map<string, ReadonlySet<string>>();
  #closed = false;

  constructor(options: MediaRecoveryOptions) {
    this.#options = options;
    this.#moves = options.store.table('media-moves', moveSchema);
  }

  /** Takes up what an earlier daemon had begun: to be re-INVITEd twice harms nobody. */
  async load(): Promise<void> {
    for await (const [, { value }] of this.#moves.range()) void this.#move(value.death, new Set(value.lost));
  }

  /** The edge has taken this farm: whoever sends an offer now gets ports from these. */
  note(): void {
    this.#nodeOf = this.#options.serving();
  }

  /** Written with an engine's end, so that a daemon which dies before it has begun to move the media leaves that to the next one. */
  noting(death: NodeDeath): readonly StoreWrite[] {
    const lost = this.#servedBy(death.node);
    this.#lost.set(epochOf(death), lost);
    return lost.size === 0 ? [] : [this.#moves.putting(epochOf(death), { death, lost: [...lost] })];
  }

  /** An RTPEngine is dead, as was noted: the legs that had ports there get others. */
  async engineDied(death: NodeDeath): Promise<void> {
    const lost = this.#lost.get(epochOf(death));
    this.#lost.delete(epochOf(death));
    if (lost && lost.size > 0) await this.#move(death, lost);
  }

  /** Incarnations whose dialogs have ports on this node, or are about to: it has just taken over from another one, and not all Kamailios know yet. */
  #servedBy(node: string): ReadonlySet<string> {
    const all = [...this.#nodeOf, ...this.#options.serving()];
    return new Set(all.filter(([, on]) => on === node).map(([id]) => id));
  }

  /**
   * Resolves when the Kamailios send this dialog's media to an RTPEngine of which nothing bad is known, or after 300 ms: an engine may be dying with
   * the call node, and an offer to a frozen one keeps a worker of a Kamailio for half a second.
   */
  async ready(dialog: Dialog): Promise<void> {
    const endMs = Date.now() + doubt.mostMs;
    while (this.#isInDoubt(dialog) && Date.now() < endMs) await delay(doubt.everyMs);
  }

  #isInDoubt(dialog: Dialog): boolean {
    const node = this.#nodeOf.get(engineOf(dialog) ?? '');
    return node !== undefined && ['suspect', 'dead'].includes(this.#options.nodes.state(node));
  }

  async #move(death: NodeDeath, lost: ReadonlySet<string>): Promise<void> {
    try {
      await this.#moveLegs(death, lost);
    } catch (error) {
      const { node } = death;
      this.#options.log.error({ node, error }, `the media that ${node} had do not move: ${messageOf(error)}`);
    }
  }

  async #moveLegs(death: NodeDeath, lost: ReadonlySet<string>): Promise<void> {
    const { log, applyEdge, done } = this.#options;
    const { node, firstSignMs, declaredMs } = death;
    const record: RecoveryRecord = {
      ...{ epoch: epochOf(death), node, farm: 'rtpengine', firstSignMs, declaredMs },
      ...{ sessions: { found: 0, recovered: 0, ended: 0, failed: 0 }, lastUpMs: null, done: false },
    };
    const up = this.#legs().filter(isUp);
    const noted = this.#moves.put(record.epoch, { death, lost: [...lost] });
    const legs = onEngines(up, await this.#dialogs(up), lost);
    await Promise.all([noted, this.#successors(lost)]);
    await applyEdge(`${node} is dead`);
    this.note();
    if (legs.length > 0)
      log.warn({ node, legs: legs.length }, `${node} died with the media of ${legs.length} legs: they move to another`);
    const moving = await this.#reinvite(legs, record);
    const { found, recovered } = record.sessions;
    log.info({ node, found, recovered }, `the media of ${recovered} of ${found} legs have left ${node}`);
    done({ ...record, done: true });
    const seen = up.filter(({ leg }) => leg.recovering === null && !moving.has(leg.id)).map(({ leg }) => leg.id);
    await this.#follow(new Set(seen), lost, record);
    if (record.sessions.found > found) done({ ...record, done: true });
    if (!this.#closed) await this.#moves.delete(record.epoch);
  }

  close(): void {
    this.#closed = true;
  }

  /**
   * A call in set-up has the dead engine's ports in its offer, and nobody's in its answer: its legs are re-INVITEd once they are
   * up, where their dialogs name that engine. So are those whose own node has died as well: their recovery was a re-INVITE while some of the
   * Kamailios may have known of the successor and others not. `seen` are the legs that need no looking after.
   */
  async #follow(seen: Set<string>, lost: ReadonlySet<string>, record: RecoveryRecord): Promise<void> {
    const arriveUntilMs = Date.now() + arrivalMs;
    const looksLeft = new Map<string, number>();
    do {
      const legs = this.#legs();
      if (Date.now() < arriveUntilMs)
        for (const { leg } of legs.filter(one => !seen.has(one.leg.id))) looksLeft.set(leg.id, mostLooks);
      for (const id of looksLeft.keys()) {
        seen.add(id);
        if (!legs.some(({ leg }) => leg.id === id)) looksLeft.delete(id);
      }
      const answered = legs.filter(one => isUp(one) && !this.#isMoving(one.leg) && looksLeft.has(one.leg.id));
      const dialogs = answered.length === 0 ? undefined : await this.#dialogs(answered);
      for (const { leg, sipCallId } of answered) {
        const left = dialogs?.has(sipCallId ?? '') === true ? 0 : (looksLeft.get(leg.id) ?? 0) - 1;
        if (left > 0) looksLeft.set(leg.id, left);
        else looksLeft.delete(leg.id);
      }
      if (dialogs) await this.#reinvite(onEngines(answered, dialogs, lost), record);
      await delay(followEveryMs);
    } while (!this.#closed && (looksLeft.size > 0 || Date.now() < arriveUntilMs));
  }

  #legs(): MediaLeg[] {
    const { book } = this.#options.engine;
    return mediaLegs(book.list(), leg => book.sipCallIdOf(leg));
  }

  /** All dialogs of the legs' nodes by Call-ID. */
  async #dialogs(legs: readonly MediaLeg[]): Promise<Map<string, Dialog>> {
    const { ledger, log } = this.#options;
    const dialogs = new Map<string, Dialog>();
    for (const node of new Set(legs.map(({ leg }) => leg.node))) {
      const there = await ledger()
        ?.dialogs(node)
        .catch((error: unknown): readonly Dialog[] => {
          log.error({ node, error }, `legs of ${node} not known: ${messageOf(error)}`);
          return [];
        });
      for (const dialog of there ?? []) dialogs.set(dialog.callId, dialog);
    }
    return dialogs;
  }

  /** Waits until engines that live have taken over from these, as long as the policy's patience lasts. */
  async #successors(lost: ReadonlySet<string>): Promise<void> {
    const endMs = Date.now() + this.#options.patienceMs();
    while (!this.#areServed(lost) && Date.now() < endMs) await delay(lookEveryMs);
  }

  #areServed(lost: ReadonlySet<string>): boolean {
    const known = new Map(this.#options.incarnations().map(one => [one.id, one]));
    const isServed = (id: string): boolean => {
      const one = known.get(id);
      // One that is forgotten has nobody left to wait for.
      return one === undefined || one.state !== 'dead' || (one.successor !== undefined && isServed(one.successor));
    };
    return [...lost].every(isServed);
  }

  /** Counts what it does in the record. Gives the legs that are under way to another node meanwhile. */
  async #reinvite(legs: readonly MediaLeg[], record: RecoveryRecord): Promise<ReadonlySet<string>> {
    const nodes = new Set(legs.map(({ leg }) => leg.node));
    const moving = await Promise.all(
      [...nodes].map(name =>
        this.#reinviteOn(
          name,
          legs.filter(({ leg }) => leg.node === name),
          record,
        ),
      ),
    );
    return new Set(moving.flat());
  }

  async #reinviteOn(node: string, legs: readonly MediaLeg[], record: RecoveryRecord): Promise<readonly string[]> {
    await this.#connected(node);
    const waiting = [...legs];
    const moving: string[] = [];
    const oneByOne = async (): Promise<void> => {
      for (let one = waiting.shift(); one; one = waiting.shift())
        if (!(await this.#reinviteLeg(node, one, record))) moving.push(one.leg.id);
    };
    await Promise.all(Array.from({ length: inFlight }, oneByOne));
    return moving;
  }

  /** False for one that is under way to another node. */
  async #reinviteLeg(node: string, { callId, leg }: MediaLeg, record: RecoveryRecord): Promise<boolean> {
    const { engine, asterisks, log } = this.#options;
    const now = engine.book.record(callId)?.legs.find(one => one.id === leg.id);
    if (now && (now.node !== node || this.#isMoving(now))) return false;
    record.sessions.found++;
    if (!now) {
      record.sessions.ended++;
      return true;
    }
    const { channels } = asterisks.node(node).ari;
    try {
      const refresh = { variable: 'PJSIP_SEND_SESSION_REFRESH()', value: 'reoffer' };
      await channels.setChannelVar({ channelId: leg.id, ...refresh });
      record.sessions.recovered++;
      record.lastUpMs = Date.now();
      log.info({ call: callId, leg: leg.id, from: record.node }, `the media of ${leg.id} leave ${record.node}`);
    } catch (error) {
      record.sessions.failed++;
      log.warn({ call: callId, leg: leg.id, error }, `no re-INVITE for ${leg.id}: ${messageOf(error)}`);
    }
    return true;
  }

  /** Its node has died as well, and it is recovered, or about to be. */
  #isMoving({ node, recovering }: MediaLeg['leg']): boolean {
    return recovering !== null || this.#options.nodes.isDead(node);
  }

  /** A daemon that has just started may not have heard of its call nodes yet. */
  async #connected(node: string): Promise<void> {
    const { nodes, patienceMs } = this.#options;
    const endMs = Date.now() + patienceMs();
    while (nodes.state(node) === 'dead' && !nodes.isDead(node) && Date.now() < endMs) await delay(lookEveryMs);
  }
}

function isUp({ leg }: MediaLeg): boolean {
  return leg.state === 'confirmed';
}
