// What is told of the farm and its calls: events, call records, notices, metrics, and one call as an operator asks for it.
import { CallRecords, type RecordDestinations } from '../../cdr/call-records.js';
import type { HoldfastConfig } from '../../config/holdfast-config.js';
import { EventLog } from '../../events/event-log.js';
import type { FarmNode, FarmPlan } from '../../farm/farm-plan.js';
import { FlowNotices } from '../../flows/flow-notices.js';
import { pathBelow } from '../../host/state-folder.js';
import { CallInspector } from '../../inspect/call-inspector.js';
import { Metrics } from '../../metrics/metrics.js';
import type { Trace } from '../../trace/trace.js';
import type { Get, Given, Make } from './graph.js';
import { tokens } from './tokens.js';
import { statusesOfTrunks } from './trunks.js';

export function wireAccounts(given: Given, make: Make): void {
  const { live, log, store, stateFolder } = given;
  make(tokens.eventLog, () => new EventLog(store, log));
  make(tokens.cdr, () => new CallRecords({ store, log, ...recordsGoTo(stateFolder, live.config) }));
  make(tokens.notices, () => new FlowNotices({ store, log }));
  make(tokens.inspector, get => inspector(given, get));
  make(tokens.metrics, get => metrics(given, get));
}

export function recordsGoTo(stateFolder: string, { cdr: { file, webhook } }: HoldfastConfig): RecordDestinations {
  return { file: pathBelow(stateFolder, file), ...(webhook === undefined ? {} : { webhook }) };
}

function inspector({ live, stateFolder }: Given, get: Get): CallInspector {
  const trace = (): Trace | undefined => get(tokens.daemon).trace;
  return new CallInspector({
    calls: () => get(tokens.engine).book.list(),
    sipCallIdOf: legId => get(tokens.daemon).sipCallIdOf(legId),
    isOnHold: (callId, legId) => get(tokens.conferences).isOnHold(callId, legId),
    conference: id =>
      get(tokens.conferences)
        .list()
        .find(one => one.id === id) ?? null,
    file: () => pathBelow(stateFolder, live.config.cdr.file),
    trace: {
      messages: async (callId, whole) => (await trace()?.messages(callId, whole)) ?? [],
      find: async (text, most) => (await trace()?.find(text, most)) ?? [],
    },
    ends: () => namesOf(live.plan, get(tokens.states).nodes()),
  });
}

/** The farm's own addresses by name, those of nodes that are just leaving too. */
function namesOf({ daemonAddress }: FarmPlan, nodes: readonly FarmNode[]): Readonly<Record<string, string>> {
  const named = nodes.flatMap(({ name, address, external }) => [
    [address, name] as const,
    ...(external === undefined ? [] : [[external, name] as const]),
  ]);
  return { ...Object.fromEntries(named), [daemonAddress]: 'holdfast' };
}

function metrics({ live, log, store, stateFolder }: Given, get: Get): Metrics {
  const states = get(tokens.states);
  return new Metrics({
    store,
    log,
    socketPath: socket => pathBelow(stateFolder, socket),
    nodes: () => states.nodes(),
    stateOf: node => states.state(node),
    calls: () => get(tokens.engine).book.list(),
    trunks: () => statusesOfTrunks(live, get),
    conferences: () => get(tokens.conferences).list(),
    edgeCounters: node => get(tokens.edge).counters(node),
    overload: get(tokens.overload),
    engineSessions: async node => (await get(tokens.media).statistics(node)).sessions,
    recoveries: () => get(tokens.recoveries).list(),
    trace: async () => get(tokens.daemon).trace?.counters(),
    records: get(tokens.cdr),
  });
}
