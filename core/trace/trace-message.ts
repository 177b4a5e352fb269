// One traced SIP message, as the log keeps it and as it crosses from the worker thread to the main thread.
import { z } from 'zod';

/**
 * One copy of a SIP message: what one Kamailio received (`in`) or sent (`out`). Each message that a Kamailio passes on
 * is there twice, and the pair is known by its Vias: see `hopsOf`.
 */
export const traceMessageSchema = z.object({
  /** ms since 1970 by the instance's clock, µs in the fraction. */
  atMs: z.number(),
  /** Name of the Kamailio. */
  instance: z.string(),
  direction: z.enum(['in', 'out']),
  /** `address:port`, IPv6 in brackets. */
  source: z.string(),
  destination: z.string(),
  callId: z.string(),
  startLine: z.string(),
  /** A request's method; of a response, its CSeq's. */
  method: z.string(),
  /** Null for a request. */
  status: z.number().nullable(),
  reason: z.string(),
  cseq: z.number().nullable(),
  fromTag: z.string().nullable(),
  toTag: z.string().nullable(),
  /** Branch of the topmost Via, and of the one below. */
  viaBranch: z.string().nullable(),
  nextViaBranch: z.string().nullable(),
  /** Size of the SIP message. */
  sizeBytes: z.number(),
  /** The whole message, where the trace keeps it. */
  raw: z.string().optional(),
});

export type TraceMessage = Readonly<z.infer<typeof traceMessageSchema>>;
