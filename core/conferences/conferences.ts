// The conferences: where each is mixed, who is in it, and the bridges and inner legs that make it so.
import type { ConferenceFacts, Placement } from '../calls/call-facts.js';
import { KeyedQueue } from '../calls/keyed-queue.js';
import type { StasisArrivals } from '../calls/stasis-arrivals.js';
import { HoldfastError, messageOf } from '../errors.js';
import { ports } from '../farm/farm-plan.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Logger } from '../log.js';
import {
  bridgeVariable,
  conferenceHeader,
  stasisApp,
  type AriBridge,
  type AriChannel,
  type AriClient,
  type AriEvent,
  type AsteriskFarm,
} from '../ports/asterisk.js';
import type { Store, Table } from '../store/store.js';
import {
  conferenceRecordSchema,
  innerBridgeId,
  innerLegId,
  legOfInner,
  type ConferenceRecord,
  type Participant,
} from './conference-record.js';

export interface ConferencesOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly nodes: NodeStates;
  readonly arrivals: StasisArrivals;
  readonly log: Logger;
  /** How long a conference waits for a conference node after the death of its own, ms. */
  readonly patienceMs: () => number;
  /** Asks the `place` hook; the answer's default is the call node. */
  readonly place: (conference: ConferenceFacts) => Promise<Placement>;
  readonly events: {
    created(conference: ConferenceFacts & { readonly node: string }): void;
    ended(conference: { readonly id: string; readonly room?: string }): void;
  };
}

export interface JoinRequest {
  readonly callId: string;
  /** Undefined: the call's own conference. */
  readonly room?: string;
  readonly legs: readonly { readonly id: string; readonly node: string }[];
}

/** Ids of what conferences have on one node. */
export interface ConferenceHoldings {
  readonly bridges: ReadonlySet<string>;
  /** Channels on a call node. */
  readonly innerLegs: ReadonlySet<string>;
  /** Inner legs whose other end is on this conference node. */
  readonly farEnds: ReadonlySet<string>;
}

/** Participants of conferences that were made again, and how many of them are in again. */
export interface ConferencesRebuilt {
  readonly found: number;
  readonly attached: number;
}

/** How long a conference node may take to answer, seconds. */
const answerSeconds = 5;

/**
 * Every call is a conference: one call's own (two participants), or a room that many calls join. Operations on one
 * conference run one after the other; different conferences do not wait for each other.
 */
export class Conferences {
  readonly #options: ConferencesOptions;
  readonly #table: Table<ConferenceRecord>;
  readonly #conferences = new Map<string, ConferenceRecord>();
  readonly #byCall = new Map<string, string>();
  readonly #queue = new KeyedQueue();
  /** Inner leg's id → its channel on the conference node. */
  readonly #farEnds = new Map<string, { readonly node: string; readonly channelId: string }>();
  /** Inner legs under way for legs that are being recovered, by leg. */
  readonly #inners = new Map<string, Promise<void>>();
  #lost: (callId: string, reason: string) => void = () => undefined;

  constructor(options: ConferencesOptions) {
    this.#options = options;
    this.#table = options.store.table('conferences', conferenceRecordSchema);
  }

  /** Who is told when a participant lost its conference without having left. */
  onLost(listener: (callId: string, reason: string) => void): void {
    this.#lost = listener;
  }

  /** Reads the conferences an earlier daemon left in the store. */
  async load(): Promise<void> {
    for await (const [, { value }] of this.#table.range()) this.#remember(value);
  }

  list(): ConferenceRecord[] {
    return [...this.#conferences.values()];
  }

  /**
   * Puts legs into the call's conference or into a room, making it where it is not there yet; legs that are in it already
   * stay. Resolves with the conference's id. Throws what ARI refused, or NO_CONFERENCE_NODE.
   */
  async join(request: JoinRequest): Promise<string> {
    const key = conferenceKey(request);
    return this.#queue.run(key, async () => {
      const conference = this.#conferences.get(key) ?? (await this.#create(key, request));
      const present = new Set(conference.participants.map(one => one.legId));
      const added = request.legs
        .filter(leg => !present.has(leg.id))
        .map((leg): Participant => ({
          legId: leg.id,
          callId: request.callId,
          callNode: leg.node,
          innerLegs: 0,
          muted: false,
          role: 'speaker',
        }));
      if (added.length === 0) return key;
      await this.#save({ ...conference, participants: [...conference.participants, ...added] });
      await this.#attach(conference, added);
      this.#options.log.info(
        { call: request.callId, conference: key, legs: added.map(one => one.legId), node: conference.node },
        `joined conference ${key} on ${conference.node}`,
      );
      return key;
    });
  }

  /** The conference of a call, if it is mixed on a call node: all that are in it have to be on that node together. */
  mixedTogether(callId: string): string | undefined {
    const conference = this.#conferenceOf(callId);
    return conference?.mixing === 'call-node' ? conference.id : undefined;
  }

  /** Takes one leg that is gone out of the call's conference, which goes on. */
  async part(callId: string, legId: string): Promise<void> {
    const key = this.#byCall.get(callId);
    if (key === undefined) return;
    await this.#queue.run(key, async () => {
      const conference = this.#conferences.get(key);
      const gone = conference?.participants.find(one => one.legId === legId);
      if (!conference || !gone) return;
      await this.#detach(conference, gone);
      await this.#save({ ...conference, participants: conference.participants.filter(one => one !== gone) });
    });
  }

  /** Takes a call's legs out of its conference, and ends the conference when nobody is left. */
  async leave(callId: string): Promise<void> {
    const key = this.#byCall.get(callId);
    if (key === undefined) return;
    this.#byCall.delete(callId);
    await this.#queue.run(key, async () => {
      const conference = this.#conferences.get(key);
      if (!conference) return;
      const gone = conference.participants.filter(one => one.callId === callId);
      const left = { ...conference, participants: conference.participants.filter(one => one.callId !== callId) };
      await Promise.all(gone.map(one => this.#detach(conference, one)));
      if (left.participants.length > 0) await this.#save(left);
      else await this.#end(left);
    });
  }

  /** Handles an event of an inner leg or of a conference node; true when it was one. */
  handle(node: string, event: AriEvent): boolean {
    if (!('channel' in event)) return false;
    if (event.type === 'StasisStart' && event.args[0] === 'conference') {
      this.#innerArrived(node, event.channel, event.args[1] ?? '');
      return true;
    }
    const id = event.channel.id;
    if (legOfInner(id) !== undefined) {
      if (event.type === 'ChannelDestroyed') this.#innerEnded(id);
      return true;
    }
    if (event.type === 'ChannelDestroyed') this.#farEnds.delete(event.channel.dialplan.exten);
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
    return this.#queue.run(bridgeId, async () => {
      if (this.holdings(node).bridges.has(bridgeId)) return false;
      await this.#options.asterisks.node(node).ari.bridges.destroy({ bridgeId });
      return true;
    });
  }

  /** Ends a conference that nobody is in any more; false where somebody is, or it is gone. */
  async endIfEmpty(id: string): Promise<boolean> {
    return this.#queue.run(id, async () => {
      const conference = this.#conferences.get(id);
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
    const { farEnds } = this.holdings(node);
    for (const { id, dialplan } of snapshot.channels) {
      if (farEnds.has(dialplan.exten)) this.#farEnds.set(dialplan.exten, { node, channelId: id });
    }
    const kept = new Set(snapshot.bridges.map(bridge => bridge.id));
    for (const conference of this.list()) {
      if (conference.node === node && conference.mixing === 'conference-farm' && !kept.has(conference.id)) {
        await this.#rebuild(conference.id, node, `${node} no longer has its bridge`);
      }
    }
  }

  /**
   * A conference node is gone: its conferences are made again on others, and everybody is attached anew; no phone is told.
   * Resolves with what became of them, when all are done.
   */
  async lostNode(node: string, reason: string): Promise<ConferencesRebuilt> {
    const mixedThere = this.list().filter(one => one.node === node && one.mixing === 'conference-farm');
    const rebuilt = await Promise.all(mixedThere.map(one => this.#rebuild(one.id, node, reason)));
    return {
      found: rebuilt.reduce((sum, one) => sum + one.found, 0),
      attached: rebuilt.reduce((sum, one) => sum + one.attached, 0),
    };
  }

  /**
   * Legs of a call are recovered on another call node: what is theirs of the conference is made there, so that `attach` has
   * only to put them in as they come up. Done anew where it was done before: that node may have died since, or the daemon.
   */
  async move(callId: string, legIds: readonly string[], node: string): Promise<void> {
    const key = this.#byCall.get(callId);
    if (key === undefined) return;
    await this.#queue.run(key, async () => {
      const before = this.#conferences.get(key);
      if (!before) return;
      const moving = before.participants.filter(one => legIds.includes(one.legId));
      if (moving.length === 0) return;
      const participants = before.participants.map(one =>
        moving.includes(one) ? { ...one, callNode: node, innerLegs: one.innerLegs + 1 } : one,
      );
      const after: ConferenceRecord = { ...before, participants, ...(before.mixing === 'call-node' ? { node } : {}) };
      await this.#save(after);
      if (after.mixing === 'call-node') return;
      for (const one of moving) this.#endFarEnd(innerLegId(one));
      for (const one of participants.filter(now => moving.some(was => was.legId === now.legId))) {
        const made = this.#makeInner(after, one);
        this.#inners.set(one.legId, made);
        // Whoever attaches the leg hears of a failure.
        made.catch(() => undefined);
      }
    });
  }

  /** The bridge on its call node that a leg belongs in; undefined for one that is in no conference. */
  bridgeOf(callId: string, legId: string): string | undefined {
    const conference = this.#conferenceOf(callId);
    if (!conference?.participants.some(one => one.legId === legId)) return undefined;
    return conference.mixing === 'call-node' ? conference.id : innerBridgeId(legId);
  }

  /** Puts a leg that is up on its new call node into its conference, as it was there before. `isIn`: it came into `bridgeOf` by itself. */
  async attach(callId: string, legId: string, isIn: boolean): Promise<void> {
    const conference = this.#conferenceOf(callId);
    const member = conference?.participants.find(one => one.legId === legId);
    const bridgeId = this.bridgeOf(callId, legId);
    if (!conference || !member || bridgeId === undefined) return;
    const { ari } = this.#options.asterisks.node(member.callNode);
    if (conference.mixing === 'conference-farm') {
      const made = this.#inners.get(legId) ?? this.#makeInner(conference, member);
      this.#inners.delete(legId);
      await made;
    }
    if (isIn) return;
    const { channels } = await ari.bridges.createWithId({ bridgeId, type: 'mixing' });
    // One that an earlier daemon asked for came into it by itself.
    if (!channels.includes(legId)) await ari.bridges.addChannel({ bridgeId, channel: legId });
  }

  #conferenceOf(callId: string): ConferenceRecord | undefined {
    const key = this.#byCall.get(callId);
    return key === undefined ? undefined : this.#conferences.get(key);
  }

  async #create(key: string, request: JoinRequest): Promise<ConferenceRecord> {
    const callNodes = [...new Set(request.legs.map(leg => leg.node))];
    const room = request.room === undefined ? {} : { room: request.room };
    const { mixing } = await this.#options.place({ id: key, callNodes, ...room });
    const node = mixing === 'call-node' ? callNodes[0] : this.#conferenceNode();
    if (node === undefined) {
      throw new HoldfastError('NO_CONFERENCE_NODE', 'no conference node is up', {
        remedy: 'see `holdfast nodes`; two-party calls can be mixed on call nodes with twoParty: call-node',
      });
    }
    const conference: ConferenceRecord = {
      id: key,
      room: request.room ?? null,
      mixing,
      node,
      createdMs: Date.now(),
      participants: [],
    };
    await this.#save(conference);
    // On the conference farm the first inner leg makes it.
    if (mixing === 'call-node') await this.#bridgeOn(node, key);
    this.#options.events.created({ id: key, callNodes, node, ...room });
    return conference;
  }

  /** Makes one conference again on another conference node, once, however many say that it is lost. */
  async #rebuild(id: string, lost: string, reason: string): Promise<ConferencesRebuilt> {
    const none = { found: 0, attached: 0 };
    return this.#queue.run(id, async () => {
      const before = this.#conferences.get(id);
      if (before?.node !== lost) return none;
      const node = await this.#conferenceNodeInTime();
      const callIds = new Set(before.participants.map(one => one.callId));
      if (node === undefined) {
        for (const callId of callIds) this.#lost(callId, `${reason}, and no other conference node is up`);
        return { found: before.participants.length, attached: 0 };
      }
      const participants = before.participants.map(one => ({ ...one, innerLegs: one.innerLegs + 1 }));
      const after = { ...before, node, participants };
      await this.#save(after);
      const attached = await Promise.all(
        participants.map((one, i) => this.#reattach(after, one, before.participants[i])),
      );
      this.#options.log.info(
        { conference: id, from: lost, node, legs: participants.length },
        `conference ${id} is made again on ${node}: ${reason}`,
      );
      return { found: participants.length, attached: attached.filter(Boolean).length };
    });
  }

  /**
   * A new inner leg in the old one's place, in the bridge that the participant never left. With both in it, the new one would begin
   * with sequence numbers of that bridge's mixing and go on with the phone's own: where those are lower, the conference node would
   * take all that the phone says for late (main/translate.c), for minutes.
   */
  async #reattach(conference: ConferenceRecord, now: Participant, was: Participant | undefined): Promise<boolean> {
    // One whose call node died as well comes by `attach`, when it is recovered.
    if (this.#options.nodes.state(now.callNode) === 'dead') return true;
    const { ari } = this.#options.asterisks.node(now.callNode);
    const bridgeId = innerBridgeId(now.legId);
    try {
      // The order is there first, and is done long before the new leg is answered.
      const left = was && ignoreGone(ari.bridges.removeChannel({ bridgeId, channel: innerLegId(was) }));
      await Promise.all([left, this.#makeInner(conference, now)]);
      if (was) void ignoreGone(ari.channels.hangup({ channelId: innerLegId(was) }));
      return true;
    } catch (error) {
      this.#lost(now.callId, `its leg could not join ${conference.node}: ${messageOf(error)}`);
      return false;
    }
  }

  async #conferenceNodeInTime(): Promise<string | undefined> {
    const endMs = Date.now() + this.#options.patienceMs();
    for (;;) {
      const node = this.#conferenceNode();
      if (node !== undefined || Date.now() > endMs) return node;
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }

  /** The conference node's end of an inner leg whose other end is gone: nobody will send it a BYE. */
  #endFarEnd(innerId: string): void {
    const end = this.#farEnds.get(innerId);
    if (!end) return;
    this.#farEnds.delete(innerId);
    const { ari } = this.#options.asterisks.node(end.node);
    void ignoreGone(ari.channels.hangup({ channelId: end.channelId }));
  }

  async #bridgeOn(node: string, bridgeId: string): Promise<void> {
    await this.#options.asterisks.node(node).ari.bridges.createWithId({ bridgeId, type: 'mixing' });
  }

  /** The conference node that is up with the fewest participants. */
  #conferenceNode(): string | undefined {
    const load = new Map<string, number>();
    for (const one of this.list()) load.set(one.node, (load.get(one.node) ?? 0) + one.participants.length);
    const up = this.#options.nodes.up('conference').map(node => node.name);
    return up.sort((a, b) => (load.get(a) ?? 0) - (load.get(b) ?? 0))[0];
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
    await this.#makeInner(conference, participant);
    // Only now: the answer of a channel passes through its bridge, and would answer a caller who hears early media.
    await ari.bridges.addChannel({ bridgeId: innerBridgeId(legId), channel: legId });
  }

  /**
   * One inner SIP leg from the participant's call node to the conference node, node to node. When it is up it is in the bridge of
   * the participant's leg at one end, and in the conference's at the other.
   */
  async #makeInner(conference: ConferenceRecord, participant: Participant): Promise<void> {
    const { asterisks, arrivals, nodes } = this.#options;
    const { ari } = asterisks.node(participant.callNode);
    const inner = innerLegId(participant);
    await arrivals.create(inner, () =>
      ari.channels.originate({
        endpoint: `PJSIP/conference/sip:${inner}@${nodes.node(conference.node)?.address ?? ''}:${ports.sip}`,
        app: stasisApp,
        appArgs: 'inner',
        channelId: inner,
        formats: 'ulaw',
        timeout: answerSeconds,
        variables: {
          [bridgeVariable]: innerBridgeId(participant.legId),
          [`PJSIP_HEADER(add,${conferenceHeader})`]: conference.id,
        },
      }),
    );
  }

  /** The conference node's end of an inner leg, in its bridge already; what belongs to no conference any more is ended. */
  #innerArrived(node: string, channel: AriChannel, innerId: string): void {
    const owned = this.list().some(
      one => one.node === node && one.participants.some(member => innerLegId(member) === innerId),
    );
    if (owned) this.#farEnds.set(innerId, { node, channelId: channel.id });
    else void ignoreGone(this.#options.asterisks.node(node).ari.channels.hangup({ channelId: channel.id }));
  }

  #innerEnded(innerId: string): void {
    for (const conference of this.list()) {
      const member = conference.participants.find(one => innerLegId(one) === innerId);
      // The end of its conference node is known in other ways, and mended.
      if (this.#options.nodes.state(conference.node) === 'dead') continue;
      if (member && this.#byCall.get(member.callId) === conference.id) {
        this.#lost(member.callId, `the leg to ${conference.node} ended`);
      }
    }
  }

  async #detach(conference: ConferenceRecord, participant: Participant): Promise<void> {
    if (conference.mixing === 'call-node') return;
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

  async #end(conference: ConferenceRecord): Promise<void> {
    this.#conferences.delete(conference.id);
    await this.#onLiving(conference.node, ari => [ari.bridges.destroy({ bridgeId: conference.id })]);
    await this.#table.delete(conference.id);
    this.#options.events.ended({ id: conference.id, ...(conference.room === null ? {} : { room: conference.room }) });
  }

  async #save(conference: ConferenceRecord): Promise<void> {
    this.#remember(conference);
    await this.#table.put(conference.id, conference);
  }

  #remember(conference: ConferenceRecord): void {
    this.#conferences.set(conference.id, conference);
    for (const member of conference.participants) this.#byCall.set(member.callId, conference.id);
  }
}

function conferenceKey(request: JoinRequest): string {
  return request.room === undefined ? `${request.callId}-conf` : `room-${request.room}`;
}

/** What is gone already need not be ended; an unreachable node is left to the next reconciliation. */
async function ignoreGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!HoldfastError.is(error)) throw error;
  }
}
