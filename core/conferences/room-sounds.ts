// What all in a room hear when somebody joins or leaves.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AsteriskFarm } from '../ports/asterisk.js';
import { changesOf } from './conference-changes.js';
import { present, type ConferenceRecord } from './conference-record.js';

export interface RoomSoundsOptions {
  readonly asterisks: AsteriskFarm;
  readonly log: Logger;
  /** Where a node has one of the sounds that Holdfast brings along, as ARI's `media` names it. */
  readonly ownSound: (node: string, name: string) => string;
}

/** Thirty who join at once are one sound, not thirty one after the other; one who leaves at once is told of all the same. */
const pauseMs = 1_000;

export class RoomSounds {
  readonly #options: RoomSoundsOptions;
  /** By conference: when each sound was begun last. */
  readonly #playedMs = new Map<string, Map<string, number>>();

  constructor(options: RoomSoundsOptions) {
    this.#options = options;
  }

  changed(before: ConferenceRecord | undefined, after: ConferenceRecord | undefined): void {
    if (!after) {
      if (before) this.#playedMs.delete(before.id);
      return;
    }
    const { joinSound, leaveSound } = after.policy;
    if (joinSound === null && leaveSound === null) return;
    const changes = changesOf(before, after);
    const sound = changes.some(({ type }) => type === 'joined')
      ? joinSound
      : changes.some(({ type }) => type === 'left')
        ? leaveSound
        : null;
    if (sound !== null) this.#play(after, sound);
  }

  #play(conference: ConferenceRecord, sound: string): void {
    const { id, node } = conference;
    // One who is alone has nobody to be told about, and hears music or silence.
    if (present(conference).length < 2) return;
    const playedMs = this.#playedMs.get(id) ?? new Map<string, number>();
    this.#playedMs.set(id, playedMs);
    if (Date.now() - (playedMs.get(sound) ?? 0) < pauseMs) return;
    playedMs.set(sound, Date.now());
    const { asterisks, log, ownSound } = this.#options;
    const [, own] = /^tone:(.*)$/.exec(sound) ?? [];
    const media = own === undefined ? sound : ownSound(node, own);
    void asterisks
      .node(node)
      .ari.bridges.play({ bridgeId: id, media })
      .catch((error: unknown) =>
        log.warn({ conference: id, node, media, error }, `${media} was not played to ${id}: ${messageOf(error)}`),
      );
  }
}
