// The conferences: where each is mixed, who is in it, and the bridges and inner legs that make it so.
import type { ConferenceFacts, Placement } from '../calls/call-facts.js';
import { KeyedQueue } from '../calls/keyed-queue.js';
import type { StasisArrivals } from '../calls/stasis-arrivals.js';
import { HoldfastError, messageOf } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Logger } from '../log.js';
import { stasisApp, type AriBridge, type AriChannel, type AriEvent, type AsteriskFarm } from '../ports/asterisk.js';
import type { Store, Table } from '../store/store.js';
import {
  conferenceRecordSchema,
  innerBridgeId,
  innerLegId,
  type ConferenceRecord,
  type Participant,
} from './conference-record.js';

export interface ConferencesOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly nodes: NodeStates;
  readonly arrivals: StasisArrivals;
  readonly log: Logger;
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

  /** Joins once more what the store says is joined: after a restart of the daemon, when a channel may be outside its bridge. */
  async rejoin(callId: string): Promise<void> {
    const key = this.#byCall.get(callId);
    if (key === undefined) return;
    await this.#queue.run(key, async () => {
      const conference = this.#conferences.get(key);
      if (conference?.mixing !== 'call-node') return;
      await this.#bridgeOn(conference.node, conference.id);
      await this.#attach(
        conference,
        conference.participants.filter(one => one.callId === callId),
      );
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
    if (id.endsWith('-inner')) {
      if (event.type === 'ChannelDestroyed') this.#innerEnded(id);
      return true;
    }
    return this.#options.nodes.node(node)?.farm === 'conference';
  }

  /** True where a channel or bridge belongs to a conference in the store. */
  owns(id: string): boolean {
    if (this.#conferences.has(id)) return true;
    const legId = id.replace(/-(inner|bridge)$/, '');
    return legId !== id && this.list().some(one => one.participants.some(member => member.legId === legId));
  }

  /** Ends what a node holds and no conference knows: leftovers of a time when the daemon was away. */
  async reconcile(
    node: string,
    snapshot: { bridges: readonly AriBridge[]; channels: readonly AriChannel[] },
  ): Promise<void> {
    const { ari } = this.#options.asterisks.node(node);
    for (const bridge of snapshot.bridges.filter(one => !this.owns(one.id))) {
      await ignoreGone(ari.bridges.destroy({ bridgeId: bridge.id }));
      this.#options.log.info({ node, bridge: bridge.id }, `removed a bridge of nobody's on ${node}`);
    }
    for (const channel of snapshot.channels.filter(one => one.id.endsWith('-inner') && !this.owns(one.id))) {
      await ignoreGone(ari.channels.hangup({ channelId: channel.id }));
    }
    const kept = new Set(snapshot.bridges.map(bridge => bridge.id));
    for (const conference of this.list()) {
      if (conference.node === node && conference.mixing === 'conference-farm' && !kept.has(conference.id)) {
        this.lostNode(node, `${node} no longer has its bridge`, conference.id);
      }
    }
  }

  /** A node is gone: everybody mixed there has lost the conference. */
  lostNode(node: string, reason: string, only?: string): void {
    for (const conference of this.list()) {
      if (conference.node !== node || (only !== undefined && conference.id !== only)) continue;
      for (const callId of new Set(conference.participants.map(one => one.callId))) this.#lost(callId, reason);
    }
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
    await this.#bridgeOn(node, key);
    this.#options.events.created({ id: key, callNodes, node, ...room });
    return conference;
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

  /** One inner SIP leg from the participant's call node to the conference node, node to node. */
  async #attachInner(conference: ConferenceRecord, participant: Participant): Promise<void> {
    const { ari } = this.#options.asterisks.node(participant.callNode);
    const target = this.#options.nodes.node(conference.node);
    const inner = innerLegId(participant.legId);
    const bridgeId = innerBridgeId(participant.legId);
    const { arrivals } = this.#options;
    const inward = async (): Promise<void> => {
      await arrivals.create(inner, () =>
        ari.channels.create({
          endpoint: `PJSIP/conference/sip:${conference.id}@${target?.address ?? ''}:5060`,
          app: stasisApp,
          appArgs: 'inner',
          channelId: inner,
          formats: 'ulaw',
        }),
      );
      await arrivals.answer(inner, () => ari.channels.dial({ channelId: inner }));
    };
    await Promise.all([ari.bridges.createWithId({ bridgeId, type: 'mixing' }), inward()]);
    // Only now: the answer of a channel passes through its bridge, and would answer a caller who hears early media.
    await ari.bridges.addChannel({ bridgeId, channel: `${participant.legId},${inner}` });
  }

  /** The conference node's end of an inner leg: answered and put into the conference. */
  #innerArrived(node: string, channel: AriChannel, conferenceId: string): void {
    const { ari } = this.#options.asterisks.node(node);
    const known = this.#conferences.get(conferenceId)?.node === node;
    const work = known
      ? Promise.all([
          ari.channels.answer({ channelId: channel.id }),
          ari.bridges.addChannel({ bridgeId: conferenceId, channel: channel.id }),
        ])
      : ari.channels.hangup({ channelId: channel.id });
    work.catch((error: unknown) => {
      this.#options.log.warn({ node, conference: conferenceId, error }, `inner leg not joined: ${messageOf(error)}`);
      void ignoreGone(ari.channels.hangup({ channelId: channel.id }));
    });
  }

  #innerEnded(innerId: string): void {
    const legId = innerId.replace(/-inner$/, '');
    for (const conference of this.list()) {
      const member = conference.participants.find(one => one.legId === legId);
      if (member && this.#byCall.get(member.callId) === conference.id) {
        this.#lost(member.callId, `the leg to ${conference.node} ended`);
      }
    }
  }

  async #detach(conference: ConferenceRecord, participant: Participant): Promise<void> {
    if (conference.mixing === 'call-node') return;
    const { ari } = this.#options.asterisks.node(participant.callNode);
    await Promise.all([
      ignoreGone(ari.channels.hangup({ channelId: innerLegId(participant.legId) })),
      ignoreGone(ari.bridges.destroy({ bridgeId: innerBridgeId(participant.legId) })),
    ]);
  }

  async #end(conference: ConferenceRecord): Promise<void> {
    const { ari } = this.#options.asterisks.node(conference.node);
    await ignoreGone(ari.bridges.destroy({ bridgeId: conference.id }));
    this.#conferences.delete(conference.id);
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
