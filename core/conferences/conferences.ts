// The conferences: where each is mixed, who is in it, and the bridges and inner legs that make it so.
import { setTimeout as sleep } from 'node:timers/promises';
import type { StasisArrivals } from '../calls/stasis-arrivals.js';
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AriEvent, AriSnapshot, AsteriskFarm } from '../ports/asterisk.js';
import type { Store } from '../store/store.js';
import { ConferenceBook, type ConferenceListener, type ConferenceWrites } from './conference-book.js';
import {
  ConferenceMembers,
  type ConferenceMembersOptions,
  type EnterRequest,
  type JoinRequest,
} from './conference-members.js';
import { ConferencePlacement, type ConferencePlacementOptions } from './conference-placement.js';
import { ConferenceMoves, type ConferencesRebuilt } from './conference-moves.js';
import {
  bridgeOnCallNode,
  innerBridgeId,
  innerLegId,
  legOfInner,
  present,
  type ConferenceRecord,
} from './conference-record.js';
import { ConferenceTransitions } from './conference-transitions.js';
import { Holds } from './holds.js';
import { InnerLegCheck, type BrokenInner } from './inner-leg-check.js';
import { InnerLegs } from './inner-legs.js';
import { RoomDeadlines } from './room-deadlines.js';
import type { Refusal } from './room-rules.js';
import { Speakers, withSpeakers } from './speakers.js';

export interface ConferencesOptions extends ConferencePlacementOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly arrivals: StasisArrivals;
  readonly log: Logger;
  /** See ConferenceMoves. */
  readonly patienceMs: () => number;
  /** Written with each change of a conference, in one transaction. */
  readonly writes: ConferenceWrites;
  readonly events: ConferenceMembersOptions['events'];
}

/** Ids of what conferences have on one node. */
export interface ConferenceHoldings {
  readonly bridges: ReadonlySet<string>;
  /** Channels on a call node. */
  readonly innerLegs: ReadonlySet<string>;
  /** Inner legs whose other end is on this conference node. */
  readonly farEnds: ReadonlySet<string>;
}

/** How long after the daemon's start a living node may take to be connected. */
const startMs = 5_000;

/** Every call is a conference: one call's own (two participants), or a room that many calls join. */
export class Conferences {
  readonly #options: ConferencesOptions;
  readonly #book: ConferenceBook;
  readonly #inners: InnerLegs;
  readonly #holds: Holds;
  readonly #moves: ConferenceMoves;
  readonly #transitions: ConferenceTransitions;
  readonly #placement: ConferencePlacement;
  readonly #speakers: Speakers;
  readonly #members: ConferenceMembers;
  readonly #check = new InnerLegCheck();
  /** Nodes that have been connected since the daemon started. */
  readonly #known = new Set<string>();
  #startedMs = 0;
  readonly #deadlines = new RoomDeadlines((id, reason) => void this.endRoom(id, reason));
  #lost: (callId: string, reason: string) => void = () => undefined;

  constructor(options: ConferencesOptions) {
    this.#options = options;
    this.#book = new ConferenceBook(options.store, options.writes);
    this.#placement = new ConferencePlacement(options, () => this.#book.list());
    this.#inners = new InnerLegs({ ...options, book: this.#book });
    this.#holds = new Holds({ ...options, book: this.#book, bridgeOf: bridgeOnCallNode });
    this.#moves = new ConferenceMoves({
      ...options,
      book: this.#book,
      inners: this.#inners,
      holds: this.#holds,
      lost: (callId, reason) => this.#lost(callId, reason),
      conferenceNode: () => this.#placement.conferenceNode(),
    });
    this.#transitions = new ConferenceTransitions({
      ...options,
      book: this.#book,
      inners: this.#inners,
      holds: this.#holds,
      lost: (callId, reason) => this.#lost(callId, reason),
      conferenceNode: () => this.#placement.conferenceNode(),
      makeBridge: conference => this.#moves.makeBridge(conference),
    });
    this.#members = new ConferenceMembers({
      ...options,
      book: this.#book,
      placement: this.#placement,
      inners: this.#inners,
      transitions: this.#transitions,
      makeBridge: conference => this.#moves.makeBridge(conference),
      sounds: conference => this.#sounds(conference),
      untilConnected: () => this.#untilConnected([]),
      putOut: (conference, reason) => this.#putOut(conference, reason),
    });
    this.#speakers = new Speakers({
      ...options,
      book: this.#book,
      keep: (id, speaking) => this.#keepSpeakers(id, speaking),
      listenAnew: (id, innerId) => this.#inners.listenAnew(id, innerId),
    });
    this.#book.onChange((before, after) => {
      this.#deadlines.changed(before, after);
      this.#speakers.changed(before, after);
    });
  }

  /** Who is told when a participant lost its conference without having left: it ended, or put the participant out. */
  onLost(listener: (callId: string, reason: string) => void): void {
    this.#lost = listener;
  }

  /** Who is told of each change of a conference, once the store knows. */
  onChange(listener: ConferenceListener): void {
    this.#book.onChange(listener);
  }

  async load(): Promise<void> {
    this.#startedMs = Date.now();
    await this.#book.load();
    this.#check.load(this.list());
    for (const conference of this.list()) {
      this.#deadlines.set(conference);
      this.#speakers.takeUp(conference);
    }
  }

  list(): ConferenceRecord[] {
    return this.#book.list();
  }

  get(id: string): ConferenceRecord | undefined {
    return this.#book.get(id);
  }

  /** See ConferenceMembers. */
  enter(request: EnterRequest): Promise<Refusal | undefined> {
    return this.#members.enter(request);
  }

  /** See ConferenceMembers. */
  join(request: JoinRequest): Promise<string> {
    return this.#members.join(request);
  }

  /** See ConferenceMembers. */
  part(callId: string, legId: string, orEnd = false): Promise<void> {
    return this.#members.part(callId, legId, orEnd);
  }

  /** See ConferenceMembers. */
  leave(callId: string): Promise<void> {
    return this.#members.leave(callId);
  }

  /** See ConferenceMembers. */
  endIfEmpty(id: string): Promise<boolean> {
    return this.#members.endIfEmpty(id);
  }

  /** The conference of a call, if it is mixed on a call node: all that are in it have to be on that node together. */
  mixedTogether(callId: string): string | undefined {
    const conference = this.#book.ofCall(callId);
    return conference?.mixing === 'call-node' ? conference.id : undefined;
  }

  /**
   * All that are in the conference of one call are in that of another from now on, but for the legs `without`, which are in none. Where one of the two is a
   * room, they are in the room. Done anew it changes nothing. Resolves with the id of the conference. Throws CONFERENCE_REFUSED where one of the
   * two is in no conference, or nobody of it would be left; NO_CONFERENCE_NODE.
   */
  async merge(callId: string, otherCallId: string, without: readonly string[]): Promise<string> {
    const [one, other] = [this.#book.idOf(callId), this.#book.idOf(otherCallId)];
    if (one === undefined || other === undefined) throw notTogether('one of them is talking to nobody any more');
    if (one === other) return one;
    await this.#untilConnected([one, other]);
    const merged = await this.#book.runBoth(one, other, async () => {
      const [first, second] = [this.#book.get(one), this.#book.get(other)];
      // One of them has become part of another one while we waited.
      if (!first || !second || this.#book.idOf(callId) !== one || this.#book.idOf(otherCallId) !== other)
        return undefined;
      const stays = (conference: ConferenceRecord): boolean =>
        present(conference).some(({ legId }) => !without.includes(legId));
      if (!stays(first) || !stays(second) || (first.ending ?? second.ending) !== null)
        throw notTogether('nobody of one of them is there any more');
      const [into, from] = first.room === null && second.room !== null ? [second, first] : [first, second];
      return this.#transitions.merge(into, from, without);
    });
    return merged?.id ?? this.merge(callId, otherCallId, without);
  }

  /**
   * Just after a start the nodes connect one after the other, and a call that is taken up goes on at the first one: what begins to move
   * people waits for all that it may need, as long as a start may take.
   */
  async #untilConnected(ids: readonly string[]): Promise<void> {
    const { asterisks } = this.#options;
    const isThere = (): boolean => {
      const conferences = ids.flatMap(id => this.#book.get(id) ?? []);
      const nodes = conferences.flatMap(one => [one.node, ...one.participants.map(({ callNode }) => callNode)]);
      const isConnected = nodes.every(name => asterisks.node(name).connected);
      return isConnected && this.#placement.conferenceNode() !== undefined;
    };
    while (Date.now() < this.#startedMs + startMs && !isThere()) await sleep(20);
  }

  /** How many of other calls are in the conference of this one; a room is company enough: Infinity. */
  companions(callId: string): number {
    const conference = this.#book.ofCall(callId);
    if (!conference) return 0;
    return conference.room === null ? present(conference).filter(one => one.callId !== callId).length : Infinity;
  }

  /**
   * Changes the record of a conference, then makes everybody in it sound as it says. Gives the record as it is then; undefined where
   * it is gone. `change` is pure, and may throw.
   */
  async change(
    id: string,
    change: (before: ConferenceRecord) => ConferenceRecord,
  ): Promise<ConferenceRecord | undefined> {
    const changed = await this.#book.run(id, async () => {
      const before = this.#book.get(id);
      if (!before) return undefined;
      return this.#changed(change(before));
    });
    if (changed) await this.#sounds(changed);
    return changed;
  }

  async #keepSpeakers(id: string, speaking: ReadonlyMap<string, boolean>): Promise<void> {
    await this.#book.run(id, async () => {
      const before = this.#book.get(id);
      if (before) await this.#book.save(withSpeakers(before, speaking));
    });
  }

  async #changed(after: ConferenceRecord): Promise<ConferenceRecord> {
    await this.#book.save(after);
    return after;
  }

  /** Not in its turn: a conference node that does not answer must not keep the recovery of its rooms waiting. */
  async #sounds(changed: ConferenceRecord): Promise<void> {
    await Promise.all([this.#inners.refresh(changed), this.#holds.refresh(changed.id)]);
  }

  /**
   * Puts these legs of a call on hold, or takes them off it: all that are not meant stay as they are. Resolves, once it is so, with the
   * legs of the call that are on hold then; undefined where the call is in no conference.
   */
  async hold(callId: string, legIds: readonly string[], onHold: boolean): Promise<readonly string[] | undefined> {
    const changed = await this.#book.runOf(callId, before => this.#changed(withHold(before, legIds, onHold)));
    if (!changed) return undefined;
    await this.#sounds(changed);
    return changed.participants.filter(one => one.callId === callId && one.onHold).map(one => one.legId);
  }

  isOnHold(callId: string, legId: string): boolean {
    return this.#book.ofCall(callId)?.participants.some(one => one.legId === legId && one.onHold) ?? false;
  }

  /** Hangs up the call of a participant. */
  putOut(callId: string, reason: string): void {
    this.#lost(callId, reason);
  }

  /** Nobody comes in any more, and all are hung up. Undefined where it is gone. */
  async endRoom(id: string, reason: string): Promise<ConferenceRecord | undefined> {
    const ended = await this.change(id, before => ({ ...before, ending: before.ending ?? reason }));
    if (ended) this.#putOut(ended, ended.ending ?? reason);
    return ended;
  }

  /** Handles an event of an inner leg or of a conference node; true when it was one. */
  handle(node: string, event: AriEvent): boolean {
    if (!('channel' in event)) return false;
    if (event.type === 'StasisStart' && event.args[0] === 'conference') {
      this.#inners.arrived(node, event.channel, event.args.slice(1));
      return true;
    }
    if (event.type === 'ChannelTalkingStarted' || event.type === 'ChannelTalkingFinished') {
      this.#speakers.heard(node, event.channel.dialplan.exten, event.type === 'ChannelTalkingStarted');
      return true;
    }
    const id = event.channel.id;
    if (legOfInner(id) !== undefined) {
      if (event.type === 'ChannelDestroyed') this.#innerEnded(id);
      return true;
    }
    if (event.type === 'ChannelDestroyed') this.#inners.farEndGone(event.channel.dialplan.exten);
    return this.#options.nodes.node(node)?.farm === 'conference';
  }

  /** What the conferences have on a node, made or about to be made. */
  holdings(node: string): ConferenceHoldings {
    const conferences = this.list();
    const here = conferences.filter(one => one.node === node);
    const farmMixed = conferences.filter(one => one.mixing === 'conference-farm');
    const near = farmMixed.flatMap(one => one.participants.filter(member => member.callNode === node));
    const far = farmMixed.filter(one => one.node === node).flatMap(one => one.participants);
    return {
      bridges: new Set([...here.map(one => one.id), ...near.map(one => innerBridgeId(one.legId))]),
      innerLegs: new Set(near.map(innerLegId)),
      farEnds: new Set(far.map(innerLegId)),
    };
  }

  /** Ends a bridge that is no conference's, in its turn: one of the same name may just be made. False for one that is. */
  async endBridge(node: string, bridgeId: string): Promise<boolean> {
    return this.#book.run(bridgeId, async () => {
      if (this.holdings(node).bridges.has(bridgeId)) return false;
      await this.#options.asterisks.node(node).ari.bridges.destroy({ bridgeId });
      return true;
    });
  }

  /**
   * A node's event stream is open: what its conferences have there is known again, or made again. `isRecovering`: a leg that will be
   * attached as it is recovered.
   */
  async takeUp(
    node: string,
    snapshot: Pick<AriSnapshot, 'bridges' | 'channels'>,
    isRecovering: (legId: string) => boolean,
  ): Promise<void> {
    this.#inners.takeUp(node, snapshot.channels, this.holdings(node).farEnds);
    for (const broken of this.#check.connected(node, snapshot, this.list(), isRecovering)) void this.#mend(broken);
    // What an earlier daemon left is mended leg by leg.
    const isFirst = !this.#known.has(node);
    this.#known.add(node);
    const kept = new Set(snapshot.bridges.map(bridge => bridge.id));
    await this.#holds.takeUp(node, snapshot, isRecovering);
    for (const conference of this.list()) {
      const { id, mixing, ending } = conference;
      if (conference.node === node && mixing === 'conference-farm') {
        if (!isFirst && !kept.has(id)) await this.#moves.rebuild(id, node, `${node} no longer has its bridge`);
        else await this.#inners.refresh(conference);
      }
      // Those of an end that an earlier daemon did not finish.
      if (ending !== null)
        this.#putOut({ participants: conference.participants.filter(one => one.callNode === node) }, ending);
    }
  }

  async #mend(broken: readonly BrokenInner[]): Promise<void> {
    const [first] = broken;
    if (!first) return;
    const { callId } = first.participant;
    await this.#moves
      .mend(callId, broken)
      .catch((error: unknown) =>
        this.#options.log.error(
          { call: callId, error },
          `the conference of call ${callId} was not mended: ${messageOf(error)}`,
        ),
      );
  }

  /**
   * A conference node is gone: its conferences are made again on others, and everybody is attached anew; no phone is told.
   * Resolves with what became of them, when all are done.
   */
  lostNode(node: string, reason: string): Promise<ConferencesRebuilt> {
    return this.#moves.lostNode(node, reason);
  }

  /** Legs of a call are recovered on another call node: what is theirs of the conference is made there, for `attach`. */
  move(callId: string, legIds: readonly string[], node: string): Promise<void> {
    return this.#moves.move(callId, legIds, node);
  }

  /** The bridge on its call node that a leg belongs in; undefined for one that is in no conference. */
  bridgeOf(callId: string, legId: string): string | undefined {
    return this.#moves.bridgeOf(callId, legId);
  }

  /** Puts a leg that is up on its new call node into its conference, as it was there before. `isIn`: it came into `bridgeOf` by itself. */
  attach(callId: string, legId: string, isIn: boolean): Promise<void> {
    return this.#moves.attach(callId, legId, isIn);
  }

  #innerEnded(innerId: string): void {
    for (const conference of this.list()) {
      const member = conference.participants.find(one => innerLegId(one) === innerId);
      // The end of its conference node is known in other ways, and mended.
      if (this.#options.nodes.isDead(conference.node)) continue;
      if (member && this.#book.idOf(member.callId) === conference.id) {
        this.#lost(member.callId, `the leg to ${conference.node} ended`);
      }
    }
  }

  #putOut({ participants }: Pick<ConferenceRecord, 'participants'>, reason: string): void {
    for (const callId of new Set(participants.map(one => one.callId))) this.#lost(callId, reason);
  }
}

function withHold(conference: ConferenceRecord, legIds: readonly string[], onHold: boolean): ConferenceRecord {
  const participants = conference.participants.map(one => (legIds.includes(one.legId) ? { ...one, onHold } : one));
  return { ...conference, participants };
}

function notTogether(why: string): HoldfastError {
  return new HoldfastError('CONFERENCE_REFUSED', `they cannot be brought together: ${why}`);
}
