// What the daemon can be asked over its control socket: every operation with its parameters, result and deadline.
import { z } from 'zod';
import { foundCallSchema, shownCallSchema } from '../inspect/call-view.js';
import { traceMessageSchema } from '../trace/trace-message.js';
import {
  ban,
  call,
  conference,
  dispatcherReport,
  drained,
  instanceReport,
  list,
  nodeStatus,
  recovery,
  recoveryPlan,
  registration,
  reloadPlan,
  room,
  runningCall,
  status,
  trunk,
} from './views.js';

const none = z.strictObject({});
/** An id of ours or a SIP Call-ID. */
const callId = z.string().min(1).max(1024);
const partyName = z.string().min(1).max(1024).optional();
const number = z.string().regex(/^[A-Za-z0-9+*#_.-]{1,64}$/, 'must be a number or user name');
const roomName = z.string().min(1).max(256);

/** What can be done to a room, or to one who is in it. */
export const roomActions = ['lock', 'unlock', 'record', 'stopRecording', 'end'] as const;
export const participantActions = ['mute', 'unmute', 'deafen', 'undeafen', 'kick'] as const;

/**
 * The operations. `deadlineMs` is the daemon's: then `signal` aborts and the caller gets DAEMON_REFUSED. An operation
 * that `survivesCaller` goes on when the caller's connection ends; any other is aborted.
 */
export const operationTable = {
  status: { params: none, result: status, deadlineMs: 2_000, survivesCaller: false },
  /** Asks no server: that it answers says that the daemon's event loop turns. */
  health: {
    params: none,
    result: z.object({
      ready: z.boolean(),
      nodes: z.object({ up: z.number().int(), all: z.number().int() }),
      calls: z.number().int(),
    }),
    deadlineMs: 2_000,
    survivesCaller: false,
  },
  nodes: { params: none, result: list(nodeStatus), deadlineMs: 2_000, survivesCaller: false },
  calls: { params: none, result: list(call), deadlineMs: 5_000, survivesCaller: false },
  conferences: { params: none, result: list(conference), deadlineMs: 5_000, survivesCaller: false },
  /** All rooms, or the one of this name or id. */
  rooms: {
    params: z.strictObject({ room: roomName.optional() }),
    result: list(room),
    deadlineMs: 5_000,
    survivesCaller: false,
  },
  /** Answers with the room as it is then. */
  roomAction: {
    params: z.strictObject({ action: z.enum(roomActions), room: roomName }),
    result: room,
    deadlineMs: 30_000,
    survivesCaller: true,
  },
  /** `participant`: an id that `rooms` gives, or the beginning of one. */
  participantAction: {
    params: z.strictObject({
      action: z.enum(participantActions),
      room: roomName,
      participant: z.string().min(1).max(256),
    }),
    result: room,
    deadlineMs: 10_000,
    survivesCaller: true,
  },
  registrations: { params: none, result: list(registration), deadlineMs: 5_000, survivesCaller: false },
  trunks: { params: none, result: list(trunk), deadlineMs: 5_000, survivesCaller: false },
  bans: { params: none, result: list(ban), deadlineMs: 5_000, survivesCaller: false },
  banAdd: {
    params: z.strictObject({ address: z.ipv4(), seconds: z.int().min(1).max(31_536_000), reason: z.string().max(100) }),
    result: ban,
    deadlineMs: 5_000,
    survivesCaller: true,
  },
  banLift: {
    params: z.strictObject({ source: z.string().min(1).max(256) }),
    result: z.object({ source: z.string() }),
    deadlineMs: 5_000,
    survivesCaller: true,
  },
  recoveries: { params: none, result: list(recovery), deadlineMs: 5_000, survivesCaller: false },
  recoveryPlan: {
    params: z.strictObject({ node: z.string().min(1).max(64) }),
    result: recoveryPlan,
    // A trace source is asked for the dialogs that the ledger lacks.
    deadlineMs: 60_000,
    survivesCaller: false,
  },
  /** Copies of a Call-ID's messages, as every Kamailio received and sent them. */
  trace: {
    params: z.strictObject({ callId }),
    result: list(traceMessageSchema),
    deadlineMs: 5_000,
    survivesCaller: false,
  },
  /** Calls that have the text in an id, a number or a target, the latest first. */
  find: {
    params: z.strictObject({ text: z.string().min(1).max(1024), most: z.int().min(1).max(200) }),
    result: list(foundCallSchema),
    deadlineMs: 20_000,
    survivesCaller: false,
  },
  /** By our id or a leg's SIP Call-ID; `whole`: with the messages themselves. */
  callShow: {
    params: z.strictObject({ id: callId, whole: z.boolean() }),
    result: shownCallSchema,
    deadlineMs: 20_000,
    survivesCaller: false,
  },
  /** Answers when the call is over, or after a few seconds. */
  callHangup: {
    params: z.strictObject({ id: callId }),
    result: z.object({ id: z.string(), over: z.boolean() }),
    deadlineMs: 10_000,
    survivesCaller: true,
  },
  /** Another party takes the place of the caller or the callee. Answers when somebody has taken the call, or nobody does. */
  callTransfer: {
    params: z.strictObject({
      id: callId,
      to: number,
      replaced: z.enum(['caller', 'callee']),
    }),
    result: z.object({ id: z.string(), to: z.string() }),
    deadlineMs: 700_000,
    survivesCaller: true,
  },
  /** As callTransfer, to whoever is in another call; `replacedOther` leaves that one, by default the same party. */
  callTransferToCall: {
    params: z.strictObject({
      id: callId,
      other: callId,
      replaced: z.enum(['caller', 'callee']),
      replacedOther: z.enum(['caller', 'callee']).optional(),
    }),
    result: z.object({ id: z.string(), other: z.string() }),
    deadlineMs: 60_000,
    survivesCaller: true,
  },
  /** Whoever answers at this number comes in, called as if one party (default: the caller) had dialled it. */
  callAdd: {
    params: z.strictObject({ id: callId, number, by: partyName }),
    result: runningCall,
    deadlineMs: 700_000,
    survivesCaller: true,
  },
  /** The same for a room; `by`: a participant, by default a moderator. */
  roomAdd: {
    params: z.strictObject({ room: roomName, number, by: z.string().min(1).max(256).optional() }),
    result: room,
    deadlineMs: 700_000,
    survivesCaller: true,
  },
  /** One conference of two, each a room by its name, or a call by an id. */
  conferenceMerge: {
    params: z.strictObject({ conference: roomName, other: roomName }),
    result: z.object({ conference: z.string() }),
    deadlineMs: 30_000,
    survivesCaller: true,
  },
  /** `party`: caller (default), callee, or a leg by its id or SIP Call-ID. */
  callHold: {
    params: z.strictObject({ id: callId, party: partyName }),
    result: runningCall,
    deadlineMs: 10_000,
    survivesCaller: true,
  },
  /** Without a `party` all that are on hold. */
  callUnhold: {
    params: z.strictObject({ id: callId, party: partyName }),
    result: runningCall,
    deadlineMs: 10_000,
    survivesCaller: true,
  },
  dispatcherList: { params: none, result: list(dispatcherReport), deadlineMs: 10_000, survivesCaller: false },
  dispatcherDiff: { params: none, result: list(dispatcherReport), deadlineMs: 10_000, survivesCaller: false },
  dispatcherReload: { params: none, result: list(instanceReport), deadlineMs: 30_000, survivesCaller: true },
  drain: {
    /** With `wait` the answer comes when no call is left on the node. */
    params: z.strictObject({ node: z.string().min(1).max(64), wait: z.boolean() }),
    result: drained,
    deadlineMs: 3_600_000,
    survivesCaller: false,
  },
  undrain: {
    params: z.strictObject({ node: z.string().min(1).max(64) }),
    result: drained,
    deadlineMs: 60_000,
    survivesCaller: true,
  },
  reload: {
    params: none,
    /** What the new config changed, in words; empty when nothing. */
    result: z.object({ changes: list(z.string()) }),
    deadlineMs: 120_000,
    survivesCaller: true,
  },
  /** What a reload of the config, or of another file, would change. Changes nothing. */
  diff: {
    /** Absolute; undefined: the config that runs. */
    params: z.strictObject({ config: z.string().min(1).max(4096).optional() }),
    result: reloadPlan,
    deadlineMs: 60_000,
    survivesCaller: false,
  },
  /** Drains a node, ends its server once it has no calls, and takes it back when it is up again. */
  restart: {
    params: z.strictObject({ node: z.string().min(1).max(64) }),
    result: drained,
    deadlineMs: 3_600_000,
    survivesCaller: false,
  },
  /** Ends the farm: intake, processes, balancer. The daemon exits with code 0 after its answer. */
  down: { params: none, result: z.object({ ended: list(z.string()) }), deadlineMs: 60_000, survivesCaller: true },
} as const;

export type OperationName = keyof typeof operationTable;
export type ParamsOf<Op extends OperationName> = z.output<(typeof operationTable)[Op]['params']>;
export type ResultOf<Op extends OperationName> = z.output<(typeof operationTable)[Op]['result']>;

/** What an operation is given beside its parameters. */
export interface OperationContext {
  /** Shows one line to the caller while the operation runs. */
  readonly progress: (line: string) => void;
  /** Aborted at the deadline and, unless the operation survives its caller, when the caller's connection ends. */
  readonly signal: AbortSignal;
}

/** What the daemon implements and the control server calls. A HoldfastError reaches the caller with code and remedy. */
export type Operations = {
  readonly [Op in OperationName]: (params: ParamsOf<Op>, context: OperationContext) => Promise<ResultOf<Op>>;
};
