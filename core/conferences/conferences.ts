// The conferences: where each is mixed, who is in it, and the bridges and inner legs that make it so.
import type { StasisArrivals } from '../calls/stasis-arrivals.js';
import type { Logger } from '../log.js';
import type { AriEvent } from '../ports/asterisk.js';
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
import { bridgeOnCallNode, present, type ConferenceRecord } from './conference-record.js';
import { ConferenceTransitions } from './conference-transitions.js';
import { Holds } from './holds.js';
import { InnerLegs } from './inner-legs.js';
import { NodeConferences, type ConferenceHoldings } from './node-conferences.js';
import { PhoneHolds, type PhoneHoldsOptions } from './phone-holds.js';
import { RoomDeadlines } from './room-deadlines.js';
import type { Refusal } from './room-rules.js';
import { Speakers, withSpeakers } from './speakers.js';

export interface ConferencesOptions extends ConferencePlacementOptions {
  readonly store: Store;
  readonly arrivals: StasisArrivals;
  readonly log: Logger;
  /** See ConferenceMoves. */
  readonly patienceMs: () => number;
  /** Written with each change of a conference, in one transaction. */
  readonly writes: ConferenceWrites;
  readonly events: ConferenceMembersOptions['events'];
  /** See PhoneHolds. */
  readonly isHolding: PhoneHoldsOptions['isHolding'];
}

/** Every call is a conference: one call's own (two participants), or a room that many calls join. */
export class Conferences {
  readonly #book: ConferenceBook;
  readonly #inners: InnerLegs;
  readonly #holds: Holds;
  readonly #log: Logger;
  readonly #moves: ConferenceMoves;
  readonly #transitions: ConferenceTransitions;
  readonly #placement: ConferencePlacement;
  readonly #speakers: Speakers;
  readonly #members: ConferenceMembers;
  readonly #onNodes: NodeConferences;
  readonly #deadlines = new RoomDeadlines((id, reason) => void this.endRoom(id, reason));
  #lost: (callId: string, reason: string) => void = () => undefined;

  constructor(options: ConferencesOptions) {
    this.#book = new ConferenceBook(options.store, options.writes);
    this.#placement = new ConferencePlacement(options, () => this.#book.list());
    this.#inners = new InnerLegs({ ...options, book: this.#book });
    this.#log = options.log;
    this.#holds = new Holds({ ...options, book: this.#book, bridgeOf: bridgeOnCallNode });
    const parts = {
      ...options,
      ...{ book: this.#book, placement: this.#placement, inners: this.#inners, holds: this.#holds },
      phoneHolds: new PhoneHolds(options),
      lost: (callId: string, reason: string) => this.#lost(callId, reason),
    };
    this.#moves = new ConferenceMoves(parts);
    const makeBridge = (conference: ConferenceRecord): Promise<void> => this.#moves.makeBridge(conference);
    this.#transitions = new ConferenceTransitions({ ...parts, makeBridge });
    this.#members = new ConferenceMembers({
      ...parts,
      makeBridge,
      transitions: this.#transitions,
      sounds: conference => this.#sounds(conference),
      putOut: (conference, reason) => this.#putOut(conference, reason),
    });
    this.#speakers = new Speakers({
      ...parts,
      keep: (id, speaking) => this.#keepSpeakers(id, speaking),
      listenAnew: (id, innerId) => this.#inners.listenAnew(id, innerId),
    });
    this.#onNodes = new NodeConferences({
      ...parts,
      moves: this.#moves,
      speakers: this.#speakers,
      putOut: (conference, reason) => this.#putOut(conference, reason),
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
    this.#placement.started();
    await this.#book.load();
    this.#onNodes.load();
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
  leave(callId: string, isOver: boolean): Promise<void> {
    return this.#members.leave(callId, isOver);
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

  /** See ConferenceTransitions. */
  merge(callId: string, otherCallId: string, without: readonly string[]): Promise<string> {
    return this.#transitions.mergeCalls(callId, otherCallId, without);
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
    this.#log.info({ call: callId, legs: legIds }, onHold ? 'put on hold by command' : 'taken off hold');
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

  /** See NodeConferences. */
  handle(node: string, event: AriEvent): boolean {
    return this.#onNodes.handle(node, event);
  }

  /** See NodeConferences. */
  holdings(node: string): ConferenceHoldings {
    return this.#onNodes.holdings(node);
  }

  /** See NodeConferences. */
  endBridge(node: string, bridgeId: string): Promise<boolean> {
    return this.#onNodes.endBridge(node, bridgeId);
  }

  /** See NodeConferences. */
  takeUp(...connected: Parameters<NodeConferences['takeUp']>): Promise<void> {
    return this.#onNodes.takeUp(...connected);
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

  #putOut({ participants }: Pick<ConferenceRecord, 'participants'>, reason: string): void {
    for (const callId of new Set(participants.map(one => one.callId))) this.#lost(callId, reason);
  }
}

function withHold(conference: ConferenceRecord, legIds: readonly string[], onHold: boolean): ConferenceRecord {
  const participants = conference.participants.map(one => (legIds.includes(one.legId) ? { ...one, onHold } : one));
  return { ...conference, participants };
}
