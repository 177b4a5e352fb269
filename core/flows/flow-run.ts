// A flow that runs for a call, as plain values: what the call's record holds of it, so that any daemon can go on from there.
import { z } from 'zod';
import type { FlowEntry } from './flow-facts.js';

const mediaItem = z.union([
  z.string(),
  z.object({ sound: z.string() }),
  z.object({ tone: z.string(), seconds: z.number() }),
  z.object({ silence: z.number() }),
]);

const playback = z.object({
  items: z.array(mediaItem).readonly(),
  /** Of the item that plays now. */
  index: z.number(),
  /** How often all of it is still to be played, this time included; 0: over and over. */
  times: z.number(),
  /** ARI playback id; null for silence, which nobody plays. */
  id: z.string().nullable(),
  /** Null while nothing can be heard. */
  startedMs: z.number().nullable(),
  /** How much of the item was played before `startedMs`. */
  offsetMs: z.number(),
  /** When a tone or a silence ends; null for a sound, which ends by itself. */
  untilMs: z.number().nullable(),
  /** It is the music of one who is on hold, and not a step's. */
  isMusic: z.boolean().default(false),
});
export type FlowPlayback = z.infer<typeof playback>;

/** What a caller on hold hears whenever nothing else plays, over and over; from where on. */
const music = z.object({ items: z.array(mediaItem).readonly(), index: z.number(), offsetMs: z.number() });

const timer = z.object({
  atMs: z.number(),
  /** Time in which the caller cannot be heard does not count. */
  forCaller: z.boolean(),
});

/** What came while the caller could not be reached. */
const heldEvent = z.union([
  z.object({ type: z.literal('answer'), value: z.unknown() }),
  z.object({ type: z.literal('askFailed'), reason: z.string() }),
  z.object({ type: z.literal('again') }),
  z.object({ type: z.literal('parted') }),
]);
export type HeldEvent = z.infer<typeof heldEvent>;

const entry = z.looseObject({ action: z.string(), label: z.string().optional() }) as unknown as z.ZodType<FlowEntry>;

export const flowRunSchema = z.object({
  /** Of the flow, for the log. */
  name: z.string(),
  /** As it was when the call came: a reload changes nothing for this call. */
  entries: z.array(entry).readonly(),
  /** Index of the step that runs. */
  at: z.number(),
  /** How often each step has begun, by its index. */
  visits: z.record(z.string(), z.number()),
  /** Steps begun since a moment, as far as they are counted together: a circle is known by its haste. */
  pace: z.object({ sinceMs: z.number(), steps: z.number() }).default({ sinceMs: 0, steps: 0 }),
  /** The step's own. */
  state: z.unknown(),
  variables: z.record(z.string(), z.string()),
  /** Counts playbacks and questions: each has a name of its own, so that late news of another one is known. */
  serial: z.number(),
  /** Number of the question that is being asked. */
  asking: z.number().nullable(),
  timer: timer.nullable(),
  playback: playback.nullable(),
  music: music.nullable().default(null),
  /** Since when the caller cannot be reached (their node died), ms since the epoch. */
  pausedMs: z.number().nullable(),
  held: z.array(heldEvent).readonly(),
});
export type FlowRun = z.infer<typeof flowRunSchema>;

/** A flow before its first step. */
export function newFlowRun(name: string, entries: readonly FlowEntry[]): FlowRun {
  return {
    ...{ name, entries, at: 0, visits: {}, pace: { sinceMs: 0, steps: 0 }, state: null, variables: {}, serial: 0 },
    ...{ asking: null, timer: null, playback: null, music: null, pausedMs: null, held: [] },
  };
}
