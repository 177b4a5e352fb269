// A recording of a room as plain values: what the store's table `recordings` holds until its files are all in their folder.
import { z } from 'zod';
import { changesOf } from './conference-changes.js';
import { participantId, present, roleSchema, type ConferenceRecord, type Participant } from './conference-record.js';

const segment = z.object({
  /** Name of the file, and on its conference node of the recording. */
  name: z.string(),
  node: z.string(),
  startedMs: z.number(),
  /** Null while it goes on. */
  endedMs: z.number().nullable(),
  /** In its folder. */
  kept: z.boolean(),
});
export type RecordingSegment = z.infer<typeof segment>;

const stay = z.object({
  participant: z.string(),
  call: z.string(),
  callerNumber: z.string(),
  callerName: z.string(),
  role: roleSchema,
  joinedMs: z.number(),
  leftMs: z.number().nullable(),
});

export const recordingSchema = z.object({
  /** Name of its folder. */
  id: z.string(),
  conference: z.string(),
  room: z.string(),
  startedMs: z.number(),
  /** Null while it goes on. */
  endedMs: z.number().nullable(),
  segments: z.array(segment),
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
  return withSegment(fresh, conference.node, nowMs);
}

function newStay(one: Participant): Recording['stays'][number] {
  const { callId: call, callerNumber, callerName, role, joinedMs } = one;
  return { participant: participantId(one), call, callerNumber, callerName, role, joinedMs, leftMs: null };
}

function withSegment(recording: Recording, node: string, startedMs: number): Recording {
  const name = `${recording.id}-${recording.segments.length + 1}`;
  return { ...recording, segments: [...recording.segments, { name, node, startedMs, endedMs: null, kept: false }] };
}

export function openSegment({ segments }: Recording): RecordingSegment | undefined {
  return segments.find(one => one.endedMs === null);
}

function closed(recording: Recording, nowMs: number): Recording {
  return { ...recording, segments: recording.segments.map(one => ({ ...one, endedMs: one.endedMs ?? nowMs })) };
}

/** The present segment is over, and another one begins, there where the room is mixed now. */
export function nextSegment(recording: Recording, node: string, nowMs: number): Recording {
  return withSegment(closed(recording, nowMs), node, nowMs);
}

export function stopped(recording: Recording, nowMs: number): Recording {
  return { ...closed(recording, nowMs), endedMs: nowMs };
}

export function kept(recording: Recording, name: string): Recording {
  return { ...recording, segments: recording.segments.map(one => (one.name === name ? { ...one, kept: true } : one)) };
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

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** The file beside its segments: a line for each of them, and one for each stay of a participant. */
export function formatRecording({ room, segments, stays }: Recording): string {
  const lines = [
    ...segments.map(({ name, node, startedMs, endedMs }) => ({
      ...{ segment: `${name}.wav`, room, node, startedAt: iso(startedMs), endedAt: iso(endedMs) },
    })),
    ...stays.map(({ joinedMs, leftMs, ...who }) => ({ ...who, joinedAt: iso(joinedMs), leftAt: iso(leftMs) })),
  ];
  return lines.map(line => `${JSON.stringify(line)}\n`).join('');
}
