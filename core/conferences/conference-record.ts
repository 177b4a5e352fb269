// A conference and its participants as plain values: what the store's table `conferences` holds.
import { z } from 'zod';

const participant = z.object({
  /** Channel id of the participant's leg on its call node. */
  legId: z.string(),
  callId: z.string(),
  callNode: z.string(),
  /** Counts the inner legs that the participant had: each has a name of its own. */
  innerLegs: z.number().default(0),
  muted: z.boolean(),
  role: z.enum(['moderator', 'speaker', 'listener']),
});
export type Participant = z.infer<typeof participant>;

export const conferenceRecordSchema = z.object({
  id: z.string(),
  room: z.string().nullable(),
  mixing: z.enum(['call-node', 'conference-farm']),
  /** Where its bridge is: the call node itself, or a conference node. */
  node: z.string(),
  createdMs: z.number(),
  participants: z.array(participant),
});
export type ConferenceRecord = z.infer<typeof conferenceRecordSchema>;

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
