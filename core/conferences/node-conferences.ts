// What the conferences have on each Asterisk: what its events tell of it, and what becomes of it as the node connects.
import { messageOf } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Logger } from '../log.js';
import type { AriEvent, AriSnapshot, AsteriskFarm } from '../ports/asterisk.js';
import type { ConferenceBook } from './conference-book.js';
import type { ConferenceMoves } from './conference-moves.js';
import { innerBridgeId, innerLegId, legOfInner, type ConferenceRecord } from './conference-record.js';
import type { Holds } from './holds.js';
import { InnerLegCheck, type BrokenInner } from './inner-leg-check.js';
import type { InnerLegs } from './inner-legs.js';
import type { Speakers } from './speakers.js';

export interface NodeConferencesOptions {
  readonly asterisks: AsteriskFarm;
  readonly nodes: NodeStates;
  readonly log: Logger;
  readonly book: ConferenceBook;
  readonly inners: InnerLegs;
  readonly holds: Holds;
  readonly moves: ConferenceMoves;
  readonly speakers: Speakers;
  readonly lost: (callId: string, reason: string) => void;
  /** Hangs up the calls of these participants. */
  readonly putOut: (conference: Pick<ConferenceRecord, 'participants'>, reason: string) => void;
}

/** Ids of what conferences have on one node. */
export interface ConferenceHoldings {
  readonly bridges: ReadonlySet<string>;
  /** Channels on a call node. */
  readonly innerLegs: ReadonlySet<string>;
  /** Inner legs whose other end is on this conference node. */
  readonly farEnds: ReadonlySet<string>;
}

export class NodeConferences {
  readonly #options: NodeConferencesOptions;
  readonly #book: ConferenceBook;
  readonly #check = new InnerLegCheck();
  /** Nodes that have been connected since the daemon started. */
  readonly #known = new Set<string>();

  constructor(options: NodeConferencesOptions) {
    this.#options = options;
    this.#book = options.book;
  }

  /** The book has what an earlier daemon left. */
  load(): void {
    this.#check.load(this.#book.list());
  }

  /** Handles an event of an inner leg or of a conference node; true when it was one. */
  handle(node: string, event: AriEvent): boolean {
    if (!('channel' in event)) return false;
    const { inners, speakers, nodes } = this.#options;
    if (event.type === 'StasisStart' && event.args[0] === 'conference') {
      inners.arrived(node, event.channel, event.args.slice(1));
      return true;
    }
    if (event.type === 'ChannelTalkingStarted' || event.type === 'ChannelTalkingFinished') {
      speakers.heard(node, event.channel.dialplan.exten, event.type === 'ChannelTalkingStarted');
      return true;
    }
    const id = event.channel.id;
    if (legOfInner(id) !== undefined) {
      if (event.type === 'ChannelDestroyed') this.#innerEnded(id);
      return true;
    }
    if (event.type === 'ChannelDestroyed') inners.farEndGone(event.channel.dialplan.exten);
    return nodes.node(node)?.farm === 'conference';
  }

  /** What the conferences have on a node, made or about to be made. */
  holdings(node: string): ConferenceHoldings {
    const conferences = this.#book.list();
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
    const { inners, holds, moves, putOut } = this.#options;
    inners.takeUp(node, snapshot.channels, this.holdings(node).farEnds);
    for (const broken of this.#check.connected(node, snapshot, this.#book.list(), isRecovering))
      void this.#mend(broken);
    // What an earlier daemon left is mended leg by leg.
    const isFirst = !this.#known.has(node);
    this.#known.add(node);
    const kept = new Set(snapshot.bridges.map(bridge => bridge.id));
    await holds.takeUp(node, snapshot, isRecovering);
    for (const conference of this.#book.list()) {
      const { id, mixing, ending } = conference;
      if (conference.node === node && mixing === 'conference-farm') {
        if (!isFirst && !kept.has(id)) await moves.rebuild(id, node, `${node} no longer has its bridge`);
        else await inners.refresh(conference);
      }
      // Those of an end that an earlier daemon did not finish.
      if (ending !== null)
        putOut({ participants: conference.participants.filter(one => one.callNode === node) }, ending);
    }
  }

  async #mend(broken: readonly BrokenInner[]): Promise<void> {
    const [first] = broken;
    if (!first) return;
    const { callId } = first.participant;
    await this.#options.moves
      .mend(callId, broken)
      .catch((error: unknown) =>
        this.#options.log.error(
          { call: callId, error },
          `the conference of call ${callId} was not mended: ${messageOf(error)}`,
        ),
      );
  }

  #innerEnded(innerId: string): void {
    const { nodes, lost } = this.#options;
    for (const conference of this.#book.list()) {
      const member = conference.participants.find(one => innerLegId(one) === innerId);
      // The end of its conference node is known in other ways, and mended.
      if (nodes.isDead(conference.node)) continue;
      if (member && this.#book.idOf(member.callId) === conference.id) {
        lost(member.callId, `the leg to ${conference.node} ended`);
      }
    }
  }
}
