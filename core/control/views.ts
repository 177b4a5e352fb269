// What the daemon's answers look like: nodes, calls, conferences, rooms, registrations, trunks, recoveries as they are shown.
import { z } from 'zod';
import { needs } from '../config/changed-parts.js';

const farm = z.enum(['kamailio', 'call', 'conference', 'registrar', 'rtpengine']);
const nodeState = z.enum(['up', 'suspect', 'dead', 'draining']);
export const list = <T extends z.ZodType>(element: T) => z.array(element).readonly();

/** A node as `status` and `nodes` show it. `pid` is null while its process does not run. */
export const nodeStatus = z.object({
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

export const status = z.object({
  /** True once every node of the config was up and the VIPs take calls; false again while the daemon leaves. */
  ready: z.boolean(),
  subnet: z.string(),
  daemon: z.object({ pid: z.number().int(), configPath: z.string(), startedAt: z.string() }),
  /** `IP:port` of the VIPs. */
  edge: z.object({ public: z.string(), private: z.string() }),
  /** What of the config is wrong since the start, and stands as it was when it was right; and what is not as the config says. */
  faults: list(z.string()).default([]),
  nodes: list(nodeStatus),
  calls: z.object({ active: z.number().int() }),
  /** Call nodes that take fewer new calls than come, as more would be too much for them. */
  overload: list(
    z.object({
      node: z.string(),
      since: z.string(),
      /** New calls per second that it takes, and that come for it. */
      callsPerSecond: z.number(),
      offeredPerSecond: z.number(),
      /** How long its answers to the daemon take. */
      lateMs: z.number(),
      /** New calls that were refused since then. */
      refused: z.number().int(),
    }),
  ),
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

export const call = z.object({
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
      /** By an operation: it hears music, and is not heard. */
      onHold: z.boolean(),
    }),
  ),
});

/** A call after something was done to it. */
export const runningCall = z.object({
  id: z.string(),
  parties: list(
    z.object({
      id: z.string(),
      side: z.enum(['caller', 'callee']),
      peer: z.string(),
      sipCallId: z.string().nullable(),
      onHold: z.boolean(),
    }),
  ),
});

export const conference = z.object({
  id: z.string(),
  /** Two-party calls have no room. */
  room: z.string().optional(),
  node: z.string(),
  participants: list(z.object({ callId: z.string(), muted: z.boolean(), speaking: z.boolean(), role: z.string() })),
});

/** A room as `conference list` shows it. */
export const room = z.object({
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
      speaking: z.boolean(),
      joinedAt: z.string(),
    }),
  ),
});

export const registration = z.object({
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
  connection: z.object({ transport: z.enum(['tcp', 'tls']), address: z.string(), edge: z.string() }).optional(),
  userAgent: z.string(),
});

export const trunk = z.object({
  trunk: z.string(),
  /** Now, from it and to it. */
  calls: z.object({ from: z.number().int(), to: z.number().int() }),
  /** Of its limits; null where it has none. */
  callsAtOnce: z.number().int().nullable(),
  /** Ours with it; null where we do not register there. */
  registration: z
    .object({
      state: z.enum(['trying', 'registered', 'failed']),
      user: z.string(),
      registrar: z.string().nullable(),
      until: z.string().nullable(),
      error: z.string().nullable(),
      sipStatus: z.number().int().nullable(),
      failures: z.number().int(),
    })
    .nullable(),
  gateways: list(
    z.object({
      address: z.string(),
      priority: z.number().int(),
      weight: z.number().int(),
      /** `unknown`: it is not asked, or has not been yet. */
      state: z.enum(['unknown', 'up', 'down']),
      since: z.string().nullable(),
      hostAddress: z.string().nullable(),
      dnsTrouble: z.string().nullable(),
      /** Its last answer to OPTIONS. */
      sipStatus: z.number().int().nullable(),
    }),
  ),
});

export const ban = z.object({
  /** An address, or `ADDRESS/USER`. */
  source: z.string(),
  reason: z.string(),
  /** ISO 8601. */
  until: z.string(),
});

export const recovery = z.object({
  node: z.string(),
  farm,
  epoch: z.string(),
  /** Milliseconds since the death where it is known, else since the first sign. */
  detectedMs: z.number().nullable(),
  sessions: z.object({ found: z.number(), recovered: z.number(), ended: z.number(), failed: z.number() }),
  lastUpMs: z.number().nullable(),
});

export const recoveryPlan = z.object({
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

export const dispatcherReport = z.object({
  instance: z.string(),
  reachable: z.boolean(),
  rows: list(
    z.object({ setid: z.number().int(), destination: z.string(), flags: z.string(), priority: z.number().int() }),
  ),
  /** Differences in words; empty when the instance holds what it should. */
  drift: list(z.string()),
});

export const instanceReport = z.object({ instance: z.string(), equal: z.boolean(), error: z.string().optional() });

export const drained = z.object({
  node: z.string(),
  state: nodeState,
  /** Calls still on the node. */
  calls: z.number().int(),
});

const need = z.enum(needs);

export const reloadPlan = z.object({
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
  /** What is not as the config says though the daemon has taken it, in words, where this file still asks for it. */
  untaken: list(z.string()).default([]),
});

export type FarmStatus = z.output<typeof status>;
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
