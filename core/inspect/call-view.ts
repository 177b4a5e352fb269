// What an operator is shown of one call: up, over, or only seen on the wire.
import { z } from 'zod';
import { transferFactsSchema, type DialogState, type LegRecord } from '../calls/call-record.js';
import { wholeTraceMessageSchema } from '../trace/trace-message.js';

const list = <T extends z.ZodType>(element: T) => z.array(element).readonly();
const instant = z.string().nullable();

/** `ended`: from its record. `wire`: only SIP messages are known, as of an INVITE that the edge refused. */
const state = z.enum(['trying', 'proceeding', 'early', 'confirmed', 'terminated', 'ended', 'wire']);
export type ShownState = z.output<typeof state>;

/**
 * A leg's state as whoever looks at its phone would name it. In the record a caller's leg stays `trying` while the callee rings: it has no
 * dialog of its own that would ring, and its time tells that it was sent a 180.
 */
export function shownLegState({ direction, state, times }: LegRecord): DialogState {
  return direction === 'inbound' && state === 'trying' && times.ringingMs !== null ? 'proceeding' : state;
}

export const foundCallSchema = z.object({
  /** Null for what is known from the wire only. */
  id: z.string().nullable(),
  state,
  startedAt: instant,
  callerNumber: z.string(),
  dialled: z.string(),
  /** Of one that is over. */
  outcome: z.string().nullable(),
  sipStatus: z.number().nullable(),
  sipCallIds: list(z.string()),
});
export type FoundCall = z.output<typeof foundCallSchema>;

const shownLeg = z.object({
  direction: z.enum(['inbound', 'outbound']),
  /** The caller's number, or the target's URI. */
  peer: z.string(),
  sipCallId: z.string().nullable(),
  node: z.string(),
  state: z.string(),
  /** By an operation. */
  onHold: z.boolean().default(false),
  /** Its phone holds the call. */
  held: z.boolean().default(false),
  sipStatus: z.number().nullable(),
  startedAt: instant,
  ringingAt: instant,
  answeredAt: instant,
  endedAt: instant,
});

export const shownCallSchema = foundCallSchema.omit({ sipCallIds: true }).extend({
  /** `trunk lab`, `subscriber 1001`; null where it is not known. */
  source: z.string().nullable(),
  route: z.string().nullable(),
  answeredAt: instant,
  endedAt: instant,
  endedBy: z.string().nullable(),
  reason: z.string().nullable(),
  limit: z.string().nullable(),
  nodes: list(z.string()),
  recoveries: z.number().int(),
  conference: z.object({ id: z.string(), room: z.string().nullable(), node: z.string() }).nullable(),
  /** Those that were done. */
  transfers: list(transferFactsSchema).default([]),
  legs: list(shownLeg),
  /** As the Kamailios received and sent them, of all legs, in order of time. */
  messages: list(wholeTraceMessageSchema),
  /** Names of the farm's own addresses. */
  ends: z.record(z.string(), z.string()),
});
export type ShownCall = z.output<typeof shownCallSchema>;
