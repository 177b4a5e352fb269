// A recovery and its sessions as plain values: what the store keeps, so that a daemon that dies can carry on.
import { z } from 'zod';
import { dialogSchema } from '../ledger/dialog.js';

/** One death of one node, and what became of the sessions it had. */
export const recoveryRecordSchema = z.object({
  /** Names the death: node and the moment of its first sign. */
  epoch: z.string(),
  node: z.string(),
  farm: z.enum(['call', 'conference', 'rtpengine']),
  /** ms since the epoch of Unix: when it died, as far as is known, and when we were sure of it. */
  firstSignMs: z.number(),
  declaredMs: z.number(),
  sessions: z.object({ found: z.number(), recovered: z.number(), ended: z.number(), failed: z.number() }),
  /** When the last session was up, or null. */
  lastUpMs: z.number().nullable(),
  done: z.boolean(),
});
export type RecoveryRecord = z.infer<typeof recoveryRecordSchema>;

/** A session that is to be recovered: one leg, with its dialog as the dead node left it. */
export const lostSessionSchema = z.object({
  epoch: z.string(),
  callId: z.string(),
  legId: z.string(),
  /** Null for a leg that is no SIP dialog. */
  dialog: dialogSchema.nullable(),
  trunk: z.string().nullable(),
  priority: z.number(),
});
export type LostSession = z.infer<typeof lostSessionSchema>;
