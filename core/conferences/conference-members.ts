// Who comes into a conference and who goes: its making at the first one, its end at the last.
import type { ConferenceFacts } from '../calls/call-facts.js';
import type { Logger } from '../log.js';
import type { AriClient, AsteriskFarm } from '../ports/asterisk.js';
import type { ConferenceBook } from './conference-book.js';
import type { Role } from './conference-facts.js';
import type { ConferencePlacement, ConferencePlacementOptions } from './conference-placement.js';
import {
  innerBridgeId,
  innerLegId,
  present,
  roomId,
  type ConferenceRecord,
  type Participant,
} from './conference-record.js';
import type { ConferenceTransitions } from './conference-transitions.js';
import { ignoreGone, type InnerLegs } from './inner-legs.js';
import { heardUnlessDead } from './node-deaths.js';
import { aloneAfter, endingAfter, refusalOf, type Refusal } from './room-rules.js';
import { outgrows } from './transition-plan.js';

interface Leg {
  readonly id: string;
  readonly node: string;
}

export interface JoinRequest {
  readonly callId: string;
  /** Undefined: the call's own conference. */
  readonly room?: string;
  readonly legs: readonly Leg[];
  /** See `EnterRequest`. */
  readonly firstInnerLeg: number;
  /** Legs that are about to leave it: they are not counted. */
  readonly leaving?: readonly string[];
  /** The caller, where it has not been answered: it is, before any of them comes in. */
  readonly unanswered?: Leg;
}

/** A call that wants to enter a room and is not answered yet. */
export interface EnterRequest {
  readonly callId: string;
  readonly room: string;
  readonly leg: Leg;
  readonly role: Role;
  readonly muted: boolean;
  readonly callerNumber: string;
  readonly callerName: string;
  /** Number of its first inner leg: apart from those that the leg had in a conference before, which may not have ended yet. */
  readonly firstInnerLeg: number;
}

export interface ConferenceMembersOptions {
  readonly nodes: ConferencePlacementOptions['nodes'];
  readonly asterisks: AsteriskFarm;
  readonly log: Logger;
  readonly book: ConferenceBook;
  readonly placement: ConferencePlacement;
  readonly inners: InnerLegs;
  readonly transitions: ConferenceTransitions;
  readonly events: {
    created(conference: ConferenceFacts & { readonly node: string }): void;
    ended(conference: { readonly id: string; readonly room?: string }): void;
  };
  /** Makes the bridge of a conference on its node. */
  makeBridge(conference: ConferenceRecord): Promise<void>;
  /** Makes everybody in it sound as the record says. */
  sounds(conference: ConferenceRecord): Promise<void>;
  /** Hangs up the calls of all that are in it. */
  putOut(conference: ConferenceRecord, reason: string): void;
}

export class ConferenceMembers {
  readonly #options: ConferenceMembersOptions;
  readonly #book: ConferenceBook;
  /** Records of conferences whose bridge was made by those who came into it, and ends with the last of them: as long as nothing was changed about them. */
  readonly #begun = new WeakSet<ConferenceRecord>();

  constructor(options: ConferenceMembersOptions) {
    this.#options = options;
    this.#book = options.book;
  }

  /**
   * Gives a call its place in a room, making the room where it is not there yet; `join` then puts it in. Undefined, or why not.
   * Throws NO_CONFERENCE_NODE.
   */
  async enter(request: EnterRequest): Promise<Refusal | undefined> {
    const id = roomId(request.room);
    return this.#book.run(id, async () => {
      const { callId, leg, role, muted, callerNumber, callerName, firstInnerLeg } = request;
      const known = this.#book.get(id);
      if (known?.participants.some(one => one.legId === leg.id)) return undefined;
      const refusal = known && refusalOf(known);
      if (refusal) return refusal;
      const facts = factsOf(id, [leg], request.room);
      const conference = known ?? (await this.#options.placement.place(facts));
      if (!known) await this.#make(conference, facts);
      const place = {
        ...newParticipant(callId, leg, firstInnerLeg),
        role,
        muted,
        callerNumber,
        callerName,
        entering: true,
      };
      await this.#book.save({ ...conference, participants: [...conference.participants, place] });
      return undefined;
    });
  }

  /**
   * Puts legs into the call's conference or into a room, making it where it is not there yet; legs that are in it already
   * stay. Resolves with the conference's id. Throws what ARI refused, or NO_CONFERENCE_NODE.
   */
  async join(request: JoinRequest): Promise<string> {
    const { callId, room, legs, leaving = [], firstInnerLeg, unanswered } = request;
    const own = room === undefined ? `${callId}-conf` : roomId(room);
    const there = await this.#book.runOf(callId, conference => Promise.resolve(conference.id));
    const key = there ?? own;
    return this.#book.run(key, async () => {
      const known = this.#book.get(key);
      const facts = factsOf(key, legs, room);
      const conference = known ?? (await this.#orAnswer(unanswered, () => this.#options.placement.place(facts)));
      const there = new Set(present(conference).map(one => one.legId));
      const added = legs
        .filter(leg => !there.has(leg.id))
        .map((leg): Participant => {
          const place = conference.participants.find(one => one.legId === leg.id);
          return { ...(place ?? newParticipant(callId, leg, firstInnerLeg)), entering: false, joinedMs: Date.now() };
        });
      const others = conference.participants.filter(one => added.every(({ legId }) => legId !== one.legId));
      const comers: Comers = { others, added, leaving };
      const isBegun = known === undefined && room === undefined && added.length > 0;
      if (isBegun && conference.mixing === 'call-node' && !isTooMuch(conference, comers)) {
        await this.#begin({ ...conference, participants: added }, facts, unanswered);
        return key;
      }
      if (unanswered) await this.#answer(unanswered);
      if (known === undefined) await this.#make(conference, facts);
      if (added.length === 0) return key;
      const joined = await this.#joined(conference, comers);
      this.#refresh(joined);
      this.#logJoined(joined, added);
      return key;
    });
  }

  /** Takes one leg that is gone out of the call's conference, which goes on; with `orEnd`, unless one of a call's own is alone then. */
  async part(callId: string, legId: string, orEnd = false): Promise<void> {
    await this.#book.runOf(callId, async conference => {
      const gone = conference.participants.find(one => one.legId === legId);
      if (!gone) return;
      const left = { ...conference, participants: conference.participants.filter(one => one !== gone) };
      const ending = left.ending ?? (orEnd ? aloneAfter(left) : null);
      // First: the end of its inner leg must not be taken for that of one who is in it.
      await this.#book.save({ ...left, ending });
      await this.#detach(conference, gone);
      this.#refresh(left);
      if (ending !== null && left.ending === null) this.#options.putOut(left, ending);
    });
  }

  /** Takes a call's legs out of its conference, and ends the conference when nobody is left. `isOver`: all of them are being hung up. */
  async leave(callId: string, isOver: boolean): Promise<void> {
    await this.#book.runOf(callId, async conference => {
      this.#book.unlink(callId);
      const gone = conference.participants.filter(one => one.callId === callId);
      const left = { ...conference, participants: conference.participants.filter(one => one.callId !== callId) };
      await Promise.all(gone.map(one => this.#detach(conference, one)));
      if (left.participants.length === 0) return this.#end(left, isOver && this.#begun.has(conference));
      const ending = left.ending ?? endingAfter(gone, left) ?? aloneAfter(left);
      await this.#book.save({ ...left, ending });
      this.#refresh(left);
      if (ending !== null && left.ending === null) this.#options.putOut(left, ending);
    });
  }

  /** Ends a conference that nobody is in any more; false where somebody is, or it is gone. */
  async endIfEmpty(id: string): Promise<boolean> {
    return this.#book.run(id, async () => {
      const conference = this.#book.get(id);
      if (conference?.participants.length !== 0) return false;
      await this.#end(conference, false);
      return true;
    });
  }

  /** A conference on a call node whose first two are there: one request answers the caller, makes the bridge and puts both into it. */
  async #begin(conference: ConferenceRecord, facts: ConferenceFacts, unanswered: Leg | undefined): Promise<void> {
    const { id: bridgeId, node, participants } = conference;
    const answer = unanswered !== undefined;
    await this.#book.save(conference);
    const channel = participants.map(one => one.legId).join(',');
    const { bridges } = this.#options.asterisks.node(node).ari;
    const add = (): Promise<void> => bridges.addChannel({ bridgeId, channel, create: 'mixing', answer });
    await this.#orAnswer(unanswered, () => this.#heard(node, add));
    this.#begun.add(conference);
    this.#options.events.created({ ...facts, node });
    this.#refresh(conference);
    this.#logJoined(conference, participants);
  }

  async #make(conference: ConferenceRecord, facts: ConferenceFacts): Promise<void> {
    await this.#book.save(conference);
    await this.#heard(conference.node, () => this.#options.makeBridge(conference));
    this.#options.events.created({ ...facts, node: conference.node });
  }

  async #answer({ id: channelId, node }: Leg): Promise<void> {
    await this.#heard(node, () => this.#options.asterisks.node(node).ari.channels.answer({ channelId }));
  }

  /** Where this fails, as the callee has hung up right behind the answer, the caller is answered all the same: the call's record says so, and its end is a BYE. */
  async #orAnswer<T>(unanswered: Leg | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (unanswered) await this.#answer(unanswered).catch(() => undefined);
      throw error;
    }
  }

  #logJoined({ id, node }: ConferenceRecord, added: readonly Participant[]): void {
    this.#options.log.info(
      { call: added[0]?.callId, conference: id, legs: added.map(one => one.legId), node },
      `joined conference ${id} on ${node}`,
    );
  }

  /** Not awaited: those who come and go do not wait for what the others hear then. */
  #refresh(conference: ConferenceRecord): void {
    void this.#options.sounds(conference);
  }

  async #joined(conference: ConferenceRecord, comers: Comers): Promise<ConferenceRecord> {
    const all = [...comers.others, ...comers.added];
    if (isTooMuch(conference, comers)) return this.#options.transitions.grow(conference, all);
    const joined = { ...conference, participants: all };
    await this.#book.save(joined);
    await Promise.all([this.#attach(joined, comers.added), this.#options.inners.grown(conference, joined)]);
    return joined;
  }

  async #attach(conference: ConferenceRecord, participants: readonly Participant[]): Promise<void> {
    if (conference.mixing === 'call-node') {
      const { ari } = this.#options.asterisks.node(conference.node);
      const channel = participants.map(one => one.legId).join(',');
      await this.#heard(conference.node, () => ari.bridges.addChannel({ bridgeId: conference.id, channel }));
      return;
    }
    await Promise.all(participants.map(one => this.#attachInner(conference, one)));
  }

  async #attachInner(conference: ConferenceRecord, participant: Participant): Promise<void> {
    const { inners } = this.#options;
    await inners.make(conference, participant);
    // Only now: the answer of a channel passes through its bridge, and would answer a caller who hears early media.
    await this.#heard(participant.callNode, () => inners.admit(conference, participant));
  }

  /** What a node does not do because it dies is done on another one, by what the record says. */
  async #heard(node: string, ask: () => Promise<void>): Promise<void> {
    await heardUnlessDead(this.#options.nodes, node, ask);
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
    if (this.#options.nodes.isDead(node)) return;
    await Promise.all(work(this.#options.asterisks.node(node).ari).map(ignoreGone));
  }

  async #end({ id, node, room }: ConferenceRecord, endsByItself: boolean): Promise<void> {
    const destroy = (): Promise<void> => this.#onLiving(node, ari => [ari.bridges.destroy({ bridgeId: id })]);
    await this.#book.delete(id, endsByItself ? async () => undefined : destroy);
    this.#options.events.ended({ id, ...(room === null ? {} : { room }) });
  }
}

interface Comers {
  readonly others: readonly Participant[];
  readonly added: readonly Participant[];
  /** Ids of legs that are about to leave. */
  readonly leaving: readonly string[];
}

/** True where all who stay are too many, or too far apart, for where the conference is mixed. */
function isTooMuch(conference: ConferenceRecord, { others, added, leaving }: Comers): boolean {
  return outgrows(
    conference,
    [...others, ...added].filter(one => !leaving.includes(one.legId)),
  );
}

function factsOf(id: string, legs: readonly Leg[], room: string | undefined): ConferenceFacts {
  const callNodes = [...new Set(legs.map(leg => leg.node))];
  return { id, callNodes, ...(room === undefined ? {} : { room }) };
}

function newParticipant(callId: string, leg: Leg, innerLegs: number): Participant {
  return {
    ...{ legId: leg.id, callId, callNode: leg.node, innerLegs },
    ...{ muted: false, deaf: false, onHold: false, speaking: false, role: 'speaker', entering: false },
    ...{ callerNumber: '', callerName: '', joinedMs: 0 },
  };
}
