// Where a call's record waits between the end of the call and its destinations: a table of the store for each.
import { z, type ZodType } from 'zod';
import type { CallDetailRecord } from '../calls/call-facts.js';
import type { Store, Table } from '../store/store.js';

const instant = z.iso.datetime({ precision: 3 });

const legFacts = z.strictObject({
  direction: z.enum(['inbound', 'outbound']),
  peer: z.string(),
  sipCallId: z.string().nullable(),
  node: z.string(),
  sipStatus: z.int().nullable(),
  startedAt: instant.nullable(),
  ringingAt: instant.nullable(),
  answeredAt: instant.nullable(),
  endedAt: instant.nullable(),
});

export const callDetailRecord: ZodType<CallDetailRecord> = z.strictObject({
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
  reason: z.string().default(''),
  limit: z.string().nullable().default(null),
  nodes: z.array(z.string()),
  recoveries: z.int().min(0).default(0),
  transfers: z
    .array(
      z.strictObject({
        at: instant,
        by: z.enum(['caller', 'callee']),
        kind: z.enum(['blind', 'attended']),
        to: z.string(),
        call: z.string().nullable(),
      }),
    )
    .default([]),
  legs: z.array(legFacts).default([]),
});

/** Records on their way to the file. A record is put in once (`ifVersion` 0) and exactly one line will be written. */
export function cdrOutbox(store: Store): Table<CallDetailRecord> {
  return store.table('cdr-outbox', callDetailRecord);
}

/** Records on their way to the webhook. */
export function webhookOutbox(store: Store): Table<CallDetailRecord> {
  return store.table('cdr-webhook-outbox', callDetailRecord);
}

/** Keys in the order in which records came: microseconds since 1970 by the clock, which here never stands still or goes back. */
export class OutboxKeys {
  #last = 0;

  /** Every key will be after this one, which waits already. */
  after(key: string | undefined): void {
    const given = Number(key ?? 0);
    // A key of another form (a call's id) sorts before or after all of ours, whatever they are.
    if (Number.isSafeInteger(given)) this.#last = Math.max(this.#last, given);
  }

  next(): string {
    this.#last = Math.max(this.#last + 1, Date.now() * 1000);
    return String(this.#last).padStart(16, '0');
  }
}
