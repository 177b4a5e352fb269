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
  /** Of its body; null for a message without one. */
  contentType: z.string().nullable(),
  /** Where the whole message is in the trace's ring; null where it was not kept. */
  rawAt: z.number().nullable(),
});

export type TraceMessage = Readonly<z.infer<typeof traceMessageSchema>>;

/** With the whole message in base64, where it was asked for and is still kept. */
export const wholeTraceMessageSchema = traceMessageSchema.extend({ raw: z.string().optional() });

export type WholeTraceMessage = Readonly<z.infer<typeof wholeTraceMessageSchema>>;
