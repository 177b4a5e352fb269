// What every recording is made of, as plain values: segments, each a file that one node has written. Pure.
import { z } from 'zod';

const segment = z.object({
  /** Name of the file, and of the recording on its node. */
  name: z.string(),
  node: z.string(),
  /** Of a call's recording: the leg that is listened to. */
  leg: z.string().optional(),
  startedMs: z.number(),
  /** Null while it goes on. */
  endedMs: z.number().nullable(),
  /** In its folder. */
  kept: z.boolean(),
});
export type RecordingSegment = z.infer<typeof segment>;

/** What the store has of every recording until its files are all in their folder. */
export const recordedSchema = z.object({
  /** Name of its folder. */
  id: z.string(),
  startedMs: z.number(),
  /** Null while it goes on. */
  endedMs: z.number().nullable(),
  segments: z.array(segment).readonly(),
});
export type Recorded = z.infer<typeof recordedSchema>;

export function openSegment({ segments }: Recorded): RecordingSegment | undefined {
  return segments.find(one => one.endedMs === null);
}

/** The present segment, if there is one, is over. */
export function closed<T extends Recorded>(recording: T, nowMs: number): T {
  return { ...recording, segments: recording.segments.map(one => ({ ...one, endedMs: one.endedMs ?? nowMs })) };
}

/** The present segment is over, and another one begins, there where it goes on now. */
export function nextSegment<T extends Recorded>(recording: T, node: string, startedMs: number, leg?: string): T {
  const { id, segments } = recording;
  const name = `${id}-${segments.length + 1}`;
  const next = { name, node, startedMs, endedMs: null, kept: false, ...(leg === undefined ? {} : { leg }) };
  return { ...recording, segments: [...closed(recording, startedMs).segments, next] };
}

export function stopped<T extends Recorded>(recording: T, nowMs: number): T {
  return { ...closed(recording, nowMs), endedMs: nowMs };
}

export function kept<T extends Recorded>(recording: T, name: string): T {
  return { ...recording, segments: recording.segments.map(one => (one.name === name ? { ...one, kept: true } : one)) };
}

/** A time of the file beside the segments. */
export function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

export function jsonLines(lines: readonly object[]): string {
  return lines.map(line => `${JSON.stringify(line)}\n`).join('');
}
