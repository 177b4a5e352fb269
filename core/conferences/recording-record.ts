// A recording of a room as plain values: what the store's table `recordings` holds until its files are all in their folder.
import { z } from 'zod';
import { isoTime, jsonLines, nextSegment, recordedSchema, stopped } from '../recordings/recording-segments.js';
import { changesOf } from './conference-changes.js';
import { participantId, present, roleSchema, type ConferenceRecord, type Participant } from './conference-record.js';

const stay = z.object({
  participant: z.string(),
  call: z.string(),
  callerNumber: z.string(),
  callerName: z.string(),
  role: roleSchema,
  joinedMs: z.number(),
  leftMs: z.number().nullable(),
});

export const recordingSchema = recordedSchema.extend({
  conference: z.string(),
  room: z.string(),
  /** Who was in the room meanwhile. */
  stays: z.array(stay),
});
export type Recording = z.infer<typeof recordingSchema>;

type RoomRecord = ConferenceRecord & { readonly room: string };

export function newRecording(conference: RoomRecord, nowMs: number): Recording {
  const { id, room } = conference;
  const safe = room.replace(/[^\w+-]/g, '_').slice(0, 64);
  const at = new Date(nowMs).toISOString().replace(/[:.]/g, '-');
  const fresh: Recording = {
    ...{ id: `${safe}-${at}`, conference: id, room, startedMs: nowMs, endedMs: null, segments: [] },
    stays: present(conference).map(newStay),
  };
  return nextSegment(fresh, conference.node, nowMs);
}

function newStay(one: Participant): Recording['stays'][number] {
  const { callId: call, callerNumber, callerName, role, joinedMs } = one;
  return { participant: participantId(one), call, callerNumber, callerName, role, joinedMs, leftMs: null };
}

/** With what has happened to its room since; the same object where nothing has that concerns it. */
export function following(
  recording: Recording,
  before: ConferenceRecord,
  after: ConferenceRecord | undefined,
  nowMs: number,
): Recording {
  return changesOf(before, after).reduce((now, change): Recording => {
    switch (change.type) {
      case 'joined':
        return { ...now, stays: [...now.stays, newStay(change.participant)] };
      case 'left': {
        const id = participantId(change.participant);
        const leaves = (one: Recording['stays'][number]): boolean => one.participant === id && one.leftMs === null;
        return { ...now, stays: now.stays.map(one => (leaves(one) ? { ...one, leftMs: nowMs } : one)) };
      }
      case 'moved':
        return nextSegment(now, after?.node ?? '', nowMs);
      case 'ended':
        return stopped(now, nowMs);
      default:
        return now;
    }
  }, recording);
}

/** The file beside its segments: a line for each of them, and one for each stay of a participant. */
export function formatRecording({ room, segments, stays }: Recording): string {
  const lines = [
    ...segments.map(({ name, node, startedMs, endedMs }) => ({
      ...{ segment: `${name}.wav`, room, node, startedAt: isoTime(startedMs), endedAt: isoTime(endedMs) },
    })),
    ...stays.map(({ joinedMs, leftMs, ...who }) => ({ ...who, joinedAt: isoTime(joinedMs), leftAt: isoTime(leftMs) })),
  ];
  return jsonLines(lines);
}
