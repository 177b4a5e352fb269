// The conferences: where each is mixed, who is in it, and the bridges and inner legs that make it so.
import type { ConferenceFacts } from '../calls/call-facts.js';
import type { StasisArrivals } from '../calls/stasis-arrivals.js';
import type { Logger } from '../log.js';
import type { AriBridge, AriChannel, AriClient, AriEvent, AsteriskFarm } from '../ports/asterisk.js';
import type { Store } from '../store/store.js';
import { ConferenceBook, type ConferenceListener, type ConferenceWrites } from './conference-book.js';
import type { Role } from './conference-facts.js';
import { ConferencePlacement, type ConferencePlacementOptions } from './conference-placement.js';
import { ConferenceMoves, type ConferencesRebuilt } from './conference-moves.js';
import {
  innerBridgeId,
  innerLegId,
  legOfInner,
  present,
  roomId,
  type ConferenceRecord,
  type Participant,
} from './conference-record.js';
import { ignoreGone, InnerLegs } from './inner-legs.js';
import { RoomDeadlines } from './room-deadlines.js';
import { endingAfter, refusalOf, type Refusal } from './room-rules.js';

export interface ConferencesOptions extends ConferencePlacementOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly arrivals: StasisArrivals;
  readonly log: Logger;
  /** See ConferenceMoves. */
  readonly patienceMs: () => number;
  /** Written with each change of a conference, in one transaction. */
  readonly writes: ConferenceWrites;
  readonly events: {
    created(conference: ConferenceFacts & { readonly node: string }): void;
    ended(conference: { readonly id: string; readonly room?: string }): void;
  };
}

interface Leg {
  readonly id: string;
  readonly node: string;
}

export interface JoinRequest {
  readonly callId: string;
  /** Undefined: the call's own conference. */
  readonly room?: string;
  readonly legs: readonly Leg[];
}

/** A call that wants to enter a room and is not answered yet. */
export interface EnterRequest {
  readonly callId: string;
  readonly room: string;
  readonly leg: Leg;
  readonly role: Role;
  readonly callerNumber: string;
  readonly callerName: string;
}

/** Ids of what conferences have on one node. */
export interface ConferenceHoldings {
  readonly bridges: ReadonlySet<string>;
  /** Channels on a call node. */
  readonly innerLegs: ReadonlySet<string>;
  /** Inner legs whose other end is on this conference node. */
  readonly farEnds: ReadonlySet<string>;
}

/** Every call is a conference: one call's own (two participants), or a room that many calls join. */
export class Conferences {
  readonly #options: ConferencesOptions;
  readonly #book: ConferenceBook;
  readonly #inners: InnerLegs;
  readonly #moves: ConferenceMoves;
  readonly #placement: ConferencePlacement;
  readonly #deadlines = new RoomDeadlines((id, reason) => void this.endRoom(id, reason));
  #lost: (callId: string, reason: string) => void = () => undefined;

  constructor(options: ConferencesOptions) {
    this.#options = options;
    this.#book = new ConferenceBook(options.store, options.writes);
    this.#placement = new ConferencePlacement(options, () => this.#book.list());
    this.#inners = new InnerLegs({ ...options, book: this.#book });
    this.#moves = new ConferenceMoves({
      ...options,
      book: this.#book,
      inners: this.#inners,
      lost: (callId, reason) => this.#lost(callId, reason),
      conferenceNode: () => this.#placement.conferenceNode(),
    });
    this.#book.onChange((before, after) => this.#deadlines.changed(before, after));
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
    await this.#book.load();
    for (const conference of this.#book.list()) this.#deadlines.set(conference);
  }

  list(): ConferenceRecord[] {
    return this.#book.list();
  }

  get(id: string): ConferenceRecord | undefined {
    return this.#book.get(id);
  }

  /**
   * Gives a call its place in a room, making the room where it is not there yet; `join` then puts it in. Undefined, or why not.
   * Throws NO_CONFERENCE_NODE.
   */
  async enter(request: EnterRequest): Promise<Refusal | undefined> {
    const id = roomId(request.room);
    return this.#book.run(id, async () => {
      const { callId, leg, role, callerNumber, callerName } = request;
      const known = this.#book.get(id);
      if (known?.participants.some(one => one.legId === leg.id)) return undefined;
      const refusal = known && refusalOf(known);
      if (refusal) return refusal;
      const conference = known ?? (await this.#create(id, [leg], request.room));
      const place = { ...newParticipant(callId, leg), role, callerNumber, callerName, entering: true };
      await this.#book.save({ ...conference, participants: [...conference.participants, place] });
      return undefined;
    });
  }

  /**
   * Puts legs into the call's conference or into a room, making it where it is not there yet; legs that are in it already
   * stay. Resolves with the conference's id. Throws what ARI refused, or NO_CONFERENCE_NODE.
   */
  async join(request: JoinRequest): Promise<string> {
    const { callId, room, legs } = request;
    const key = room === undefined ? `${callId}-conf` : roomId(room);
    return this.#book.run(key, async () => {
      const conference = this.#book.get(key) ?? (await this.#create(key, legs, room));
      const there = new Set(present(conference).map(one => one.legId));
      const joining = legs.filter(leg => !there.has(leg.id));
      if (joining.length === 0) return key;
      const added = joining.map((leg): Participant => {
        const place = conference.participants.find(one => one.legId === leg.id);
        return { ...(place ?? newParticipant(callId, leg)), entering: false, joinedMs: Date.now() };
      });
      const others = conference.participants.filter(one => added.every(({ legId }) => legId !== one.legId));
      const joined = { ...conference, participants: [...others, ...added] };
      await this.#book.save(joined);
      await this.#attach(joined, added);
      void this.#inners.refresh(joined);
      this.#options.log.info(
        { call: callId, conference: key, legs: added.map(one => one.legId), node: joined.node },
        `joined conference ${key} on ${joined.node}`,
      );
      return key;
    });
  }

  /** The conference of a call, if it is mixed on a call node: all that are in it have to be on that node together. */
  mixedTogether(callId: string): string | undefined {
    const conference = this.#book.ofCall(callId);
    return conference?.mixing === 'call-node' ? conference.id : undefined;
  }

  /** Takes one leg that is gone out of the call's conference, which goes on. */
  async part(callId: string, legId: string): Promise<void> {
    const key = this.#book.idOf(callId);
    if (key === undefined) return;
    await this.#book.run(key, async () => {
      const conference = this.#book.get(key);
      const gone = conference?.participants.find(one => one.legId === legId);
      if (!conference || !gone) return;
      await this.#detach(conference, gone);
      await this.#book.save({ ...conference, participants: conference.participants.filter(one => one !== gone) });
    });
  }

  /** Takes a call's legs out of its conference, and ends the conference when nobody is left. */
  async leave(callId: string): Promise<void> {
    const key = this.#book.unlink(callId);
    if (key === undefined) return;
    await this.#book.run(key, async () => {
      const conference = this.#book.get(key);
      if (!conference) return;
      const gone = conference.participants.filter(one => one.callId === callId);
      const left = { ...conference, participants: conference.participants.filter(one => one.callId !== callId) };
      await Promise.all(gone.map(one => this.#detach(conference, one)));
      if (left.participants.length === 0) return this.#end(left);
      const ending = left.ending ?? endingAfter(gone, left);
      await this.#book.save({ ...left, ending });
      void this.#inners.refresh(left);
      if (ending !== null && left.ending === null) this.#putOut(left, ending);
    });
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
      const after = change(before);
      await this.#book.save(after);
      return after;
    });
    // Not in its turn: a conference node that does not answer must not keep the recovery of its rooms waiting.
    if (changed) await this.#inners.refresh(changed);
    return changed;
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

  /** Ends a conference that nobody is in any more; false where somebody is, or it is gone. */
  async endIfEmpty(id: string): Promise<boolean> {
    return this.#book.run(id, async () => {
      const conference = this.#book.get(id);
      if (conference?.participants.length !== 0) return false;
      await this.#end(conference);
      return true;
    });
  }

  /** A node's event stream is open: what its conferences have there is known again, or made again. */
  async takeUp(
    node: string,
    snapshot: { bridges: readonly AriBridge[]; channels: readonly AriChannel[] },
  ): Promise<void> {
    this.#inners.takeUp(node, snapshot.channels, this.holdings(node).farEnds);
    const kept = new Set(snapshot.bridges.map(bridge => bridge.id));
    for (const conference of this.list()) {
      const { id, mixing, ending } = conference;
      if (conference.node === node && mixing === 'conference-farm') {
        if (!kept.has(id)) await this.#moves.rebuild(id, node, `${node} no longer has its bridge`);
        else await this.#inners.refresh(conference);
      }
      // Those of an end that an earlier daemon did not finish.
      if (ending !== null)
        this.#putOut({ participants: conference.participants.filter(one => one.callNode === node) }, ending);
    }
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

  async #create(id: string, legs: readonly Leg[], room: string | undefined): Promise<ConferenceRecord> {
    const callNodes = [...new Set(legs.map(leg => leg.node))];
    const facts: ConferenceFacts = { id, callNodes, ...(room === undefined ? {} : { room }) };
    const conference = await this.#placement.place(facts);
    await this.#book.save(conference);
    await this.#moves.makeBridge(conference);
    this.#options.events.created({ ...facts, node: conference.node });
    return conference;
  }

  async #attach(conference: ConferenceRecord, participants: readonly Participant[]): Promise<void> {
    if (conference.mixing === 'call-node') {
      const { ari } = this.#options.asterisks.node(conference.node);
      await ari.bridges.addChannel({
        bridgeId: conference.id,
        channel: participants.map(one => one.legId).join(','),
      });
      return;
    }
    await Promise.all(participants.map(one => this.#attachInner(conference, one)));
  }

  async #attachInner(conference: ConferenceRecord, participant: Participant): Promise<void> {
    const { legId, callNode } = participant;
    const { ari } = this.#options.asterisks.node(callNode);
    await this.#inners.make(conference, participant);
    // Only now: the answer of a channel passes through its bridge, and would answer a caller who hears early media.
    await ari.bridges.addChannel({ bridgeId: innerBridgeId(legId), channel: legId });
  }

  #innerEnded(innerId: string): void {
    for (const conference of this.list()) {
      const member = conference.participants.find(one => innerLegId(one) === innerId);
      // The end of its conference node is known in other ways, and mended.
      if (this.#options.nodes.state(conference.node) === 'dead') continue;
      if (member && this.#book.idOf(member.callId) === conference.id) {
        this.#lost(member.callId, `the leg to ${conference.node} ended`);
      }
    }
  }

  async #detach(conference: ConferenceRecord, participant: Participant): Promise<void> {
    if (conference.mixing === 'call-node' || participant.entering) return;
    await this.#onLiving(participant.callNode, ari => [
      ari.channels.hangup({ channelId: innerLegId(participant) }),
      ari.bridges.destroy({ bridgeId: innerBridgeId(participant.legId) }),
    ]);
  }

  /** Ends what is there still; a dead node has nothing, and would keep us waiting for its answer. */
  async #onLiving(node: string, work: (ari: AriClient) => Promise<unknown>[]): Promise<void> {
    if (this.#options.nodes.state(node) === 'dead') return;
    await Promise.all(work(this.#options.asterisks.node(node).ari).map(ignoreGone));
  }

  #putOut({ participants }: Pick<ConferenceRecord, 'participants'>, reason: string): void {
    for (const callId of new Set(participants.map(one => one.callId))) this.#lost(callId, reason);
  }

  async #end({ id, node, room }: ConferenceRecord): Promise<void> {
    await this.#book.delete(id, () => this.#onLiving(node, ari => [ari.bridges.destroy({ bridgeId: id })]));
    this.#options.events.ended({ id, ...(room === null ? {} : { room }) });
  }
}

function newParticipant(callId: string, leg: Leg): Participant {
  return {
    ...{ legId: leg.id, callId, callNode: leg.node, innerLegs: 0 },
    ...{ muted: false, deaf: false, role: 'speaker', entering: false },
    ...{ callerNumber: '', callerName: '', joinedMs: 0 },
  };
}
