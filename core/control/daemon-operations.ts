// What the daemon answers on its control socket: the farm, the calls and the edge in the words of the command line.
import type { CallEngine } from '../calls/call-engine.js';
import type { Conferences } from '../conferences/conferences.js';
import { isSpeaking } from '../conferences/room-audio.js';
import type { Rooms } from '../conferences/rooms.js';
import { HoldfastError } from '../errors.js';
import type { EdgeSync } from '../farm/edge-sync.js';
import { restartNode } from '../farm/node-restart.js';
import { isAsterisk, ports, type FarmNode, type FarmPlan } from '../farm/farm-plan.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Overload } from '../overload/overload.js';
import type { EdgeFarm } from '../ports/edge.js';
import type { NodeHost } from '../ports/node-host.js';
import type { CallInspector } from '../inspect/call-inspector.js';
import { shownLegState } from '../inspect/call-view.js';
import type { Recoveries } from '../recovery/recoveries.js';
import type { RecoveryRecord } from '../recovery/recovery-record.js';
import type { Bindings } from '../registrations/bindings.js';
import type { CallOperations } from './call-operations.js';
import type { Operations, ResultOf } from './operations.js';
import type {
  CallStatus,
  ConferenceStatus,
  NodeStatus,
  RecoveryPlan,
  RecoveryStatus,
  RegistrationStatus,
} from './views.js';

export interface DaemonFacts {
  readonly plan: FarmPlan;
  readonly configPath: string;
  readonly startedAt: string;
  readonly ready: boolean;
  readonly faults: readonly string[];
}

export interface DaemonOperationsOptions {
  readonly facts: () => DaemonFacts;
  readonly host: NodeHost;
  readonly states: NodeStates;
  readonly sync: EdgeSync;
  readonly edge: EdgeFarm;
  readonly engine: CallEngine;
  readonly overload: Pick<Overload, 'list'>;
  readonly conferences: Conferences;
  readonly callOperations: CallOperations;
  readonly rooms: Rooms;
  readonly recoveries: Recoveries;
  readonly bindings: Bindings;
  readonly trunks: () => ResultOf<'trunks'>;
  readonly bans: Pick<Operations, 'bans' | 'banAdd' | 'banLift'>;
  readonly sipCallIdOf: (legId: string) => string | undefined;
  /** What the Kamailios showed of a Call-ID. */
  readonly trace: (callId: string) => Promise<ResultOf<'trace'>>;
  readonly inspector: CallInspector;
  /** Keeps what was drained across restarts of the daemon. */
  readonly rememberDrain: (node: string, draining: boolean) => Promise<void>;
  /** What a reload of this config file, or of the daemon's own, would change. */
  readonly diff: (configPath: string | undefined) => Promise<ResultOf<'diff'>>;
  readonly reload: (progress: (line: string) => void) => Promise<readonly string[]>;
  readonly down: (progress: (line: string) => void) => Promise<readonly string[]>;
}

export function daemonOperations(options: DaemonOperationsOptions): Operations {
  const { edge, sync } = options;
  return {
    status: () => status(options),
    health: async () => ({
      ready: options.facts().ready,
      nodes: {
        up: options.states.nodes().filter(({ name }) => options.states.state(name) === 'up').length,
        all: options.states.nodes().length,
      },
      calls: options.engine.book.size,
    }),
    nodes: () => nodes(options),
    calls: async () => calls(options),
    conferences: async () => conferences(options),
    rooms: async ({ room }) => (room === undefined ? options.rooms.list() : [options.rooms.get(room)]),
    roomAction: ({ action, room }) => options.rooms[action](room),
    participantAction: ({ action, room, participant }) => options.rooms[action](room, participant),
    registrations: async () =>
      options.bindings.list().map(({ subscriber, contact, expiresMs, node, q, path, flow, connection, userAgent }) => ({
        ...{ subscriber, contact, node, q, path, userAgent },
        expiresSeconds: Math.ceil((expiresMs - Date.now()) / 1000),
        ...reachedBy(flow, connection),
      })),
    trunks: async () => options.trunks(),
    ...options.bans,
    recoveries: async () => options.recoveries.list().map(recoveryStatus),
    recoveryPlan: ({ node }) => recoveryPlan(options, node),
    trace: ({ callId }) => options.trace(callId),
    find: ({ text, most }) => options.inspector.find(text, most),
    callShow: ({ id, whole }) => options.inspector.show(id, whole),
    callHangup: ({ id }) => options.callOperations.end(id),
    callTransfer: async ({ id, to, replaced }, { progress }) => {
      await options.callOperations.transfer(id, to, replaced, progress);
      return { id, to };
    },
    callTransferToCall: async ({ id, other, replaced, replacedOther }) => {
      await options.callOperations.transferToCall(id, other, replaced, replacedOther);
      return { id, other };
    },
    callAdd: ({ id, number, by }, { progress }) => options.callOperations.add(id, number, by, progress),
    roomAdd: ({ room, number, by }, { progress }) => options.rooms.add(room, number, by, progress),
    conferenceMerge: async ({ conference, other }) => ({
      conference: await options.rooms.merge(conference, other),
    }),
    callHold: ({ id, party }) => options.callOperations.hold(id, party),
    callUnhold: ({ id, party }) => options.callOperations.unhold(id, party),
    dispatcherList: () => edge.dispatcher(),
    dispatcherDiff: async () => {
      // Compared with what they hold is what they were told last: that must be all that is known.
      await sync.settled();
      return edge.dispatcher();
    },
    dispatcherReload: () => sync.apply('asked for by the operator'),
    drain: ({ node, wait }, { progress, signal }) => drain(options, node, wait, progress, signal),
    undrain: async ({ node }) => {
      await setDraining(options, node, false);
      return drained(options, node);
    },
    diff: ({ config }) => options.diff(config),
    restart: async ({ node }, { progress, signal }) => {
      mustKnow(options.states, node);
      const { host, states, engine } = options;
      await restartNode(
        { host, states, sync, callsOn: name => engine.book.withLegsOn(name).length },
        node,
        progress,
        signal,
      );
      return drained(options, node);
    },
    reload: async (_, { progress }) => ({ changes: await options.reload(progress) }),
    down: async (_, { progress }) => ({ ended: await options.down(progress) }),
  };
}

async function status(options: DaemonOperationsOptions): Promise<ResultOf<'status'>> {
  const { plan, configPath, startedAt, ready, faults } = options.facts();
  return {
    ...{ ready, faults },
    subnet: plan.subnet,
    daemon: { pid: process.pid, configPath, startedAt },
    edge: { public: `${plan.publicVip}:${ports.sip}`, private: `${plan.privateVip}:${ports.sip}` },
    nodes: await nodes(options),
    calls: { active: options.engine.book.size },
    overload: options.overload
      .list()
      .map(({ sinceMs, ...rest }) => ({ ...rest, since: new Date(sinceMs).toISOString() })),
    recoveries: recoveryTotals(options.recoveries.list()),
  };
}

async function nodes(options: DaemonOperationsOptions): Promise<NodeStatus[]> {
  return Promise.all(options.states.nodes().map(node => nodeStatus(options, node)));
}

async function nodeStatus(
  { states, host, engine, edge }: DaemonOperationsOptions,
  node: FarmNode,
): Promise<NodeStatus> {
  // One that is down has no counters, and is not waited for.
  const ask = node.farm === 'kamailio' && states.state(node.name) !== 'dead';
  const counters = ask ? await edge.counters(node.name).catch(() => undefined) : undefined;
  return {
    name: node.name,
    farm: node.farm,
    state: states.state(node.name),
    pid: host.process(node.name)?.pid ?? null,
    address: node.address,
    reason: states.reason(node.name),
    ...(node.external === undefined ? {} : { external: node.external }),
    ...(isAsterisk(node.farm) ? { calls: engine.book.withLegsOn(node.name).length } : {}),
    ...(counters === undefined ? {} : { counters }),
  };
}

function calls({ engine, conferences, sipCallIdOf }: DaemonOperationsOptions): CallStatus[] {
  return engine.book.list().map(call => ({
    id: call.id,
    state: call.state,
    conference: call.conferenceId,
    legs: call.legs.map(leg => ({
      callId: leg.sipCallId ?? sipCallIdOf(leg.id) ?? '',
      direction: leg.direction,
      node: leg.node,
      state: shownLegState(leg),
      peer: leg.peer,
      onHold: conferences.isOnHold(call.id, leg.id),
    })),
  }));
}

function conferences({ conferences, engine, sipCallIdOf }: DaemonOperationsOptions): ConferenceStatus[] {
  const callIdOf = new Map(engine.book.list().flatMap(call => call.legs.map(leg => [leg.id, leg.sipCallId] as const)));
  return conferences.list().map(one => ({
    id: one.id,
    node: one.node,
    ...(one.room === null ? {} : { room: one.room }),
    participants: one.participants.map(member => ({
      callId: callIdOf.get(member.legId) ?? sipCallIdOf(member.legId) ?? '',
      muted: member.muted,
      speaking: isSpeaking(one, member),
      role: member.role,
    })),
  }));
}

function mustKnow(states: NodeStates, node: string): void {
  if (states.node(node)) return;
  const known = states.nodes().map(one => one.name);
  throw new HoldfastError('DAEMON_REFUSED', `there is no node "${node}"`, { remedy: `one of: ${known.join(', ')}` });
}

function recoveryTotals(records: readonly RecoveryRecord[]): ResultOf<'status'>['recoveries'] {
  const sum = (what: keyof RecoveryRecord['sessions']): number =>
    records.reduce((total, record) => total + record.sessions[what], 0);
  const sessions = { found: sum('found'), recovered: sum('recovered'), ended: sum('ended'), failed: sum('failed') };
  return { deaths: records.length, sessions };
}

function recoveryStatus({
  node,
  farm,
  epoch,
  firstSignMs,
  declaredMs,
  sessions,
  lastUpMs,
}: RecoveryRecord): RecoveryStatus {
  return {
    ...{ node, farm, epoch, sessions },
    detectedMs: Math.round(declaredMs - firstSignMs),
    lastUpMs: lastUpMs === null ? null : Math.round(lastUpMs - firstSignMs),
  };
}

async function recoveryPlan(options: DaemonOperationsOptions, node: string): Promise<RecoveryPlan> {
  mustKnow(options.states, node);
  const farm = options.states.node(node)?.farm;
  if (farm !== 'call') {
    throw new HoldfastError('DAEMON_REFUSED', `${node} carries no sessions of phones`, {
      remedy:
        'a plan is made for call nodes; the conferences of a conference node and the media of an RTPEngine always move',
    });
  }
  const planned = await options.recoveries.plan(node);
  return {
    node,
    sessions: planned.map(({ leg, action, reason, target }) => ({
      callId: leg.sipCallId ?? options.sipCallIdOf(leg.id) ?? '',
      action,
      target: action === 'recover' ? (target ?? null) : null,
      reason:
        action === 'recover' && target === undefined ? `${reason}; it would wait for a call node to come up` : reason,
    })),
  };
}

async function setDraining(options: DaemonOperationsOptions, node: string, draining: boolean): Promise<void> {
  mustKnow(options.states, node);
  await options.rememberDrain(node, draining);
  options.states.setDraining(node, draining, draining ? 'drained by the operator' : 'taken back by the operator');
  await options.sync.apply(draining ? `${node} is drained` : `${node} is back`);
  await options.sync.balance();
}

function drained({ states, engine }: DaemonOperationsOptions, node: string): ResultOf<'drain'> {
  return { node, state: states.state(node), calls: engine.book.withLegsOn(node).length };
}

async function drain(
  options: DaemonOperationsOptions,
  node: string,
  wait: boolean,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<ResultOf<'drain'>> {
  await setDraining(options, node, true);
  let shown = -1;
  while (wait && options.engine.book.withLegsOn(node).length > 0) {
    signal.throwIfAborted();
    const left = options.engine.book.withLegsOn(node).length;
    if (left !== shown) progress(`${left} calls are still on ${node}`);
    shown = left;
    await new Promise(resolve => setTimeout(resolve, 200));
  }
  return drained(options, node);
}

/** The way to a phone that is not where its Contact says. */
function reachedBy(
  flow: string | null,
  connection: string | null,
): Pick<RegistrationStatus, 'behindNat' | 'connection'> {
  if (flow === null) return {};
  if (connection === null) return { behindNat: flow };
  const [transport, instance] = connection.split('~');
  const edge = `kamailio-${instance ?? '?'}`;
  return { connection: { transport: transport === 'tls' ? 'tls' : 'tcp', address: flow, edge } };
}
