// What the main thread and the trace's worker thread say to each other.
import { z } from 'zod';
import type { TraceRefusal } from './trace-intake.js';
import type { TraceFarm } from './trace-farm.js';
import type { TraceLimits } from './trace-log.js';
import type { Dialog, DialogFacts, OpenInvite } from '../ledger/dialog.js';
import type { WholeTraceMessage } from './trace-message.js';

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

/** Of this program's own making, as what goes the other way: a type, and no schema. */
export type FromWorker =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly code: string; readonly reason: string }
  | { readonly kind: 'legs'; readonly legs: readonly (readonly [legId: string, callId: string])[] }
  | { readonly kind: 'messages'; readonly id: number; readonly messages: readonly WholeTraceMessage[] }
  | { readonly kind: 'found'; readonly id: number; readonly callIds: readonly string[] }
  | { readonly kind: 'dialogs'; readonly id: number; readonly dialogs: readonly Dialog[] }
  | { readonly kind: 'openInvites'; readonly id: number; readonly invites: readonly OpenInvite[] }
  | { readonly kind: 'ledger'; readonly changed: readonly Dialog[]; readonly ended: readonly string[] }
  | { readonly kind: 'counters'; readonly id: number; readonly counters: TraceCounters };
