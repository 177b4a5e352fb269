// What the main thread and the sentinel's worker thread say to each other.
import { z } from 'zod';
import type { Voice } from '../ports/voices.js';

/** One server to be watched. */
export interface WatchedNode {
  readonly name: string;
  readonly pid: number;
  /** Start time as the kernel has it, which with the pid names the process for good. */
  readonly startTicks: number;
  readonly voices: readonly Voice[];
}

export interface SentinelStart {
  /** Where questions are asked from. */
  readonly address: string;
}

export type ToSentinel =
  | { readonly kind: 'watch'; readonly node: WatchedNode }
  | { readonly kind: 'unwatch'; readonly name: string }
  | { readonly kind: 'stream'; readonly name: string; readonly open: boolean }
  | { readonly kind: 'silence'; readonly silenceMs: number }
  | { readonly kind: 'close' };

export const fromSentinelSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('failed'), reason: z.string() }),
  z.object({
    kind: z.literal('verdict'),
    name: z.string(),
    pid: z.number(),
    health: z.enum(['up', 'suspect', 'dead']),
    reason: z.string(),
    /** Its process has ended: there is nothing to fence. */
    processGone: z.boolean(),
    /** For a dead one: the first sign of it, and now; ms since 1970. */
    firstSignMs: z.number(),
    declaredMs: z.number(),
  }),
  /** The thread itself, or the machine, stood still for so long. */
  z.object({ kind: z.literal('lagged'), ms: z.number() }),
]);
export type FromSentinel = z.infer<typeof fromSentinelSchema>;
