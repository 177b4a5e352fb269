// A recording of one call as plain values, and how it follows its call. Pure.
import { z } from 'zod';
import type { FlowNotice } from '../flows/flow-notices.js';
import { callerLeg, isLive, type CallRecord, type LegRecord } from '../calls/call-record.js';
import { closed, isoTime, jsonLines, nextSegment, openSegment, recordedSchema, stopped } from './recording-segments.js';

/** `both`: what the caller says and hears; `caller`: only what they say. */
export const recordedSides = z.enum(['both', 'caller']);
export type RecordedSides = z.infer<typeof recordedSides>;

/** How a call is to be recorded. */
export interface RecordingWish {
  readonly sides: RecordedSides;
  /** Ends by itself after so long; null: with the call. */
  readonly maxSeconds: number | null;
  /** Of the config's webhooks: told when all files are there. */
  readonly webhook: string | null;
}

export const callRecordingSchema = recordedSchema.extend({
  call: z.string(),
  sides: recordedSides,
  webhook: z.string().nullable(),
  /** When it ends by itself, ms since the epoch. */
  untilMs: z.number().nullable(),
  callerNumber: z.string(),
  callerName: z.string(),
  dialled: z.string(),
});
export type CallRecording = z.infer<typeof callRecordingSchema>;

export function newCallRecording(call: CallRecord, wish: RecordingWish, nowMs: number): CallRecording {
  const { callerNumber, callerName, dialled } = call;
  const at = new Date(nowMs).toISOString().replace(/[:.]/g, '-');
  const fresh: CallRecording = {
    ...{ id: `${call.id}-${at}`, call: call.id, startedMs: nowMs, endedMs: null, segments: [] },
    ...{ sides: wish.sides, webhook: wish.webhook, callerNumber, callerName, dialled },
    untilMs: wish.maxSeconds === null ? null : nowMs + wish.maxSeconds * 1000,
  };
  return followed(fresh, call, nowMs);
}

/** The same object where nothing has happened to the call that concerns its recording. */
export function followed(recording: CallRecording, call: CallRecord, nowMs: number): CallRecording {
  if (call.ending) return stopped(recording, nowMs);
  const [open, leg] = [openSegment(recording), listenedTo(recording, call)];
  if (open?.leg === leg?.id && open?.node === leg?.node) return recording;
  return leg === undefined ? closed(recording, nowMs) : nextSegment(recording, leg.node, nowMs, leg.id);
}

/** The caller's leg, through which all of the call passes; where the caller has left, another one's. None while its node is dead. */
function listenedTo({ sides }: CallRecording, call: CallRecord): LegRecord | undefined {
  const caller = callerLeg(call);
  const others = sides === 'both' ? call.legs.filter(leg => leg !== caller && leg.state === 'confirmed') : [];
  const leg = isLive(caller) ? caller : others[0];
  return leg?.recovering === null ? leg : undefined;
}

/** The file beside its segments: a line of what call it is, and one for each segment. */
export function formatCallRecording(recording: CallRecording): string {
  const { call, callerNumber, callerName, dialled, sides, segments } = recording;
  return jsonLines([
    { call, callerNumber, callerName, dialled, sides },
    ...segments.map(({ name, node, startedMs, endedMs }) => ({
      ...{ segment: `${name}.wav`, call, node, startedAt: isoTime(startedMs), endedAt: isoTime(endedMs) },
    })),
  ]);
}

/** What a webhook is told when all files are there. */
export function recordingNotice(recording: CallRecording): FlowNotice {
  const { id, call: callId, callerNumber, callerName, dialled, startedMs, endedMs } = recording;
  const seconds = String(Math.round(((endedMs ?? startedMs) - startedMs) / 1000));
  const data = { recording: id, callerNumber, callerName, dialled, seconds };
  return { id: `${id}-done`, event: 'recording.done', callId, at: new Date(endedMs ?? startedMs).toISOString(), data };
}
