// Who speaks in the rooms that ask for it: what conference nodes hear, told no faster than followers can bear, and doubted in time.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { ConferenceBook } from './conference-book.js';
import { innerLegId, type ConferenceRecord, type Participant } from './conference-record.js';
import { isListenedTo } from './room-audio.js';

export interface SpeakersOptions {
  readonly book: Pick<ConferenceBook, 'get' | 'list'>;
  readonly log: Logger;
  /** Keeps who speaks now, by leg, in the conference's record. */
  readonly keep: (conferenceId: string, speaking: ReadonlyMap<string, boolean>) => Promise<unknown>;
  /** Has the conference node say again that a participant speaks, if it does. */
  readonly listenAnew: (conferenceId: string, innerId: string) => Promise<unknown>;
}

/** A room is told of this often at most, and of so many at once: a noisy room of hundreds must not fill the event log. */
const tellEveryMs = 500;
const mostAtOnce = 5;
/**
 * Asterisk hears that speech has ended in the audio that comes (funcs/func_talkdetect.c): of a phone that sends nothing any more it would never
 * say so. Whoever speaks for long is listened to anew.
 */
const doubtAfterMs = 10_000;
/** For the way to the node and back, or until an inner leg is made again. */
const answerMs = 2_000;

interface Room {
  /** What was heard and is not told yet, by leg: the oldest first. */
  readonly untold: Map<string, boolean>;
  timer: NodeJS.Timeout | undefined;
  toldMs: number;
}

export class Speakers {
  readonly #options: SpeakersOptions;
  readonly #rooms = new Map<string, Room>();
  /** Of those who speak, by leg: when to doubt it, or when it is not so any more. */
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(options: SpeakersOptions) {
    this.#options = options;
  }

  /** A conference node says so of the far end of an inner leg. */
  heard(node: string, innerId: string, speaks: boolean): void {
    for (const conference of this.#options.book.list()) {
      if (conference.node !== node) continue;
      const member = conference.participants.find(one => innerLegId(one) === innerId);
      if (member) this.#heard(conference, member, speaks && isListenedTo(conference, member));
    }
  }

  changed(before: ConferenceRecord | undefined, after: ConferenceRecord | undefined): void {
    const known = new Map(before?.participants.map(one => [one.legId, one]));
    for (const one of after?.participants ?? []) {
      const was = known.get(one.legId);
      known.delete(one.legId);
      if (!after || !one.speaking) continue;
      if (!isListenedTo(after, one)) this.#heard(after, one, false);
      // It comes from another room, or is heard through another leg, which knows nothing of what was said before.
      else if (was?.innerLegs !== one.innerLegs) this.#listenAnew(after.id, one.legId);
    }
    for (const legId of known.keys()) this.#forget(legId);
    if (after || !before) return;
    clearTimeout(this.#rooms.get(before.id)?.timer);
    this.#rooms.delete(before.id);
  }

  /** As an earlier daemon left it: who spoke then is listened to anew as its node is connected. */
  takeUp(conference: ConferenceRecord): void {
    for (const one of conference.participants) if (one.speaking) this.#doubt(conference, one);
  }

  #heard(conference: ConferenceRecord, member: Participant, speaks: boolean): void {
    this.#forget(member.legId);
    if (speaks) this.#later(member.legId, doubtAfterMs, () => this.#listenAnew(conference.id, member.legId));
    this.#tell(conference.id, member.legId, speaks);
  }

  #listenAnew(conferenceId: string, legId: string): void {
    const conference = this.#options.book.get(conferenceId);
    const member = conference?.participants.find(one => one.legId === legId);
    if (!conference || !member) return;
    this.#doubt(conference, member);
    void this.#options.listenAnew(conferenceId, innerLegId(member));
  }

  /** It does not speak any more, unless its node says so in time. */
  #doubt({ id, policy }: ConferenceRecord, { legId }: Participant): void {
    this.#later(legId, (policy.activeSpeaker?.silenceMs ?? 0) + answerMs, () => this.#tell(id, legId, false));
  }

  #later(legId: string, ms: number, work: () => void): void {
    this.#forget(legId);
    this.#timers.set(legId, setTimeout(work, ms).unref());
  }

  #forget(legId: string): void {
    clearTimeout(this.#timers.get(legId));
    this.#timers.delete(legId);
  }

  #tell(id: string, legId: string, speaks: boolean): void {
    const room = this.#rooms.get(id) ?? { untold: new Map<string, boolean>(), timer: undefined, toldMs: 0 };
    this.#rooms.set(id, room);
    room.untold.set(legId, speaks);
    room.timer ??= setTimeout(() => this.#flush(id, room), room.toldMs + tellEveryMs - Date.now()).unref();
  }

  #flush(id: string, room: Room): void {
    room.timer = undefined;
    const conference = this.#options.book.get(id);
    if (!conference) return;
    const told = dueOf(conference, room.untold, mostAtOnce);
    if (told.size === 0) return;
    room.toldMs = Date.now();
    if (room.untold.size > 0) room.timer = setTimeout(() => this.#flush(id, room), tellEveryMs).unref();
    this.#options.keep(id, told).catch((error: unknown) => {
      this.#options.log.warn({ conference: id, error }, `who speaks in ${id} was not kept: ${messageOf(error)}`);
    });
  }
}

/** Takes what is new out of `untold`, the oldest first, at most so much; what is as the record has it already is dropped. */
export function dueOf(
  { participants }: ConferenceRecord,
  untold: Map<string, boolean>,
  most: number,
): ReadonlyMap<string, boolean> {
  const due = new Map<string, boolean>();
  for (const [legId, speaks] of untold) {
    if (due.size === most) break;
    untold.delete(legId);
    const member = participants.find(one => one.legId === legId);
    if (member && member.speaking !== speaks) due.set(legId, speaks);
  }
  return due;
}

/** A record in which these speak, or do not any more. */
export function withSpeakers(before: ConferenceRecord, speaking: ReadonlyMap<string, boolean>): ConferenceRecord {
  const participants = before.participants.map(one => ({ ...one, speaking: speaking.get(one.legId) ?? one.speaking }));
  return { ...before, participants };
}
