// What a room's rules say: who may still enter, and when it ends. Pure.
import type { ConferenceRecord, Participant } from './conference-record.js';

/** The exact SIP status that a caller hears, and why, for log and record. */
export interface Refusal {
  readonly sipStatus: number;
  readonly reason: string;
}

/** Why nobody may enter now; undefined where somebody may. */
export function refusalOf(conference: ConferenceRecord): Refusal | undefined {
  const { room, ending, locked, policy, participants } = conference;
  if (ending !== null) return { sipStatus: 480, reason: `room ${room} is being ended` };
  if (locked) return { sipStatus: 403, reason: `room ${room} is locked` };
  if (policy.maxParticipants > 0 && participants.length >= policy.maxParticipants)
    return { sipStatus: 486, reason: `room ${room} is full: ${policy.maxParticipants} are in it` };
  return undefined;
}

/** Why a call's own conference ends now that others have left it: nobody is there to talk to. */
export function aloneAfter({ room, participants }: ConferenceRecord): string | null {
  return room === null && participants.length === 1 ? 'all others have hung up' : null;
}

/** Why the room ends now that these have left it; null where it goes on. */
export function endingAfter(gone: readonly Participant[], left: ConferenceRecord): string | null {
  if (left.policy.endWhen !== 'last-moderator-leaves') return null;
  const ran = gone.some(one => one.role === 'moderator' && !one.entering);
  const runs = left.participants.some(one => one.role === 'moderator');
  return ran && !runs ? 'its last moderator has left' : null;
}
