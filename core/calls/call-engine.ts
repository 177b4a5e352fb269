// The call engine: makes calls of INVITEs, and turns what the Asterisks tell into events of calls.
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AriChannel, AriEvent, AsteriskListener } from '../ports/asterisk.js';
import type { Store, StoreWrite, Table } from '../store/store.js';
import type { CallDetailRecord, IncomingCall } from './call-facts.js';
import type { NewEvent } from '../events/event-log.js';
import { ariWorld, type AriWorldOptions } from './ari-world.js';
import { BlindTimes } from './blind-times.js';
import { CallBook } from './call-book.js';
import { cdrOf } from './cdr-of.js';
import { newCallId } from './call-id.js';
import type { CallEvent } from './call-machine.js';
import { callRecordSchema, echoPeer, incomingCall, isLive, type CallRecord } from './call-record.js';
import { heardEvent } from './heard-events.js';
import { readInvite } from './inbound-invite.js';
import { newCallRecord } from './new-call.js';
import type { CallWorld } from './call-world.js';
import { LiveCall } from './live-call.js';
import type { StasisArrivals } from './stasis-arrivals.js';

/** What the world of calls asks of the engine itself. */
type EnginesOwn = 'save' | 'finish' | 'changed' | 'legOfDialog' | 'tellOther';

export interface CallEngineOptions extends Omit<AriWorldOptions, EnginesOwn> {
  readonly store: Store;
  readonly arrivals: StasisArrivals;
  /** The SIP Call-ID of a leg as seen on the wire, if it was. */
  readonly sipCallIdOf: (legId: string) => string | undefined;
  readonly events: {
    started(call: IncomingCall): void;
    answered(call: { readonly id: string; readonly answeredBy: string }): void;
    ended(record: CallDetailRecord): void;
    /** Told of each change of a call, at once: it must do next to nothing. */
    changed(before: CallRecord, after: CallRecord): void;
  };
  /** As writes of a transaction that is begun at once. */
  readonly telling: (events: readonly NewEvent[]) => readonly StoreWrite[];
  /** Puts the CDR in the outbox and deletes the call's record, in one step. */
  readonly finish: (call: CallRecord, record: CallDetailRecord, events: readonly NewEvent[]) => Promise<void>;
}

/** How long after a BYE was answered its Asterisk's own word of it may take. */
const goneGraceMs = 1000;

export class CallEngine {
  readonly #options: CallEngineOptions;
  readonly #log: Logger;
  readonly #table: Table<CallRecord>;
  readonly book: CallBook;
  readonly #world: CallWorld;
  readonly #blindTimes: BlindTimes;
  #arrived: (node: string, sipCallId: string) => void = () => undefined;
  #recovering: (node: string, event: AriEvent) => boolean = () => false;

  constructor(options: CallEngineOptions) {
    this.#options = options;
    this.book = new CallBook(options.sipCallIdOf);
    this.#log = options.log;
    this.#table = options.store.table('calls', callRecordSchema);
    this.#blindTimes = new BlindTimes({ book: this.book, conferences: options.conferences, log: options.log });
    this.#world = ariWorld({
      ...options,
      legOfDialog: sipCallId => this.book.legOfDialog(sipCallId),
      tellOther: async (callId, event) => {
        const other = this.book.get(callId);
        other?.dispatch(event);
        await other?.settled();
      },
      save: async (call, events) => {
        await options.store.transaction([this.#table.putting(call.id, call), ...options.telling(events)]);
      },
      finish: (call, events) => this.#finish(call, events),
      changed: (before, after) => {
        if (before.answeredMs === null && after.answeredMs !== null) this.#tellAnswered(after);
        this.#askMissingCallIds(before, after);
        options.events.changed(before, after);
      },
    });
    options.conferences.onLost((callId, reason) => this.book.get(callId)?.dispatch({ type: 'joinFailed', reason }));
  }

  /** Reads the calls an earlier daemon left; they are taken up as their nodes connect. `blindSinceMs`: when it last lived. */
  async load(blindSinceMs: number): Promise<void> {
    await this.#options.conferences.load();
    const found: string[] = [];
    for await (const [, { value }] of this.#table.range()) {
      this.#adopt(value);
      found.push(value.id);
    }
    this.#blindTimes.resumed(blindSinceMs, found);
    if (this.book.size > 0) this.#log.info({ calls: this.book.size }, `found ${this.book.size} calls in the store`);
  }

  /** Who is told of each INVITE that reached a node: a draining node's calls are pinned as they come. */
  onArrival(listener: (node: string, sipCallId: string) => void): void {
    this.#arrived = listener;
  }

  /** Makes one conference of those of two calls; resolves with its id. Throws CONFERENCE_REFUSED or NO_CONFERENCE_NODE. */
  async merge(callId: string, otherCallId: string): Promise<string> {
    const { conferences } = this.#options;
    const conferenceId = await conferences.merge(callId, otherCallId, []);
    const members = conferences.get(conferenceId)?.participants ?? [];
    for (const id of new Set(members.map(one => one.callId))) this.tell(id, { type: 'joined', conferenceId });
    return conferenceId;
  }

  /** What the engine wants to hear of one Asterisk. */
  listener(node: string): AsteriskListener {
    return {
      connected: snapshot => {
        void this.#blindTimes
          .end(node, snapshot)
          .catch((error: unknown) =>
            this.#log.error({ node, error }, `calls of ${node} not taken up: ${messageOf(error)}`),
          );
      },
      disconnected: () => this.#blindTimes.begin(node),
      event: event => this.#event(node, event),
    };
  }

  /** A leg's node has no channel of it; false where that is known. */
  legGone(legId: string): boolean {
    const leg = this.book.leg(legId);
    if (!leg || !isLive(leg) || this.book.isUnderWay(leg)) return false;
    this.#dispatch(legId, { type: 'legEnded', leg: legId, sipStatus: 480, unseen: true });
    return true;
  }

  /** Tells a call what became of its legs, or what is wanted of it; nobody where there is none of that id. `legsMoved` and `legRecovered` are not in the store until `save`. */
  tell(callId: string, event: CallEvent): void {
    this.book.get(callId)?.dispatch(event);
  }

  /** Saves these calls as they are now, in one transaction with `writes`. */
  async save(callIds: Iterable<string>, writes: readonly StoreWrite[] = []): Promise<void> {
    const calls = [...new Set(callIds)].flatMap(id => {
      const live = this.book.get(id);
      return live === undefined || live.isFinished ? [] : [live.record];
    });
    const all = [...writes, ...calls.map(call => this.#table.putting(call.id, call))];
    if (all.length > 0) await this.#options.store.transaction(all);
  }

  /**
   * The wire showed the end of these dialogs. A leg whose Asterisk does not know of it a moment later, as a Kamailio has
   * answered the BYE in a dead node's stead while the session was being recovered, is hung up.
   */
  dialogsEnded(sipCallIds: readonly string[]): void {
    const ended = new Set(sipCallIds);
    setTimeout(() => {
      for (const leg of this.book.list().flatMap(call => call.legs)) {
        if (leg.sipCallId === null || !ended.has(leg.sipCallId) || leg.state !== 'confirmed' || leg.ending) continue;
        if (leg.recovering !== null) continue;
        this.#log.info({ leg: leg.id, sipCallId: leg.sipCallId }, `${leg.id} has hung up without its node: ending it`);
        const { channels } = this.#options.asterisks.node(leg.node).ari;
        // Where it has no such channel, its end was not heard.
        void channels.hangup({ channelId: leg.id }).catch((error: unknown) => {
          if (HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === 404) this.legGone(leg.id);
        });
      }
    }, goneGraceMs).unref();
  }

  /** Who hears first what happens to a leg that is being recovered; it answers true for what was meant for it. */
  onRecovering(listener: (node: string, event: AriEvent) => boolean): void {
    this.#recovering = listener;
  }

  #adopt(call: CallRecord): LiveCall {
    const live = new LiveCall(call, this.#world, this.#log);
    this.book.add(live);
    return live;
  }

  #event(node: string, event: AriEvent): void {
    if (event.type === 'StasisStart' && this.#options.arrivals.arrived(event.channel.id)) return;
    if (event.type === 'ChannelDestroyed') this.#options.arrivals.ended(event.channel.id);
    if (this.#options.conferences.handle(node, event)) return;
    if (this.#recovering(node, event) || this.#isElsewhere(node, event)) return;
    switch (event.type) {
      case 'StasisStart':
        if (event.args[0] === 'inbound') this.#incoming(node, event.channel, event.args);
        return;
      case 'Dial':
        this.#learnCallId(event.peer);
        break;
      case 'ChannelStateChange':
      case 'ChannelDestroyed':
        this.#learnCallId(event.channel);
        break;
      case 'ChannelDtmfReceived':
        // Flows are of the caller.
        if (!this.book.isCaller(event.channel.id)) return;
        break;
      case 'PlaybackFinished':
        this.#warnIfUnplayed(event.playback);
        break;
      default:
    }
    const heard = heardEvent(event, this.#options.passing);
    if (heard) this.#dispatch(heard.id, heard.event);
  }

  /** True for a leg that has been recovered on another node: what its old one may still say of it is of no account. */
  #isElsewhere(node: string, event: AriEvent): boolean {
    if (!('channel' in event)) return false;
    const leg = this.book.leg(event.channel.id);
    return leg !== undefined && leg.node !== node;
  }

  #warnIfUnplayed({ id, state }: { readonly id: string; readonly state: string }): void {
    if (state !== 'failed') return;
    this.#log.warn({ playback: id }, 'Asterisk could not play a sound: see the log of its node');
  }

  #dispatch(legId: string, event: CallEvent): void {
    this.book.ofLeg(legId)?.dispatch(event);
  }

  /** The wire shows a leg's Call-ID before its answer; where that copy was lost, the Asterisk is asked. */
  #askMissingCallIds(before: CallRecord, after: CallRecord): void {
    for (const leg of after.legs) {
      if (leg.state !== 'confirmed' || leg.sipCallId !== null || leg.peer === echoPeer) continue;
      if (before.legs.find(one => one.id === leg.id)?.state === 'confirmed') continue;
      const { ari } = this.#options.asterisks.node(leg.node);
      void ari.channels
        .getChannelVar({ channelId: leg.id, variable: 'CHANNEL(pjsip,call-id)' })
        .then(({ value }) => this.learnCallId(leg.id, value))
        .catch(() => undefined);
    }
  }

  #tellAnswered(call: CallRecord): void {
    const by = call.legs.find(leg => leg.direction === 'outbound' && leg.state === 'confirmed');
    this.#options.events.answered({ id: call.id, answeredBy: by?.peer ?? call.dialled });
  }

  /** The Call-ID of a leg of ours: its copy from the wire may come after the answer of a callee that is quick. */
  #learnCallId({ id, protocol_id: told = '' }: AriChannel): void {
    const leg = this.book.leg(id);
    if (!leg || leg.sipCallId !== null || leg.peer === echoPeer) return;
    const sipCallId = this.#options.sipCallIdOf(id) ?? told;
    if (sipCallId !== '') this.learnCallId(id, sipCallId);
  }

  learnCallId(legId: string, sipCallId: string): void {
    this.#dispatch(legId, { type: 'legCallId', leg: legId, sipCallId });
  }

  #incoming(node: string, channel: AriChannel, args: readonly string[]): void {
    if (this.book.ofLeg(channel.id)) return;
    const invite = readInvite(args, channel, this.#options.passing());
    if (!invite) {
      this.#log.warn({ node, channel: channel.id, args }, `${node} reported an INVITE without its Call-ID or source`);
      void this.#options.asterisks
        .node(node)
        .ari.channels.hangup({ channelId: channel.id })
        .catch(() => undefined);
      return;
    }
    this.#arrived(node, invite.sipCallId);
    const twin = this.book.idOfCaller(invite.sipCallId);
    if (twin !== undefined) {
      this.#refuseMerged(node, channel.id, invite.sipCallId, twin);
      return;
    }
    const call = newCallRecord({ id: newCallId(), ...invite }, node, channel.id, Date.now(), this.#options.limits());
    const live = this.#adopt(call);
    this.#log.info(
      {
        call: call.id,
        node,
        sipCallId: invite.sipCallId,
        from: invite.callerNumber,
        dialled: invite.dialled,
        source: invite.source,
      },
      `call from ${invite.callerNumber} to ${invite.dialled} on ${node}`,
    );
    this.#options.events.started(incomingCall(call));
    live.dispatch({ type: 'started' });
  }

  /** A second INVITE of a dialog that is there already (RFC 3261 §8.2.2.2): 482, and the call it would disturb goes on. */
  #refuseMerged(node: string, channelId: string, sipCallId: string, call: string): void {
    this.#log.error({ node, sipCallId, call }, `a second INVITE with the Call-ID of call ${call}: refused with 482`);
    const { channels } = this.#options.asterisks.node(node).ari;
    void channels
      .continueInDialplan({ channelId, context: 'reject', extension: '482' })
      .catch(() => channels.hangup({ channelId }))
      .catch(() => undefined);
  }

  async #finish(call: CallRecord, events: readonly NewEvent[]): Promise<void> {
    const learned = call.legs.map(leg => ({
      ...leg,
      sipCallId: this.book.sipCallIdOf(leg) ?? null,
    }));
    const record = cdrOf({ ...call, legs: learned });
    await this.#options.finish(call, record, events);
    this.book.delete(call);
    this.#log.info({ call: call.id, outcome: record.outcome, billSeconds: record.billSeconds }, 'call is over');
    this.#options.events.ended(record);
  }
}
