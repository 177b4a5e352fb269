// A call and its legs as plain values: what the store holds, what the call machine reads and returns.
import { z } from 'zod';
import { roleSchema } from '../conferences/conference-record.js';
import { flowRunSchema } from '../flows/flow-run.js';
import type { ConnectStep, ConnectTarget, FlowStep, IncomingCall } from './call-facts.js';

/** Dialog states of RFC 4235 §3.7.1, for a call and for each of its legs. */
const dialogState = z.enum(['trying', 'proceeding', 'early', 'confirmed', 'terminated']);
export type DialogState = z.infer<typeof dialogState>;

const headerChanges = z.object({
  set: z.record(z.string(), z.string()).optional(),
  remove: z.array(z.string()).optional(),
});

const headerField = z.object({ name: z.string(), value: z.string() });

const connectTarget = z.object({
  uri: z.string(),
  path: z.array(z.string()).optional(),
  trunk: z.string().optional(),
  subscriber: z.string().optional(),
  ringTimeoutSeconds: z.number().optional(),
  headers: headerChanges.optional(),
});

const flowStep = z.discriminatedUnion('action', [
  z.object({
    action: z.literal('connect'),
    targets: z.array(connectTarget),
    strategy: z.enum(['in-order', 'at-once']),
    ringTimeoutSeconds: z.number().optional(),
    callerNumber: z.string().optional(),
    callerName: z.string().optional(),
    headers: headerChanges.optional(),
  }),
  z.object({ action: z.literal('conference_join'), room: z.string(), role: roleSchema.optional() }),
  z.object({ action: z.literal('echo') }),
]) as unknown as z.ZodType<FlowStep>;

/** The step that a plugin gives in answer to a transfer. */
export const connectStepSchema = flowStep.pipe(
  z.custom<ConnectStep>(step => (step as FlowStep).action === 'connect', 'must be a connect step'),
);

/** Targets as plugins give them in answer to a redirection. */
export const targetsSchema = z.array(connectTarget) as unknown as z.ZodType<readonly ConnectTarget[]>;

/** A flow as plugins give it and the store keeps it. */
export const flowSchema = z.array(flowStep);

const legRecord = z.object({
  /** The ARI channel id; ours for a leg we originate, the Asterisk's for the caller's. */
  id: z.string(),
  direction: z.enum(['inbound', 'outbound']),
  node: z.string(),
  state: dialogState,
  /** Caller's number, or the target's URI; `echo` for the echo test's inner leg. */
  peer: z.string(),
  sipCallId: z.string().nullable(),
  /** Index into the call's flow of the step that made it; -1 for the caller's leg. */
  step: z.number(),
  /** Position in the connect step's targets; null for the caller's leg. */
  targetIndex: z.number().nullable(),
  /** When its ringing ends (ms since the epoch), or null. */
  ringUntilMs: z.number().nullable(),
  /** Final status of a leg that was never answered; null before, and for an answered one. */
  sipStatus: z.number().nullable(),
  /** Headers of the failure response that ended it, as far as they are passed on. */
  endHeaders: z.array(headerField).readonly().default([]),
  /** Whom it named in a redirection, while a plugin is asked what becomes of that; else null. */
  redirect: z.array(z.string()).readonly().nullable().default(null),
  /** True once we asked for its end. */
  ending: z.boolean(),
  /** Another party has taken its place, or is about to: its end is not the call's. */
  gaveWay: z.boolean().default(false),
  /** Its phone has put us on hold. */
  held: z.boolean().default(false),
  /** The epoch (death of a node) that it is being recovered from; null when its session is whole. */
  recovering: z.string().nullable().default(null),
  /** ms since the epoch, null where it has not come to that. */
  times: z
    .object({
      startedMs: z.number().nullable(),
      ringingMs: z.number().nullable(),
      answeredMs: z.number().nullable(),
      endedMs: z.number().nullable(),
    })
    .default({ startedMs: null, ringingMs: null, answeredMs: null, endedMs: null }),
});
export type LegRecord = z.infer<typeof legRecord>;

/** A leg of another call, by which somebody who is in both calls is in that one. */
const otherCall = z.object({ call: z.string(), leg: z.string() });
export type OtherCall = z.infer<typeof otherCall>;

/** The dialog that a REFER names (RFC 3891), as we see it. */
const replacedDialog = z.object({ sipCallId: z.string(), localTag: z.string(), remoteTag: z.string() });
export type ReplacedDialog = z.infer<typeof replacedDialog>;

const doneTransfer = z.object({
  atMs: z.number(),
  by: z.enum(['caller', 'callee']),
  kind: z.enum(['blind', 'attended']),
  /** Number of the Refer-To; empty in the call that was consulted. */
  to: z.string(),
  /** Id of the other call of an attended one. */
  call: z.string().nullable(),
});
export type DoneTransfer = z.infer<typeof doneTransfer>;

/** `TransferFacts`, as read back. */
export const transferFactsSchema = doneTransfer.omit({ atMs: true }).extend({ at: z.string() });

const ending = z.object({
  by: z.enum(['caller', 'callee', 'holdfast']),
  outcome: z.enum(['answered', 'busy', 'no-answer', 'declined', 'cancelled', 'failed', 'rejected']),
  /** What the caller got as the final response to the INVITE. */
  sipStatus: z.number(),
  reason: z.string(),
  /** Key of the config's `limits` that ended it, else null. */
  limit: z.string().nullable().default(null),
  atMs: z.number(),
  /** Earlier than atMs where the end was found only after a blind time of the daemon. */
  notBeforeMs: z.number(),
});
export type CallEnding = z.infer<typeof ending>;

/** Schema of the store's table `calls`. legs[0] is the caller's. */
export const callRecordSchema = z.object({
  id: z.string(),
  state: dialogState,
  source: z.union([
    z.object({ kind: z.literal('trunk'), trunk: z.string() }),
    z.object({ kind: z.literal('subscriber'), subscriber: z.string() }),
  ]),
  dialled: z.string(),
  callerNumber: z.string(),
  callerName: z.string(),
  /** The caller's From, where `callerNumber` is another identity that a trunk asserts; and those assertions as they came. */
  presented: z.object({ number: z.string(), name: z.string() }).nullable().default(null),
  asserted: z.array(z.string()).readonly().default([]),
  privacy: z.array(z.string()).readonly().default([]),
  /** Of the caller's INVITE: those that are passed on. */
  headers: z.record(z.string(), z.array(z.string()).readonly()).default({}),
  startedMs: z.number(),
  answeredMs: z.number().nullable(),
  /** When it is ended if it has not ended before, by which of the config's limits, and how many seconds that is. */
  deadline: z.object({ atMs: z.number(), limit: z.string(), seconds: z.number() }).nullable().default(null),
  /** How long it may last once it is answered; 0: for ever. */
  maxCallSeconds: z.number().default(0),
  /** After how many seconds its phones count as silent: the config's when it began, which its Asterisk goes by whatever a reload says; null: of an earlier version. */
  rtpTimeouts: z.object({ seconds: z.number(), onHoldSeconds: z.number() }).nullable().default(null),
  routeName: z.string().nullable(),
  /** What the route said; of a named flow what it has done so far of connecting and joining. */
  flow: flowSchema,
  /** The named flow that runs; null where the route has none. */
  run: flowRunSchema.nullable().default(null),
  /** Its flow has muted the caller. */
  muted: z.boolean().default(false),
  /** Index into `flow` of the step that runs now; -1 before the route is known. */
  step: z.number(),
  conferenceId: z.string().nullable(),
  /**
   * A transfer under way: who asked, or is to be replaced as it was `commanded`; to where; and the step of the flow that connects, null
   * while a plugin is asked. With `adds` nobody is replaced. An attended one names the dialog that it `replaces`, and has `other` once that is found.
   */
  transfer: z
    .object({
      referrer: z.string(),
      dialled: z.string(),
      step: z.number().nullable(),
      commanded: z.boolean().default(false),
      adds: z.boolean().default(false),
      replaces: replacedDialog.nullable().default(null),
      other: otherCall.nullable().default(null),
    })
    .nullable()
    .default(null),
  /** Those that were done. */
  transfers: z.array(doneTransfer).readonly().default([]),
  legs: z.array(legRecord),
  ending: ending.nullable(),
  /** Nodes that died under it and whose sessions of it were recovered. */
  recoveries: z.number().default(0),
  /** Those nodes. */
  lostNodes: z.array(z.string()).default([]),
});
export type CallRecord = z.infer<typeof callRecordSchema>;

/** The peer of the echo test's leg: a Local channel, not a SIP dialog. */
export const echoPeer = 'echo';

/** The caller's leg. */
export function callerLeg(call: CallRecord): LegRecord {
  const leg = call.legs[0];
  if (!leg) throw new RangeError(`call ${call.id} has no caller leg`);
  return leg;
}

/** The call as plugins see it. */
export function incomingCall(call: CallRecord): IncomingCall {
  const { id, source, dialled, callerNumber, callerName, privacy, headers } = call;
  return {
    id,
    sipCallId: callerLeg(call).sipCallId ?? '',
    source,
    dialled,
    callerNumber,
    callerName,
    privacy,
    headers,
  };
}

/** Name of the node that the call is on, whoever of it has left. */
export function homeOf(call: CallRecord): string {
  return (call.legs.find(isLive) ?? callerLeg(call)).node;
}

/** The target a leg was made for, or undefined for the caller's and the echo test's. */
export function targetOf(call: CallRecord, leg: LegRecord): ConnectTarget | undefined {
  const step = call.flow[leg.step];
  return step?.action === 'connect' && leg.targetIndex !== null ? step.targets[leg.targetIndex] : undefined;
}

export function isLive(leg: LegRecord): boolean {
  return leg.state !== 'terminated';
}
