// Conferences whose servers die: made again on another conference node, or attached anew from another call node.
import { messageOf } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Logger } from '../log.js';
import type { AsteriskFarm } from '../ports/asterisk.js';
import type { ConferenceBook } from './conference-book.js';
import type { ConferencePlacement } from './conference-placement.js';
import {
  bridgeOnCallNode,
  innerBridgeId,
  innerLegId,
  type ConferenceRecord,
  type Participant,
} from './conference-record.js';
import type { Holds } from './holds.js';
import type { PhoneHolds } from './phone-holds.js';
import { hasSameInner, type BrokenInner } from './inner-leg-check.js';
import { ignoreGone, type InnerLegs } from './inner-legs.js';

export interface ConferenceMovesOptions {
  readonly asterisks: AsteriskFarm;
  readonly nodes: NodeStates;
  readonly log: Logger;
  /** How long a conference waits for a conference node after the death of its own, ms. */
  readonly patienceMs: () => number;
  readonly book: ConferenceBook;
  readonly inners: InnerLegs;
  readonly holds: Holds;
  readonly phoneHolds: PhoneHolds;
  readonly lost: (callId: string, reason: string) => void;
  readonly placement: ConferencePlacement;
}

/** Participants of conferences that were made again, and how many of them are in again. */
export interface ConferencesRebuilt {
  readonly found: number;
  readonly attached: number;
}

export class ConferenceMoves {
  readonly #options: ConferenceMovesOptions;
  /** Inner legs under way for legs that are being recovered, by leg. */
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(options: ConferenceMovesOptions) {
    this.#options = options;
  }

  /**
   * The conference's bridge, where it does not come by itself with the first inner leg. That of a room mixes from its first participant to its
   * last, as `video_sfu` has it (res/res_stasis.c), which changes nothing about audio: two RTP streams passed on past their channels could not be
   * silenced, and what is recorded would have holes where nobody is heard.
   */
  async makeBridge({ id, room, mixing, node }: ConferenceRecord): Promise<void> {
    if (room === null && mixing === 'conference-farm') return;
    const type = room === null ? 'mixing' : 'mixing,video_sfu';
    await this.#options.asterisks.node(node).ari.bridges.createWithId({ bridgeId: id, type });
  }

  async lostNode(node: string, reason: string): Promise<ConferencesRebuilt> {
    const mixedThere = this.#options.book.list().filter(one => one.node === node && one.mixing === 'conference-farm');
    const rebuilt = await Promise.all(mixedThere.map(one => this.rebuild(one.id, node, reason)));
    return {
      found: rebuilt.reduce((sum, one) => sum + one.found, 0),
      attached: rebuilt.reduce((sum, one) => sum + one.attached, 0),
    };
  }

  /** Makes one conference again on another conference node, once, however many say that it is lost. */
  async rebuild(id: string, lost: string, reason: string): Promise<ConferencesRebuilt> {
    const { book, log } = this.#options;
    return book.run(id, async () => {
      const before = book.get(id);
      if (before?.node !== lost) return { found: 0, attached: 0 };
      const node = await this.#conferenceNodeInTime();
      if (node === undefined) {
        const callIds = new Set(before.participants.map(one => one.callId));
        for (const callId of callIds) this.#options.lost(callId, `${reason}, and no other conference node is up`);
        return { found: before.participants.length, attached: 0 };
      }
      const after = { ...before, node, participants: before.participants.map(withNextInner) };
      await book.save(after);
      await this.#makeBridgeOrWarn(after);
      const found = after.participants.filter(one => !one.entering);
      const attached = await Promise.all(found.map(one => this.#reattach(before, after, one)));
      log.info(
        { conference: id, from: lost, node, legs: found.length },
        `conference ${id} is made again on ${node}: ${reason}`,
      );
      return { found: found.length, attached: attached.filter(Boolean).length };
    });
  }

  /** Gives participants of a call's conference new inner legs in place of those that an earlier daemon left them with. */
  async mend(callId: string, broken: readonly BrokenInner[]): Promise<void> {
    const { book, log } = this.#options;
    await book.runOf(callId, async before => {
      const due = broken.filter(({ participant }) => before.participants.some(one => hasSameInner(one, participant)));
      if (before.mixing !== 'conference-farm' || due.length === 0) return;
      const oldOf = new Map(due.map(({ participant, inners }) => [participant.legId, inners]));
      const participants = before.participants.map(one => (oldOf.has(one.legId) ? withNextInner(one) : one));
      const after = { ...before, participants };
      await book.save(after);
      await this.#makeBridgeOrWarn(after);
      const mended = participants.filter(one => oldOf.has(one.legId));
      await Promise.all(mended.map(one => this.#replaceInner(after, one, oldOf.get(one.legId) ?? [])));
      log.info(
        { conference: after.id, node: after.node, legs: mended.map(one => one.legId) },
        `conference ${after.id} has ${mended.length} inner legs that an earlier daemon did not finish`,
      );
    });
  }

  async #makeBridgeOrWarn(conference: ConferenceRecord): Promise<void> {
    const { id, node } = conference;
    await this.makeBridge(conference).catch((error: unknown) =>
      this.#options.log.warn(
        { conference: id, node, error },
        `no bridge for ${id} on ${node} yet: ${messageOf(error)}`,
      ),
    );
  }

  /**
   * Legs of a call are recovered on another call node: what is theirs of the conference is made there, so that `attach` has
   * only to put them in as they come up. Done anew where it was done before: that node may have died since, or the daemon.
   */
  async move(callId: string, legIds: readonly string[], node: string): Promise<void> {
    const { book, inners } = this.#options;
    await book.runOf(callId, async before => {
      const moving = before.participants.filter(one => legIds.includes(one.legId));
      if (moving.length === 0) return;
      const participants = before.participants.map(one =>
        moving.includes(one) ? { ...withNextInner(one), callNode: node } : one,
      );
      const after: ConferenceRecord = { ...before, participants, ...(before.mixing === 'call-node' ? { node } : {}) };
      await book.save(after);
      if (after.mixing === 'call-node') return;
      for (const one of moving) inners.endFarEnd(innerLegId(one));
      for (const one of participants.filter(now => moving.some(was => was.legId === now.legId))) {
        const made = this.#untilThere(after.node).then(() => inners.make(after, one));
        this.#underWay.set(one.legId, made);
        // Whoever attaches the leg hears of a failure.
        made.catch(() => undefined);
      }
    });
  }

  bridgeOf(callId: string, legId: string): string | undefined {
    const conference = this.#options.book.ofCall(callId);
    const member = conference?.participants.find(one => one.legId === legId);
    // Who is on hold must not come into it by itself: somebody would hear them.
    return !conference || !member || member.onHold ? undefined : bridgeOnCallNode(conference, legId);
  }

  async attach(callId: string, legId: string, isIn: boolean): Promise<void> {
    const { book, asterisks, inners, holds, phoneHolds } = this.#options;
    const conference = book.ofCall(callId);
    const member = conference?.participants.find(one => one.legId === legId);
    if (!conference || !member) return;
    const { ari } = asterisks.node(member.callNode);
    holds.forget(legId);
    if (conference.mixing === 'conference-farm') {
      const made = this.#underWay.get(legId) ?? inners.make(conference, member);
      this.#underWay.delete(legId);
      await made;
    }
    if (conference.participants.some(one => one.onHold)) return holds.refresh(conference.id);
    holds.arrived(legId);
    if (!isIn) {
      const bridgeId = bridgeOnCallNode(conference, legId);
      const { channels } = await ari.bridges.createWithId({ bridgeId, type: 'mixing' });
      // One that an earlier daemon asked for came into it by itself.
      if (!channels.includes(legId)) await ari.bridges.addChannel({ bridgeId, channel: legId });
    }
    await phoneHolds.attached(conference, member);
  }

  async #reattach(before: ConferenceRecord, after: ConferenceRecord, now: Participant): Promise<boolean> {
    // One whose call node died as well comes by `attach`, when it is recovered.
    if (this.#options.nodes.isDead(now.callNode)) return true;
    const was = before.participants.find(one => one.legId === now.legId);
    return this.#replaceInner(after, now, was ? [innerLegId(was)] : []);
  }

  /** A new inner leg in the old one's place, in the bridge that the participant never left. */
  async #replaceInner(after: ConferenceRecord, now: Participant, old: readonly string[]): Promise<boolean> {
    const { asterisks, inners, lost, phoneHolds } = this.#options;
    const { ari } = asterisks.node(now.callNode);
    const bridgeId = innerBridgeId(now.legId);
    try {
      // The order is there first, and is done long before the new leg is answered.
      const left = old.map(channel => ignoreGone(ari.bridges.removeChannel({ bridgeId, channel })));
      const [made] = await Promise.all([inners.make(after, now), ...left]);
      for (const channelId of old) void ignoreGone(ari.channels.hangup({ channelId }));
      if (made) await phoneHolds.attached(after, now);
      return made;
    } catch (error) {
      lost(now.callId, `its leg could not join ${after.node}: ${messageOf(error)}`);
      return false;
    }
  }

  /** A daemon that has just started may have started the conference node, too: a leg to it would find nobody, and its call would end. */
  async #untilThere(node: string): Promise<void> {
    const { asterisks, nodes, patienceMs } = this.#options;
    const endMs = Date.now() + patienceMs();
    while (!asterisks.node(node).connected && !nodes.isDead(node) && Date.now() < endMs)
      await new Promise(resolve => setTimeout(resolve, 20));
  }

  async #conferenceNodeInTime(): Promise<string | undefined> {
    const endMs = Date.now() + this.#options.patienceMs();
    for (;;) {
      const node = this.#options.placement.conferenceNode();
      if (node !== undefined || Date.now() > endMs) return node;
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }
}

function withNextInner(one: Participant): Participant {
  return { ...one, innerLegs: one.innerLegs + 1 };
}
