// Inner legs: one SIP leg per participant between its call node and the conference node, and how its far end sounds.
import { KeyedQueue } from '../calls/keyed-queue.js';
import type { StasisArrivals } from '../calls/stasis-arrivals.js';
import { HoldfastError, messageOf } from '../errors.js';
import { ports } from '../farm/farm-plan.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Logger } from '../log.js';
import {
  bridgeVariable,
  conferenceHeader,
  musicClassVariable,
  muteHeader,
  silenceClass,
  stasisApp,
  type AriChannel,
  type AriClient,
  type AsteriskFarm,
} from '../ports/asterisk.js';
import type { ConferenceBook } from './conference-book.js';
import { innerBridgeId, innerLegId, present, type ConferenceRecord, type Participant } from './conference-record.js';
import { unlessDead } from './node-deaths.js';
import { audioAtEntry, audioCommands, audioOf, muteAtEntry, type Audio, type AudioCommand } from './room-audio.js';

export interface InnerLegsOptions {
  readonly book: ConferenceBook;
  readonly asterisks: AsteriskFarm;
  readonly nodes: NodeStates;
  readonly arrivals: StasisArrivals;
  readonly log: Logger;
}

/** An inner leg's channel on the conference node. */
interface FarEnd {
  readonly node: string;
  readonly channelId: string;
  /** As it was told last; undefined where an earlier daemon may have told it something else. */
  audio: Audio | undefined;
}

/** How long a conference node may take to answer, seconds. */
const answerSeconds = 5;

/** What is gone already need not be ended; an unreachable node is left to the next reconciliation. */
export async function ignoreGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!HoldfastError.is(error)) throw error;
  }
}

export class InnerLegs {
  readonly #options: InnerLegsOptions;
  /** By inner leg. */
  readonly #farEnds = new Map<string, FarEnd>();
  /** What is said to one channel is said in order. */
  readonly #said = new KeyedQueue();

  constructor(options: InnerLegsOptions) {
    this.#options = options;
  }

  /**
   * One inner SIP leg from the participant's call node to the conference node, node to node. When it is up it is in the bridge of
   * the participant's leg at one end, and in the conference's at the other, muted from the start where it is to be. False where one of
   * the two nodes dies meanwhile: whoever recovers what was there makes it again.
   */
  async make(conference: ConferenceRecord, participant: Participant): Promise<boolean> {
    const ends = [conference.node, participant.callNode];
    return (await this.unlessDead(ends, () => this.#originate(conference, participant).then(() => true))) ?? false;
  }

  /** Others have come into a conference: what a phone that holds is heard with is for two alone. */
  async grown(before: ConferenceRecord, after: ConferenceRecord): Promise<void> {
    if (after.mixing !== 'conference-farm' || isHeardByMany(before) || !isHeardByMany(after)) return;
    const set = { variable: musicClassVariable, value: silenceClass };
    const quieten = (one: Participant): Promise<void> =>
      ignoreGone(this.#ari(one.callNode).channels.setChannelVar({ channelId: innerLegId(one), ...set }));
    await Promise.all(before.participants.map(quieten));
  }

  /** See `unlessDead` of node-deaths.ts. */
  unlessDead<T>(names: readonly string[], work: () => Promise<T>): Promise<T | undefined> {
    return unlessDead(this.#options.nodes, names, work);
  }

  async #originate(conference: ConferenceRecord, participant: Participant): Promise<void> {
    const { arrivals, nodes } = this.#options;
    const ari = this.#ari(participant.callNode);
    const inner = innerLegId(participant);
    const mute = muteAtEntry(wantedAudio(conference, participant));
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
          ...(mute === '' ? {} : { [`PJSIP_HEADER(add,${muteHeader})`]: mute }),
          ...(isHeardByMany(conference) ? { [musicClassVariable]: silenceClass } : {}),
        },
      }),
    );
  }

  /** Puts a participant's leg into the bridge of its inner leg. Where the conference node died before that was there, the next one's comes into the same bridge. */
  async admit({ node }: ConferenceRecord, { legId, callNode }: Participant): Promise<void> {
    const bridgeId = innerBridgeId(legId);
    const { bridges } = this.#ari(callNode);
    if (this.#options.nodes.isDead(node)) await bridges.createWithId({ bridgeId, type: 'mixing' });
    await bridges.addChannel({ bridgeId, channel: legId });
  }

  /** The conference node's end of an inner leg, in its bridge already; what belongs to no conference any more is ended. */
  arrived(node: string, channel: AriChannel, [innerId = '', mute = '']: readonly string[]): void {
    const { book } = this.#options;
    const conference = book
      .list()
      .find(one => one.node === node && one.participants.some(member => innerLegId(member) === innerId));
    if (!conference) {
      void ignoreGone(this.#ari(node).channels.hangup({ channelId: channel.id }));
      return;
    }
    this.#farEnds.set(innerId, { node, channelId: channel.id, audio: audioAtEntry(mute) });
    // The room may have changed while it was on its way.
    void this.refresh(conference);
  }

  /** A channel of a conference node is gone. */
  farEndGone(innerId: string): void {
    this.#farEnds.delete(innerId);
  }

  /** Far ends that a conference node holds from an earlier daemon's time. */
  takeUp(node: string, channels: readonly AriChannel[], owned: ReadonlySet<string>): void {
    for (const { id, dialplan } of channels) {
      if (owned.has(dialplan.exten)) this.#farEnds.set(dialplan.exten, { node, channelId: id, audio: undefined });
    }
  }

  /** Puts the conference node's end of an inner leg into another bridge there; false where there is none. See `make`. */
  async moveFarEnd(innerId: string, bridgeId: string): Promise<boolean> {
    const end = this.#farEnds.get(innerId);
    if (!end) return false;
    const { bridges } = this.#ari(end.node);
    await this.unlessDead([end.node], async () => {
      await bridges.createWithId({ bridgeId, type: 'mixing' });
      await bridges.addChannel({ bridgeId, channel: end.channelId });
    });
    return true;
  }

  /** Ends the conference node's end of an inner leg whose other end is gone: nobody will send it a BYE. */
  endFarEnd(innerId: string): void {
    const end = this.#farEnds.get(innerId);
    if (!end) return;
    this.#farEnds.delete(innerId);
    void ignoreGone(this.#ari(end.node).channels.hangup({ channelId: end.channelId }));
  }

  /** Makes every participant's channel sound as the record says. One that cannot be told now is told when it arrives anew. */
  async refresh({ id, room }: Pick<ConferenceRecord, 'id' | 'room'>): Promise<void> {
    if (room === null) return;
    const innerIds = (this.#options.book.get(id)?.participants ?? []).map(innerLegId);
    await Promise.all(innerIds.map(innerId => this.#said.run(innerId, () => this.#tell(id, innerId))));
  }

  /** Has the conference node listen to a participant as if it had said nothing yet: one who speaks is told of again. */
  async listenAnew(conferenceId: string, innerId: string): Promise<void> {
    await this.#said.run(innerId, async () => {
      const end = this.#farEnds.get(innerId);
      if (end?.audio) end.audio = { ...end.audio, talkDetect: undefined };
      await this.#tell(conferenceId, innerId);
    });
  }

  async #tell(conferenceId: string, innerId: string): Promise<void> {
    const { book, log } = this.#options;
    const conference = book.get(conferenceId);
    const member = conference?.participants.find(one => innerLegId(one) === innerId);
    const end = this.#farEnds.get(innerId);
    if (!conference || !member || !end) return;
    const wanted = audioOf(conference, member);
    const commands = audioCommands(end.audio, wanted);
    if (commands.length === 0) return;
    const before = end.audio;
    end.audio = undefined;
    try {
      for (const command of commands) await say(this.#ari(end.node), end.channelId, command);
      end.audio = wanted;
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      log.warn(
        { conference: conferenceId, node: end.node, channel: end.channelId, before, wanted, error },
        `${end.node} could not be told how ${innerId} is to sound: ${messageOf(error)}`,
      );
    }
  }

  #ari(node: string): AriClient {
    return this.#options.asterisks.node(node).ari;
  }
}

/** As it will be once it is in: it is among those who are present then. */
function wantedAudio(conference: ConferenceRecord, participant: Participant): Pick<Audio, 'muted' | 'hears'> {
  if (conference.room === null) return { muted: false, hears: 'room' };
  const entered = present(conference).some(one => one.legId === participant.legId)
    ? conference
    : { ...conference, participants: [...conference.participants, participant] };
  return audioOf(entered, participant);
}

/** Music for a phone that holds is for whoever is in a call with it, and not for a room. */
function isHeardByMany({ room, participants }: ConferenceRecord): boolean {
  return room !== null || participants.length > 2;
}

async function say(ari: AriClient, channelId: string, command: AudioCommand): Promise<void> {
  if ('direction' in command) return ari.channels[command.do]({ channelId, direction: command.direction });
  if ('variable' in command) return ari.channels.setChannelVar({ channelId, ...command });
  return ari.channels[command.do]({ channelId });
}
