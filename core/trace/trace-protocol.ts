// What the main thread and the trace's worker thread say to each other.
import { z } from 'zod';
import type { TraceRefusal } from './trace-intake.js';
import type { TraceFarm } from './trace-farm.js';
import type { TraceLimits } from './trace-log.js';
import { dialogSchema, openInviteSchema, type Dialog, type DialogFacts } from '../ledger/dialog.js';
import { wholeTraceMessageSchema } from './trace-message.js';

/** The worker's `workerData`. */
export interface WorkerStart {
  readonly address: string;
  readonly port: number;
  readonly farm: TraceFarm;
  readonly authKey: string | undefined;
  /** Size of the memory for whole messages. */
  readonly rawBytes: number;
  readonly limits: Partial<TraceLimits>;
  /** How many leg ids are kept. */
  readonly legs: number;
  /** The memory of `Posted`. */
  readonly posted: SharedArrayBuffer;
}

export type ToWorker =
  | { readonly kind: 'farm'; readonly farm: TraceFarm }
  | { readonly kind: 'messages'; readonly id: number; readonly callId: string; readonly whole: boolean }
  /** Call-IDs that have the text in them, or in their first request's line. */
  | { readonly kind: 'find'; readonly id: number; readonly text: string; readonly most: number }
  | { readonly kind: 'counters'; readonly id: number }
  | { readonly kind: 'dialogs'; readonly id: number; readonly node: string }
  | { readonly kind: 'dialog'; readonly id: number; readonly callId: string }
  | { readonly kind: 'openInvites'; readonly id: number; readonly node: string }
  | { readonly kind: 'seed'; readonly dialogs: readonly Dialog[] }
  | { readonly kind: 'fill'; readonly facts: readonly DialogFacts[] }
  | { readonly kind: 'forget'; readonly callId: string }
  | { readonly kind: 'hold'; readonly mostMs: number }
  | { readonly kind: 'release' }
  | { readonly kind: 'close' };

const count = z.int().nonnegative();
const refusals = {
  notHep: count,
  truncated: count,
  overlong: count,
  badChunk: count,
  missingChunk: count,
  unknownSender: count,
  wrongKey: count,
  notSip: count,
} satisfies Record<TraceRefusal, typeof count>;

export const traceCountersSchema = z.object({
  /** Datagrams that arrived. */
  received: count,
  /** Copies of SIP messages among them, taken into the trace. */
  decoded: count,
  /** The others, by reason. */
  refused: z.object(refusals),
  /** Datagrams that the kernel dropped because the receive buffer was full; null where it does not tell. */
  lost: count.nullable(),
  /** What is kept now: Call-IDs, and bytes (estimated). */
  calls: count,
  bytes: count,
  /** The receive buffer that the kernel granted. */
  receiveBufferBytes: count,
  /** Dialogs in the ledger now, and their memory (estimated). */
  dialogs: count,
  ledgerBytes: count,
  /** Dialogs that had to go because the ledger was full, and early ones that were silent for too long. */
  evicted: count,
  forgotten: count,
  /** Messages of an Asterisk that the ledger could make nothing of. */
  unreadable: count,
});

export type TraceCounters = Readonly<z.infer<typeof traceCountersSchema>>;

export const fromWorkerSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('listening'), port: count }),
  z.object({ kind: z.literal('failed'), code: z.string(), reason: z.string() }),
  z.object({ kind: z.literal('legs'), legs: z.array(z.tuple([z.string(), z.string()])) }),
  z.object({ kind: z.literal('messages'), id: count, messages: z.array(wholeTraceMessageSchema) }),
  z.object({ kind: z.literal('found'), id: count, callIds: z.array(z.string()) }),
  z.object({ kind: z.literal('dialogs'), id: count, dialogs: z.array(dialogSchema) }),
  z.object({ kind: z.literal('openInvites'), id: count, invites: z.array(openInviteSchema) }),
  z.object({ kind: z.literal('ledger'), changed: z.array(dialogSchema), ended: z.array(z.string()) }),
  z.object({ kind: z.literal('counters'), id: count, counters: traceCountersSchema }),
]);

export type FromWorker = z.infer<typeof fromWorkerSchema>;
