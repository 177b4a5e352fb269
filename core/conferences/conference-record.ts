// A conference and its participants as plain values: what the store's table `conferences` holds.
import { z } from 'zod';
import type { RoomPolicy } from './conference-facts.js';

export const roleSchema = z.enum(['moderator', 'speaker', 'listener']);

const participant = z.object({
  /** Channel id of the participant's leg on its call node. */
  legId: z.string(),
  callId: z.string(),
  callNode: z.string(),
  /** Counts the inner legs that the participant had: each has a name of its own. */
  innerLegs: z.number().default(0),
  /** By an operation; a listener is not heard in any case. */
  muted: z.boolean(),
  deaf: z.boolean().default(false),
  /** By an operation: out of the conference, with music. */
  onHold: z.boolean().default(false),
  /** As its conference node said last, see `isSpeaking`. */
  speaking: z.boolean().default(false),
  role: roleSchema,
  /** It has a place in the room, and is not answered yet. */
  entering: z.boolean().default(false),
  callerNumber: z.string().default(''),
  callerName: z.string().default(''),
  joinedMs: z.number().default(0),
});
export type Participant = z.infer<typeof participant>;

/** What a room is where nobody says more of it. */
export const plainRoom: RoomPolicy = {
  maxParticipants: 0,
  maxSeconds: 0,
  waitForModerator: false,
  musicWhenAlone: false,
  endWhen: 'empty',
  joinSound: null,
  leaveSound: null,
  activeSpeaker: null,
};

const count = z.int().min(0);
const sound = z.string().min(1).max(512).nullable();

const activeSpeaker = z.strictObject({
  silenceMs: z.int().min(200).max(10_000),
  level: z.int().min(1).max(32_767),
});

/** As plugins answer it and the store keeps it; what is left out is as in a plain room. */
export const roomPolicySchema = z.strictObject({
  maxParticipants: count.default(plainRoom.maxParticipants),
  maxSeconds: count.max(2_000_000).default(plainRoom.maxSeconds),
  waitForModerator: z.boolean().default(plainRoom.waitForModerator),
  musicWhenAlone: z.boolean().default(plainRoom.musicWhenAlone),
  endWhen: z.enum(['empty', 'last-moderator-leaves']).default(plainRoom.endWhen),
  joinSound: sound.default(plainRoom.joinSound),
  leaveSound: sound.default(plainRoom.leaveSound),
  activeSpeaker: activeSpeaker.nullable().default(plainRoom.activeSpeaker),
});

export const conferenceRecordSchema = z.object({
  id: z.string(),
  room: z.string().nullable(),
  mixing: z.enum(['call-node', 'conference-farm']),
  /** Where its bridge is: the call node itself, or a conference node. */
  node: z.string(),
  createdMs: z.number(),
  policy: roomPolicySchema.default(plainRoom),
  locked: z.boolean().default(false),
  /** Why all are being hung up; null while it goes on. */
  ending: z.string().nullable().default(null),
  participants: z.array(participant),
});
export type ConferenceRecord = z.infer<typeof conferenceRecordSchema>;

/** It goes into a header, and into the ids of bridges. */
export function isRoomName(room: string): boolean {
  return /^\P{Cc}{1,128}$/u.test(room);
}

/** A room is named apart from the calls' own conferences. */
export function roomId(room: string): string {
  return `room-${room}`;
}

/**
 * Id of the leg that joins a participant's call node to the conference node, and the number that the leg dials. It does not
 * begin with the participant's own id: Asterisk refuses an id that another channel's begins with (main/channel.c).
 */
export function innerLegId({ legId, innerLegs }: Pick<Participant, 'legId' | 'innerLegs'>): string {
  return `inner-${innerLegs}-${legId}`;
}

/** The participant's leg, of an inner leg's id; undefined for any other. */
export function legOfInner(innerId: string): string | undefined {
  return /^inner-\d+-(.+)$/.exec(innerId)?.[1];
}

/** Id of the two-channel bridge on the call node that joins a participant's leg with its inner leg. */
export function innerBridgeId(legId: string): string {
  return `${legId}-bridge`;
}

/** The bridge on its call node that a participant's leg belongs in. */
export function bridgeOnCallNode({ id, mixing }: Pick<ConferenceRecord, 'id' | 'mixing'>, legId: string): string {
  return mixing === 'call-node' ? id : innerBridgeId(legId);
}

/** By what a participant is named to the outside: its call's id, unless it is a further leg of that call. */
export function participantId({ legId, callId }: Pick<Participant, 'legId' | 'callId'>): string {
  return legId.startsWith(`${callId}-`) ? legId : callId;
}

/** Those who are in it; others have a place and come as soon as they are answered. */
export function present(conference: Pick<ConferenceRecord, 'participants'>): readonly Participant[] {
  return conference.participants.filter(one => !one.entering);
}
