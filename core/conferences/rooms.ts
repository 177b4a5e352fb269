// Operations on rooms and those who are in them, for operators and plugins: named by what people type, errors that say what to do.
import { HoldfastError } from '../errors.js';
import type { ParticipantFacts, RoomControl, RoomFacts } from './conference-facts.js';
import { participantId, present, type ConferenceRecord, type Participant } from './conference-record.js';
import type { Conferences } from './conferences.js';
import type { Recordings } from './recordings.js';
import { isMuted, isSpeaking, isWaiting } from './room-audio.js';

/** A room's record has its name. */
type RoomRecord = ConferenceRecord & { readonly room: string };

/** What rooms want of calls: whoever is added is a leg of the call of whoever asks. */
export interface CallAdditions {
  add(call: string, number: string, by: string, progress?: (line: string) => void): Promise<unknown>;
  merge(call: string, other: string): Promise<{ readonly conference: string | null }>;
}

/** What rooms are kept by; found at each use, as plugins are given operations on rooms before there are any. */
export interface RoomKeepers {
  readonly conferences: () => Pick<Conferences, 'list' | 'change' | 'putOut' | 'endRoom'>;
  readonly recordings: () => Pick<Recordings, 'of' | 'start' | 'stop'>;
  readonly calls: () => CallAdditions;
}

export class Rooms implements RoomControl {
  readonly #keepers: RoomKeepers;

  constructor(keepers: RoomKeepers) {
    this.#keepers = keepers;
  }

  get #conferences(): ReturnType<RoomKeepers['conferences']> {
    return this.#keepers.conferences();
  }

  list(): readonly RoomFacts[] {
    return this.#conferences
      .list()
      .filter(isRoom)
      .map(room => this.#facts(room));
  }

  /** By name or id. Throws CONFERENCE_NOT_FOUND. */
  get(room: string): RoomFacts {
    return this.#facts(this.#find(room));
  }

  async mute(room: string, participant: string): Promise<RoomFacts> {
    return this.#changeOne(room, participant, { muted: true });
  }

  async unmute(room: string, participant: string): Promise<RoomFacts> {
    return this.#changeOne(room, participant, { muted: false });
  }

  async deafen(room: string, participant: string): Promise<RoomFacts> {
    return this.#changeOne(room, participant, { deaf: true });
  }

  async undeafen(room: string, participant: string): Promise<RoomFacts> {
    return this.#changeOne(room, participant, { deaf: false });
  }

  async kick(room: string, participant: string): Promise<RoomFacts> {
    const found = this.#find(room);
    this.#conferences.putOut(findParticipant(found, participant).callId, `put out of room ${found.room}`);
    return this.#facts(found);
  }

  async lock(room: string): Promise<RoomFacts> {
    return this.#change(this.#find(room), before => ({ ...before, locked: true }));
  }

  async unlock(room: string): Promise<RoomFacts> {
    return this.#change(this.#find(room), before => ({ ...before, locked: false }));
  }

  async record(room: string): Promise<RoomFacts> {
    const found = this.#find(room);
    await this.#keepers.recordings().start(found);
    return this.#facts(found);
  }

  async stopRecording(room: string): Promise<RoomFacts> {
    const found = this.#find(room);
    await this.#keepers.recordings().stop(found);
    return this.#facts(found);
  }

  async add(room: string, number: string, by?: string, progress?: (line: string) => void): Promise<RoomFacts> {
    const found = this.#find(room);
    const there = present(found);
    const one =
      by === undefined ? (there.find(({ role }) => role === 'moderator') ?? there[0]) : findParticipant(found, by);
    if (!one) throw new HoldfastError('CONFERENCE_REFUSED', `nobody is in room ${found.room} yet who could add others`);
    await this.#keepers.calls().add(one.callId, number, one.legId, progress);
    return this.get(found.id);
  }

  async merge(conference: string, other: string): Promise<string> {
    const merged = await this.#keepers.calls().merge(this.#callIn(conference), this.#callIn(other));
    return merged.conference ?? '';
  }

  /** A call that is in this room; any other name is that of a call itself. */
  #callIn(wanted: string): string {
    const rooms = this.#conferences.list();
    const found = rooms.find(one => one.room === wanted) ?? rooms.find(one => one.id === wanted);
    return (found && present(found)[0]?.callId) ?? wanted;
  }

  async end(room: string): Promise<RoomFacts> {
    const found = this.#find(room);
    return this.#stillThere(found, await this.#conferences.endRoom(found.id, `room ${found.room} was ended`));
  }

  #changeOne(room: string, wanted: string, change: Partial<Pick<Participant, 'muted' | 'deaf'>>): Promise<RoomFacts> {
    return this.#change(this.#find(room), before => {
      const { legId, role } = findParticipant(before, wanted);
      if (change.muted === false && role === 'listener') throw unheardListener(wanted);
      const participants = before.participants.map(one => (one.legId === legId ? { ...one, ...change } : one));
      return { ...before, participants };
    });
  }

  async #change(found: RoomRecord, change: (before: RoomRecord) => ConferenceRecord): Promise<RoomFacts> {
    const changed = await this.#conferences.change(found.id, before => change({ ...before, room: found.room }));
    return this.#stillThere(found, changed);
  }

  #facts(conference: RoomRecord): RoomFacts {
    return roomFacts(conference, this.#keepers.recordings().of(conference.id)?.id ?? null);
  }

  #stillThere({ room }: RoomRecord, changed: ConferenceRecord | undefined): RoomFacts {
    if (changed && isRoom(changed)) return this.#facts(changed);
    throw new HoldfastError('CONFERENCE_NOT_FOUND', `room ${room} has just ended`);
  }

  #find(wanted: string): RoomRecord {
    const rooms = this.#conferences.list().filter(isRoom);
    const found = rooms.find(one => one.room === wanted) ?? rooms.find(one => one.id === wanted);
    if (found) return found;
    const there = rooms.map(one => one.room).join(', ');
    throw new HoldfastError('CONFERENCE_NOT_FOUND', `nobody is in a room "${wanted}"`, {
      remedy: there === '' ? 'there is no room now; it is there as long as somebody is in it' : `there are: ${there}`,
    });
  }
}

function isRoom(conference: ConferenceRecord): conference is RoomRecord {
  return conference.room !== null;
}

/** By its id, or the beginning of it. Throws PARTICIPANT_NOT_FOUND, also where the beginning is that of several. */
export function findParticipant({ room, participants }: RoomRecord, wanted: string): Participant {
  const named = participants.map(one => ({ one, id: participantId(one) }));
  const exact = named.find(({ id }) => id === wanted);
  if (exact) return exact.one;
  const begun = named.filter(({ id }) => wanted !== '' && id.startsWith(wanted));
  const [only] = begun;
  if (only && begun.length === 1) return only.one;
  const listed = `\`holdfast conference list ${room}\` lists them`;
  if (begun.length === 0) {
    const message = `no participant of room ${room} has an id that begins with "${wanted}"`;
    throw new HoldfastError('PARTICIPANT_NOT_FOUND', message, { remedy: listed });
  }
  const ids = begun.map(({ id }) => id).join(', ');
  const message = `${begun.length} participants of room ${room} have an id that begins with "${wanted}": ${ids}`;
  throw new HoldfastError('PARTICIPANT_NOT_FOUND', message, { remedy: 'write more of the one that is meant' });
}

function unheardListener(participant: string): HoldfastError {
  return new HoldfastError('CONFERENCE_REFUSED', `"${participant}" is a listener of this room, who is never heard`, {
    remedy: 'its role is decided as it enters: see the rooms of the conference plugin in the config',
  });
}

function roomFacts(conference: RoomRecord, recording: string | null): RoomFacts {
  const { id, room, node, locked, createdMs } = conference;
  return {
    ...{ id, room, node, locked, recording },
    waiting: isWaiting(conference),
    createdAt: new Date(createdMs).toISOString(),
    participants: present(conference).map(member => participantFacts(conference, member)),
  };
}

function participantFacts(conference: ConferenceRecord, member: Participant): ParticipantFacts {
  const { callId, callerNumber, callerName, role, deaf, joinedMs } = member;
  return {
    ...{ id: participantId(member), call: callId, callerNumber, callerName, role, deaf },
    muted: isMuted(member),
    speaking: isSpeaking(conference, member),
    joinedAt: new Date(joinedMs).toISOString(),
  };
}
