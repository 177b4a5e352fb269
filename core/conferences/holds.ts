// Participants on hold: their legs are taken out of their bridges and hear music, no phone is told, and it is so again after every death.
import { KeyedQueue } from '../calls/keyed-queue.js';
import { HoldfastError, messageOf } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Logger } from '../log.js';
import type { AriChannel, AriClient, AriSnapshot, AsteriskFarm } from '../ports/asterisk.js';
import type { ConferenceBook } from './conference-book.js';
import { present, type ConferenceRecord, type Participant } from './conference-record.js';
import { earCommands, earsOf, type EarCommand, type Ears } from './ears.js';

export interface HoldsOptions {
  readonly book: ConferenceBook;
  readonly asterisks: AsteriskFarm;
  readonly nodes: NodeStates;
  readonly log: Logger;
  /** The bridge on its call node that a leg belongs in. */
  readonly bridgeOf: (conference: ConferenceRecord, legId: string) => string;
}

export class Holds {
  readonly #options: HoldsOptions;
  /** By leg, as it was told last; one that is not here is in its conference. */
  readonly #ears = new Map<string, Ears | undefined>();
  /** What is said to one conference is said in order. */
  readonly #said = new KeyedQueue();

  constructor(options: HoldsOptions) {
    this.#options = options;
    options.book.onChange((before, after) => this.#forgetLeavers(before, after));
  }

  /** Makes every leg hear what the record says. One that cannot be told now is told when it is attached anew. */
  refresh(id: string): Promise<void> {
    return this.#said.run(id, () => this.#refresh(id));
  }

  /** A leg has a new channel, or is about to: what its old one heard is of no account. */
  forget(legId: string): void {
    this.#ears.set(legId, undefined);
  }

  /** It is in its conference, as one is of whom nothing else is said. */
  arrived(legId: string): void {
    this.#ears.delete(legId);
  }

  /**
   * A node's event stream is open. Where somebody is on hold, or is not where its record has it, an earlier daemon may have died
   * between its word and its deed: everybody is told again. A leg that is being recovered is told as it is attached.
   */
  async takeUp(
    node: string,
    { bridges, channels }: Pick<AriSnapshot, 'bridges' | 'channels'>,
    isRecovering: (legId: string) => boolean,
  ): Promise<void> {
    const isOurs = ({ id, state }: AriChannel): boolean => state === 'Up' && !isRecovering(id);
    const up = new Set(channels.filter(isOurs).map(({ id }) => id));
    const inBridge = new Set(bridges.flatMap(bridge => bridge.channels.map(channel => `${bridge.id} ${channel}`)));
    const { book, bridgeOf } = this.#options;
    const isAstray = (conference: ConferenceRecord, { legId, onHold }: Participant): boolean =>
      onHold || !inBridge.has(`${bridgeOf(conference, legId)} ${legId}`);
    for (const conference of book.list()) {
      const here = present(conference).filter(one => one.callNode === node && up.has(one.legId));
      if (!here.some(one => isAstray(conference, one))) continue;
      for (const { legId } of here) this.forget(legId);
      await this.refresh(conference.id);
    }
  }

  async #refresh(id: string): Promise<void> {
    const { book, nodes } = this.#options;
    const conference = book.get(id);
    if (!conference) return;
    const there = present(conference).filter(one => !nodes.isDead(one.callNode));
    const changes = there.map(member => ({ member, wanted: earsOf(conference, member) }));
    // Whoever is back is heard last: until then it can be seen that not all is done.
    const [first, last] = [changes.filter(one => !this.#returns(one)), changes.filter(one => this.#returns(one))];
    for (const part of [first, last])
      await Promise.all(part.map(({ member, wanted }) => this.#tell(conference, member, wanted)));
  }

  #returns({ member: { legId }, wanted }: { member: Participant; wanted: Ears }): boolean {
    return this.#ears.get(legId) === 'music' && wanted !== 'music';
  }

  async #tell(conference: ConferenceRecord, { legId, callNode }: Participant, wanted: Ears): Promise<void> {
    const now = this.#ears.has(legId) ? this.#ears.get(legId) : 'conference';
    const commands = earCommands(now, wanted);
    if (commands.length === 0) return;
    this.forget(legId);
    const { asterisks, bridgeOf, log } = this.#options;
    const { ari } = asterisks.node(callNode);
    try {
      for (const command of commands) await say(ari, legId, bridgeOf(conference, legId), command);
      if (wanted === 'conference') this.#ears.delete(legId);
      else this.#ears.set(legId, wanted);
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      log.warn(
        { conference: conference.id, node: callNode, leg: legId, now, wanted, error },
        `${callNode} could not be told that ${legId} is to hear ${wanted}: ${messageOf(error)}`,
      );
    }
  }

  #forgetLeavers(before: ConferenceRecord | undefined, after: ConferenceRecord | undefined): void {
    if (!before) return;
    const left = new Set(after?.participants.map(one => one.legId));
    for (const { legId } of before.participants) if (!left.has(legId)) this.#ears.delete(legId);
  }
}

async function say(ari: AriClient, channelId: string, bridgeId: string, command: EarCommand): Promise<void> {
  switch (command) {
    case 'enterBridge': {
      const { channels } = await ari.bridges.createWithId({ bridgeId, type: 'mixing' });
      if (!channels.includes(channelId)) await ari.bridges.addChannel({ bridgeId, channel: channelId });
      return;
    }
    case 'leaveBridge':
      // Refused where it is not in it, as one that was recovered while it was on hold.
      return ari.bridges.removeChannel({ bridgeId, channel: channelId }).catch((error: unknown) => {
        if (!HoldfastError.is(error, 'ARI_REFUSED')) throw error;
      });
    default:
      return ari.channels[command]({ channelId });
  }
}
