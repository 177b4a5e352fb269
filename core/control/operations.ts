// What the daemon can be asked over its control socket: every operation with its parameters, result and deadline.
import { z } from 'zod';
import { needs } from '../config/changed-parts.js';
import { foundCallSchema, shownCallSchema } from '../inspect/call-view.js';
import { traceMessageSchema } from '../trace/trace-message.js';

const farm = z.enum(['kamailio', 'call', 'conference', 'registrar', 'rtpengine']);
const nodeState = z.enum(['up', 'suspect', 'dead', 'draining']);
const list = <T extends z.ZodType>(element: T) => z.array(element).readonly();
const none = z.strictObject({});
/** An id of ours or a SIP Call-ID. */
const callId = z.string().min(1).max(1024);

/** A node as `status` and `nodes` show it. `pid` is null while its process does not run. */
const nodeStatus = z.object({
  name: z.string(),
  farm,
  state: nodeState,
  pid: z.number().int().nullable(),
  address: z.string(),
  external: z.string().optional(),
  /** Why it is in this state, in words; shown by `nodes`. */
  reason: z.string().optional(),
  /** Calls (a Kamailio: none; an RTPEngine: its sessions) on it now. */
  calls: z.number().int().optional(),
  /** A Kamailio's own counts since its start: SIP messages it took, and what it refused, by reason. */
  counters: z.record(z.string(), z.number()).optional(),
});

const status = z.object({
  /** True once every node of the config was up and the VIPs take calls; false again while the daemon leaves. */
  ready: z.boolean(),
  subnet: z.string(),
  daemon: z.object({ pid: z.number().int(), configPath: z.string(), startedAt: z.string() }),
  /** `IP:port` of the VIPs. */
  edge: z.object({ public: z.string(), private: z.string() }),
  nodes: list(nodeStatus),
  calls: z.object({ active: z.number().int() }),
  /** Deaths of nodes, of those kept in the list of recoveries, and what became of the sessions they had. */
  recoveries: z.object({
    deaths: z.number().int(),
    sessions: z.object({
      found: z.number().int(),
      recovered: z.number().int(),
      ended: z.number().int(),
      failed: z.number().int(),
    }),
  }),
});

const call = z.object({
  id: z.string(),
  state: z.string(),
  conference: z.string().nullable(),
  legs: list(
    z.object({
      /** SIP Call-ID of the leg. */
      callId: z.string(),
      direction: z.enum(['inbound', 'outbound']),
      node: z.string(),
      state: z.string(),
      /** The other end: number or SIP URI. */
      peer: z.string(),
    }),
  ),
});

const conference = z.object({
  id: z.string(),
  /** Two-party calls have no room. */
  room: z.string().optional(),
  node: z.string(),
  participants: list(z.object({ callId: z.string(), muted: z.boolean(), role: z.string() })),
});

/** What can be done to a room, or to one who is in it. */
export const roomActions = ['lock', 'unlock', 'record', 'stopRecording', 'end'] as const;
export const participantActions = ['mute', 'unmute', 'deafen', 'undeafen', 'kick'] as const;

/** A room as `conference list` shows it. */
const room = z.object({
  id: z.string(),
  room: z.string(),
  node: z.string(),
  locked: z.boolean(),
  /** While all wait for a moderator. */
  waiting: z.boolean(),
  /** Name of the recording that goes on. */
  recording: z.string().nullable(),
  createdAt: z.string(),
  participants: list(
    z.object({
      /** Names the participant in operations. */
      id: z.string(),
      call: z.string(),
      callerNumber: z.string(),
      callerName: z.string(),
      role: z.enum(['moderator', 'speaker', 'listener']),
      muted: z.boolean(),
      deaf: z.boolean(),
      joinedAt: z.string(),
    }),
  ),
});
const roomName = z.string().min(1).max(256);

const registration = z.object({
  subscriber: z.string(),
  contact: z.string(),
  expiresSeconds: z.number(),
  /** Registrar that took its last REGISTER. */
  node: z.string(),
  /** How much the phone wants to be the one that is called, 0 to 1. */
  q: z.number(),
  /** Route values that its calls pass. */
  path: list(z.string()),
  /** `IP:port` that a phone behind NAT is reached at. */
  behindNat: z.string().optional(),
  userAgent: z.string(),
});

const trunk = z.object({
  trunk: z.string(),
  /** Now, from it and to it. */
  calls: z.object({ from: z.number().int(), to: z.number().int() }),
  /** Of its limits; null where it has none. */
  callsAtOnce: z.number().int().nullable(),
  gateways: list(
    z.object({
      address: z.string(),
      priority: z.number().int(),
      weight: z.number().int(),
      /** `unknown`: it is not asked, or has not been yet. */
      state: z.enum(['unknown', 'up', 'down']),
      since: z.string().nullable(),
      /** Its last answer to OPTIONS. */
      sipStatus: z.number().int().nullable(),
    }),
  ),
});

const ban = z.object({
  /** An address, or `ADDRESS/USER`. */
  source: z.string(),
  reason: z.string(),
  /** ISO 8601. */
  until: z.string(),
});

const recovery = z.object({
  node: z.string(),
  farm,
  epoch: z.string(),
  /** Milliseconds since the death where it is known, else since the first sign. */
  detectedMs: z.number().nullable(),
  sessions: z.object({ found: z.number(), recovered: z.number(), ended: z.number(), failed: z.number() }),
  lastUpMs: z.number().nullable(),
});

const recoveryPlan = z.object({
  node: z.string(),
  sessions: list(
    z.object({
      callId: z.string(),
      action: z.enum(['recover', 'end', 'skip']),
      target: z.string().nullable(),
      reason: z.string(),
    }),
  ),
});

const dispatcherReport = z.object({
  instance: z.string(),
  reachable: z.boolean(),
  rows: list(
    z.object({ setid: z.number().int(), destination: z.string(), flags: z.string(), priority: z.number().int() }),
  ),
  /** Differences in words; empty when the instance holds what it should. */
  drift: list(z.string()),
});

const instanceReport = z.object({ instance: z.string(), equal: z.boolean(), error: z.string().optional() });

const drained = z.object({
  node: z.string(),
  state: nodeState,
  /** Calls still on the node. */
  calls: z.number().int(),
});

const need = z.enum(needs);

const reloadPlan = z.object({
  /** The config file that was read. */
  config: z.string(),
  /** Parts of the config that differ from what runs; one without a need the daemon takes by itself. */
  changes: list(z.object({ part: z.string(), needs: list(need) })),
  /** Nodes that would not be as they are; also those that a restart after an earlier reload is due for. */
  nodes: list(
    z.object({ node: z.string(), needs: list(need), files: list(z.object({ path: z.string(), need: need })) }),
  ),
  /** Of all of it, mildest first. */
  needs: list(need),
});

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
    deadlineMs: 10_000,
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
      to: z.string().regex(/^[A-Za-z0-9+*#_.-]{1,64}$/, 'must be a number or user name'),
      replaced: z.enum(['caller', 'callee']),
    }),
    result: z.object({ id: z.string(), to: z.string() }),
    deadlineMs: 700_000,
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

export type FarmStatus = ResultOf<'status'>;
export type NodeStatus = z.output<typeof nodeStatus>;
export type CallStatus = z.output<typeof call>;
export type ConferenceStatus = z.output<typeof conference>;
export type RoomStatus = z.output<typeof room>;
export type RegistrationStatus = z.output<typeof registration>;
export type BanStatus = z.output<typeof ban>;
export type TrunkStatus = z.output<typeof trunk>;
export type RecoveryStatus = z.output<typeof recovery>;
export type ReloadPlanReport = z.output<typeof reloadPlan>;
export type RecoveryPlan = z.output<typeof recoveryPlan>;
