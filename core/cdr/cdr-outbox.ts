// Where a call's record waits between the end of the call and the file: a table of the store, keyed by the call's id.
import { z, type ZodType } from 'zod';
import type { CallDetailRecord } from '../calls/call-facts.js';
import type { Store, Table } from '../store/store.js';

const instant = z.iso.datetime({ precision: 3 });

const callDetailRecord: ZodType<CallDetailRecord> = z.strictObject({
  callId: z.string().min(1),
  sipCallIds: z.array(z.string()),
  source: z.union([
    z.strictObject({ kind: z.literal('trunk'), trunk: z.string() }),
    z.strictObject({ kind: z.literal('subscriber'), subscriber: z.string() }),
  ]),
  callerNumber: z.string(),
  dialled: z.string(),
  route: z.string().nullable(),
  answeredBy: z.string().nullable(),
  startedAt: instant,
  answeredAt: instant.nullable(),
  endedAt: instant,
  endedNotBefore: instant,
  durationSeconds: z.number().min(0),
  billSeconds: z.number().min(0),
  outcome: z.enum(['answered', 'busy', 'no-answer', 'declined', 'cancelled', 'failed', 'rejected']),
  sipStatus: z.int(),
  endedBy: z.enum(['caller', 'callee', 'holdfast']),
  nodes: z.array(z.string()),
  recoveries: z.int().min(0).default(0),
});

/**
 * Put a record here in the transaction that ends its call (`ifVersion` 0), and exactly one line will be written:
 * `store.transaction([calls.deleting(id, version), outbox.putting(id, record, 0)])`.
 */
export function cdrOutbox(store: Store): Table<CallDetailRecord> {
  return store.table('cdr-outbox', callDetailRecord);
}
