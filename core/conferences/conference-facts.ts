// What plugins may know of rooms, answer about them and do to them: plain values, part of the public plugin API.
import type { IncomingCall } from '../calls/call-facts.js';

/** Moderators run a room, speakers speak, listeners only hear. */
export type Role = 'moderator' | 'speaker' | 'listener';

/** A call that is about to enter a room, before it is answered. */
export interface RoomEntry {
  readonly room: string;
  readonly call: IncomingCall;
}

/** Enter as this; or be refused with exactly this SIP status (400-699). */
export type EnterAnswer = { readonly role: Role } | { readonly reject: number; readonly reason: string };

/** When somebody in a room counts as speaking. */
export interface ActiveSpeaker {
  /** Whoever is quieter for so long has stopped. */
  readonly silenceMs: number;
  /** Speech is as loud as this, or louder: the mean magnitude of the 16-bit samples of 20 ms. */
  readonly level: number;
}

/** How a room is kept, from its first participant to its last. */
export interface RoomPolicy {
  /** Who comes after so many is refused with 486; 0: as many as come. */
  readonly maxParticipants: number;
  /** Ended so long after it began; 0: never. */
  readonly maxSeconds: number;
  /** While no moderator is in it, all wait, and nobody hears anybody. */
  readonly waitForModerator: boolean;
  /** Who is alone, or waits, hears music; else silence. */
  readonly musicWhenAlone: boolean;
  /** `empty`: when the last participant leaves; `last-moderator-leaves`: then all others are hung up, too. */
  readonly endWhen: 'empty' | 'last-moderator-leaves';
  /** Media that all hear when somebody has joined or left, e.g. `tone:join` or `sound:/srv/sounds/welcome`; null: nothing. */
  readonly joinSound: string | null;
  readonly leaveSound: string | null;
  /** Who speaks is told and shown; null: nobody listens for it. */
  readonly activeSpeaker: ActiveSpeaker | null;
}

/** A participant of a room as an operator or a plugin sees it. */
export interface ParticipantFacts {
  /** Names it in operations; the call's id, or one that begins with it. */
  readonly id: string;
  /** Id of its call. */
  readonly call: string;
  readonly callerNumber: string;
  readonly callerName: string;
  readonly role: Role;
  /** Cannot be heard: muted by an operation, or as a listener. */
  readonly muted: boolean;
  /** Hears nothing, by an operation. */
  readonly deaf: boolean;
  /** Speaks at the moment, in a room that has `activeSpeaker`. */
  readonly speaking: boolean;
  /** ISO 8601. */
  readonly joinedAt: string;
}

/** One who has begun to speak in a room, or stopped. */
export interface SpeakerFacts {
  /** Id of the conference. */
  readonly conference: string;
  readonly room: string;
  /** As in `ParticipantFacts`. */
  readonly participant: string;
  readonly call: string;
  readonly callerNumber: string;
  readonly callerName: string;
  readonly role: Role;
}

/** A room that somebody is in. */
export interface RoomFacts {
  readonly id: string;
  readonly room: string;
  /** Conference node that mixes it. */
  readonly node: string;
  readonly locked: boolean;
  /** True while all wait for a moderator. */
  readonly waiting: boolean;
  /** Name of the recording that goes on; null where there is none. */
  readonly recording: string | null;
  readonly createdAt: string;
  readonly participants: readonly ParticipantFacts[];
}

/**
 * Rooms as a plugin may run them. What is done is in the store first, and is so again after the death of a call node, a
 * conference node or the daemon. A room is named by its name or id, a participant by its id or the beginning of it. Each throws
 * CONFERENCE_NOT_FOUND, PARTICIPANT_NOT_FOUND or CONFERENCE_REFUSED, and, but for `merge`, resolves with the room as it is then.
 */
export interface RoomControl {
  list(): readonly RoomFacts[];
  mute(room: string, participant: string): Promise<RoomFacts>;
  unmute(room: string, participant: string): Promise<RoomFacts>;
  deafen(room: string, participant: string): Promise<RoomFacts>;
  undeafen(room: string, participant: string): Promise<RoomFacts>;
  /** Hangs up its call. */
  kick(room: string, participant: string): Promise<RoomFacts>;
  /** Nobody else comes in: 403. */
  lock(room: string): Promise<RoomFacts>;
  unlock(room: string): Promise<RoomFacts>;
  /** Records what all say, until it is stopped or the room ends. */
  record(room: string): Promise<RoomFacts>;
  /** Resolves when its files are in their folder. */
  stopRecording(room: string): Promise<RoomFacts>;
  /** Calls this number as if a participant (default: a moderator, else who came first) had dialled it; whoever answers comes in. */
  add(room: string, number: string, by?: string): Promise<RoomFacts>;
  /** Those of another room, or of a call by its id, are in this one from now on; either may be a call. Resolves with the id of the conference. */
  merge(conference: string, other: string): Promise<string>;
  /** Hangs up all. */
  end(room: string): Promise<RoomFacts>;
}
