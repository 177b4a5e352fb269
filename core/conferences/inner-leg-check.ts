// Which inner legs an earlier daemon died before it made, moved or gave up: seen by what the nodes hold as they connect.
import type { AriSnapshot } from '../ports/asterisk.js';
import {
  innerBridgeId,
  innerLegId,
  legOfInner,
  present,
  type ConferenceRecord,
  type Participant,
} from './conference-record.js';

type Snapshot = Pick<AriSnapshot, 'bridges' | 'channels'>;

/** What one node holds, by what it is looked for. */
interface Held {
  readonly channels: ReadonlySet<string>;
  /** Inner legs that begin here, by the participant's leg. */
  readonly inners: ReadonlyMap<string, readonly string[]>;
  /** Channels that inner legs end in here, by inner leg. */
  readonly farEnds: ReadonlyMap<string, string>;
  readonly bridges: ReadonlyMap<string, readonly string[]>;
}

/** A participant whose inner leg is not where the record has it, and all inner legs that it has. */
export interface BrokenInner {
  readonly participant: Participant;
  readonly inners: readonly string[];
}

export function hasSameInner(one: Participant, other: Participant): boolean {
  return one.legId === other.legId && one.callNode === other.callNode && one.innerLegs === other.innerLegs;
}

/** Looks once at each participant that the daemon found in the store, as soon as both nodes of its inner leg are connected. */
export class InnerLegCheck {
  /** By leg, as they were found. */
  readonly #unseen = new Map<string, Participant>();
  readonly #held = new Map<string, Held>();

  load(conferences: readonly ConferenceRecord[]): void {
    for (const conference of conferences.filter(({ mixing }) => mixing === 'conference-farm'))
      for (const one of present(conference)) this.#unseen.set(one.legId, one);
  }

  /**
   * A node's event stream is open. Gives the broken ones of each conference that can be told now. `isRecovering`: a leg that is given an inner leg
   * of its own as it is recovered.
   */
  connected(
    node: string,
    snapshot: Snapshot,
    conferences: readonly ConferenceRecord[],
    isRecovering: (legId: string) => boolean,
  ): readonly (readonly BrokenInner[])[] {
    if (this.#unseen.size === 0) return [];
    this.#held.set(node, heldOf(snapshot));
    const broken = conferences.map(one => this.#broken(one, isRecovering)).filter(ones => ones.length > 0);
    if (this.#unseen.size === 0) this.#held.clear();
    return broken;
  }

  #broken(conference: ConferenceRecord, isRecovering: (legId: string) => boolean): readonly BrokenInner[] {
    const far = this.#held.get(conference.node);
    if (!far) return [];
    return present(conference).flatMap(participant => {
      const { legId, callNode } = participant;
      const found = this.#unseen.get(legId);
      const near = this.#held.get(callNode);
      if (!found || !near) return [];
      this.#unseen.delete(legId);
      const isOurs = hasSameInner(participant, found) && near.channels.has(legId) && !isRecovering(legId);
      if (conference.mixing !== 'conference-farm' || !isOurs || isWhole(conference, participant, near, far)) return [];
      return [{ participant, inners: near.inners.get(legId) ?? [] }];
    });
  }
}

function isWhole(conference: ConferenceRecord, participant: Participant, near: Held, far: Held): boolean {
  const inner = innerLegId(participant);
  const others = (near.inners.get(participant.legId) ?? []).filter(one => one !== inner);
  const farEnd = far.farEnds.get(inner);
  const isNear = near.bridges.get(innerBridgeId(participant.legId))?.includes(inner) ?? false;
  const isFar = farEnd !== undefined && (far.bridges.get(conference.id)?.includes(farEnd) ?? false);
  return isNear && isFar && others.length === 0;
}

function heldOf({ bridges, channels }: Snapshot): Held {
  const inners = new Map<string, string[]>();
  for (const { id } of channels) {
    const leg = legOfInner(id);
    if (leg !== undefined) inners.set(leg, [...(inners.get(leg) ?? []), id]);
  }
  return {
    channels: new Set(channels.map(({ id }) => id)),
    inners,
    farEnds: new Map(channels.map(({ id, dialplan }) => [dialplan.exten, id])),
    bridges: new Map(bridges.map(one => [one.id, one.channels])),
  };
}
