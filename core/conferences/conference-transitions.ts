// Conferences that change their place or become one, while people talk: what is new is there before what was is given up, and no phone is told.
import { HoldfastError, messageOf } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Logger } from '../log.js';
import type { AriClient, AsteriskFarm } from '../ports/asterisk.js';
import type { ConferenceBook } from './conference-book.js';
import type { ConferencePlacement } from './conference-placement.js';
import {
  bridgeOnCallNode,
  innerBridgeId,
  innerLegId,
  present,
  type ConferenceRecord,
  type Participant,
} from './conference-record.js';
import type { Holds } from './holds.js';
import { ignoreGone, type InnerLegs } from './inner-legs.js';
import { changesBetween, changesBridge, innerChange, withParticipants, type Change } from './transition-plan.js';

export interface ConferenceTransitionsOptions {
  readonly asterisks: AsteriskFarm;
  readonly nodes: NodeStates;
  readonly log: Logger;
  readonly book: ConferenceBook;
  readonly inners: InnerLegs;
  readonly holds: Holds;
  readonly lost: (callId: string, reason: string) => void;
  readonly placement: ConferencePlacement;
  /** See ConferenceMoves. */
  readonly makeBridge: (conference: ConferenceRecord) => Promise<void>;
}

export class ConferenceTransitions {
  readonly #options: ConferenceTransitionsOptions;

  constructor(options: ConferenceTransitionsOptions) {
    this.#options = options;
  }

  /** The conference with these in it, wherever it has to be mixed then. In its turn. Throws NO_CONFERENCE_NODE. */
  async grow(before: ConferenceRecord, participants: readonly Participant[]): Promise<ConferenceRecord> {
    const after = this.#plan(before, participants, [before]);
    await this.#options.book.save(after);
    await this.#carryOut([before], after, []);
    return after;
  }

  /**
   * All that are in the conference of one call are in that of another from now on, but for the legs `without`, which are in none. Where one of the two is a
   * room, they are in the room. Done anew it changes nothing. Resolves with the id of the conference. Throws CONFERENCE_REFUSED where one of the
   * two is in no conference, or nobody of it would be left; NO_CONFERENCE_NODE.
   */
  async mergeCalls(callId: string, otherCallId: string, without: readonly string[]): Promise<string> {
    const { book } = this.#options;
    const [one, other] = [book.idOf(callId), book.idOf(otherCallId)];
    if (one === undefined || other === undefined) throw notTogether('one of them is talking to nobody any more');
    if (one === other) return one;
    await this.#options.placement.untilConnected([one, other]);
    const merged = await book.runBoth(one, other, async () => {
      const [first, second] = [book.get(one), book.get(other)];
      // One of them has become part of another one while we waited.
      if (!first || !second || book.idOf(callId) !== one || book.idOf(otherCallId) !== other) return undefined;
      const stays = (conference: ConferenceRecord): boolean =>
        present(conference).some(({ legId }) => !without.includes(legId));
      if (!stays(first) || !stays(second) || (first.ending ?? second.ending) !== null)
        throw notTogether('nobody of one of them is there any more');
      const [into, from] = first.room === null && second.room !== null ? [second, first] : [first, second];
      return this.#merge(into, from, without);
    });
    return merged?.id ?? this.mergeCalls(callId, otherCallId, without);
  }

  /**
   * All of `from` are in `into` from now on, but for the legs `without`, which are out of both. In the turns of both. Throws
   * NO_CONFERENCE_NODE, and then nothing has changed.
   */
  async #merge(into: ConferenceRecord, from: ConferenceRecord, without: readonly string[]): Promise<ConferenceRecord> {
    const { book, log } = this.#options;
    const before = [into, from];
    const all = before.flatMap(one => one.participants);
    const after = this.#plan(
      into,
      all.filter(one => !without.includes(one.legId)),
      before,
    );
    await book.merge(after, from.id);
    await this.#carryOut(
      before,
      after,
      all.filter(one => without.includes(one.legId)),
    );
    log.info(
      { conference: into.id, from: from.id, node: after.node, legs: after.participants.length },
      `conference ${from.id} is part of ${into.id} on ${after.node}`,
    );
    return after;
  }

  #plan(
    conference: ConferenceRecord,
    participants: readonly Participant[],
    before: readonly ConferenceRecord[],
  ): ConferenceRecord {
    const after = withParticipants(conference, participants, before, this.#options.placement.conferenceNode());
    if (after) return after;
    throw new HoldfastError('NO_CONFERENCE_NODE', 'they are on different call nodes, and no conference node is up', {
      remedy: 'see `holdfast nodes`',
    });
  }

  /** A dead node's part of it is done by whoever makes its sessions or conferences again. */
  async #carryOut(
    before: readonly ConferenceRecord[],
    after: ConferenceRecord,
    leavers: readonly Participant[],
  ): Promise<void> {
    const { nodes, holds, makeBridge } = this.#options;
    const changes = changesBetween(before, after).filter(({ now }) => !nodes.isDead(now.callNode));
    await makeBridge(after).catch((error: unknown) => this.#failed(after, after.node, error));
    await Promise.all(changes.map(change => this.#makeInner(change, after)));
    await Promise.all([
      ...leavers.map(one => this.#takeOut(before, one)),
      ...changes.map(change => this.#enter(change, after)),
    ]);
    await Promise.all([...changes.map(change => this.#giveUp(change, after)), ...this.#oldBridges(before, after)]);
    void holds.refresh(after.id);
    void this.#options.inners.refresh(after);
  }

  async #makeInner(change: Change, after: ConferenceRecord): Promise<void> {
    const { inners, lost } = this.#options;
    const { now, was } = change;
    const what = innerChange(change, after);
    if (what === 'none') return;
    try {
      if (what === 'move' && (await inners.moveFarEnd(innerLegId(now), after.id))) return;
      // With both in one bridge the new one would take over the sequence numbers of that bridge: see ConferenceMoves.
      const left =
        was && what === 'replace'
          ? this.#onLiving(now.callNode, ari =>
              ari.bridges.removeChannel({ bridgeId: innerBridgeId(now.legId), channel: innerLegId(was) }),
            )
          : undefined;
      await Promise.all([left, inners.make(after, now)]);
    } catch (error) {
      lost(now.callId, `its leg could not join ${after.node}: ${messageOf(error)}`);
    }
  }

  async #enter(change: Change, after: ConferenceRecord): Promise<void> {
    const { asterisks, inners } = this.#options;
    const { now } = change;
    // Who is on hold is in no bridge.
    if (!changesBridge(change, after) || now.onHold) return;
    const { bridges } = asterisks.node(now.callNode).ari;
    const entered =
      after.mixing === 'conference-farm'
        ? inners.admit(after, now)
        : bridges.addChannel({ bridgeId: after.id, channel: now.legId });
    await entered.catch((error: unknown) => this.#failed(after, now.callNode, error));
  }

  /** Its leg is about to be hung up: until then it hears nobody, and nobody hears it. */
  async #takeOut(before: readonly ConferenceRecord[], one: Participant): Promise<void> {
    const conference = before.find(({ participants }) => participants.includes(one));
    if (!conference || one.entering) return;
    const bridgeId = bridgeOnCallNode(conference, one.legId);
    await this.#onLiving(one.callNode, ari => ari.bridges.removeChannel({ bridgeId, channel: one.legId }));
    if (conference.mixing === 'conference-farm') await this.#endInner(one);
  }

  async #giveUp({ now, was, from }: Change, after: ConferenceRecord): Promise<void> {
    if (!was || from?.mixing !== 'conference-farm') return;
    if (after.mixing === 'call-node') await this.#endInner(was);
    else if (was.innerLegs !== now.innerLegs)
      await this.#onLiving(was.callNode, ari => ari.channels.hangup({ channelId: innerLegId(was) }));
  }

  async #endInner(one: Participant): Promise<void> {
    await Promise.all([
      this.#onLiving(one.callNode, ari => ari.channels.hangup({ channelId: innerLegId(one) })),
      this.#onLiving(one.callNode, ari => ari.bridges.destroy({ bridgeId: innerBridgeId(one.legId) })),
    ]);
  }

  #oldBridges(before: readonly ConferenceRecord[], after: ConferenceRecord): Promise<void>[] {
    return before
      .filter(({ id, node }) => id !== after.id || node !== after.node)
      .map(({ id, node }) => this.#onLiving(node, ari => ari.bridges.destroy({ bridgeId: id })));
  }

  async #onLiving(node: string, work: (ari: AriClient) => Promise<unknown>): Promise<void> {
    const { asterisks, nodes } = this.#options;
    if (!nodes.isDead(node)) await ignoreGone(work(asterisks.node(node).ari));
  }

  /** What is gone, or on a dead node, is found out and mended in other ways. */
  #failed({ id }: ConferenceRecord, node: string, error: unknown): void {
    if (!HoldfastError.is(error)) throw error;
    this.#options.log.warn({ conference: id, node, error }, `${node}, of conference ${id}: ${messageOf(error)}`);
  }
}

function notTogether(why: string): HoldfastError {
  return new HoldfastError('CONFERENCE_REFUSED', `they cannot be brought together: ${why}`);
}
