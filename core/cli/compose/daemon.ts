// The daemon itself, of all its parts, and what its control socket answers.
import { banOperations } from '../../control/ban-operations.js';
import { daemonOperations } from '../../control/daemon-operations.js';
import type { Operations } from '../../control/operations.js';
import { Daemon } from '../../daemon.js';
import { EventStream } from '../../events/event-stream.js';
import { ports } from '../../farm/farm-plan.js';
import { checkAddresses, nodeAddresses, planAddresses } from '../../host/address-check.js';
import { fileLimitWarning } from '../../host/file-limit.js';
import type { LocalHost } from '../../host/local-host.js';
import { statePaths } from '../../host/state-folder.js';
import { stillAsked } from '../../reload.js';
import { traceFarmOf } from '../../trace/trace-farm.js';
import { Trace } from '../../trace/trace.js';
import { recordsGoTo } from './accounts.js';
import type { Get, Given, Make } from './graph.js';
import { nodeDied } from './recovery.js';
import { edgeSecrets } from './renderers.js';
import { tokens } from './tokens.js';
import { statusesOfTrunks } from './trunks.js';

export function wireDaemon(given: Given, make: Make): void {
  const { live, log, store, stateFolder } = given;
  make(
    tokens.daemon,
    get =>
      new Daemon({
        live,
        log,
        store,
        plugins: get(tokens.plugins),
        cdr: get(tokens.cdr),
        notices: get(tokens.notices),
        states: get(tokens.states),
        book: get(tokens.book),
        sync: get(tokens.sync),
        keeper: get(tokens.keeper),
        engine: get(tokens.engine),
        conferences: get(tokens.conferences),
        recoveries: get(tokens.recoveries),
        recordings: get(tokens.recordings),
        callRecordings: get(tokens.callRecordings),
        eventLog: get(tokens.eventLog),
        eventStream: new EventStream(get(tokens.eventLog), statePaths(stateFolder).eventSocket),
        mediaRecovery: get(tokens.mediaRecovery),
        standIn: get(tokens.standIn),
        keepAlive: get(tokens.keepAlive),
        bans: get(tokens.bans),
        overload: get(tokens.overload),
        trustedPhones: get(tokens.trustedPhones),
        movedPhones: get(tokens.movedPhones),
        probe: get(tokens.probe),
        names: get(tokens.names),
        gateways: get(tokens.gateways),
        registerClient: get(tokens.registerClient),
        trunkRegistrations: get(tokens.trunkRegistrations),
        host: get(tokens.host),
        known: get(tokens.known),
        dialogs: get(tokens.dialogs),
        nodeDied: death => nodeDied(get, live, death),
        bindings: get(tokens.bindings),
        copies: get(tokens.copies),
        metrics: get(tokens.metrics),
        balancer: get(tokens.balancer),
        certificates: get(tokens.certificates),
        openTrace: () => openTrace(given),
        checkMachine: () => checkMachine(given, get(tokens.host)),
        setNodes: plan => get(tokens.media).setNodes(plan.nodes),
        loadConfig: () => given.reloadConfig(),
        recordsGoTo: config => recordsGoTo(stateFolder, config),
      }),
  );
}

/** Addresses of nodes that run already are ours. */
function checkMachine({ live: { plan }, log }: Given, host: LocalHost): void {
  const warning = fileLimitWarning();
  if (warning !== undefined) log.warn({}, warning);
  const missing = plan.nodes.filter(node => !host.process(node.name));
  checkAddresses([...planAddresses(plan), ...nodeAddresses(missing, plan.streams)]);
}

function openTrace({ live, secrets, log }: Given): Promise<Trace> {
  return Trace.open({
    address: live.plan.daemonAddress,
    port: ports.hep,
    farm: traceFarmOf(live.plan),
    authKey: edgeSecrets(secrets).hepKey,
    rawBytes: live.config.trace.rawMegabytes * 1024 * 1024,
    log,
  });
}

export function operationsOf({ live }: Given, get: Get, configPath: string): Operations {
  const daemon = get(tokens.daemon);
  const startedAt = new Date().toISOString();
  return daemonOperations({
    facts: () => ({
      ...{ plan: live.plan, configPath, startedAt, ready: daemon.ready },
      faults: [...live.config.faults, ...daemon.untaken.map(({ trouble }) => trouble)],
    }),
    host: get(tokens.host),
    states: get(tokens.states),
    sync: get(tokens.sync),
    edge: get(tokens.edge),
    engine: get(tokens.engine),
    overload: get(tokens.overload),
    conferences: get(tokens.conferences),
    callOperations: get(tokens.callOperations),
    rooms: get(tokens.rooms),
    recoveries: get(tokens.recoveries),
    bindings: get(tokens.bindings),
    trunks: () => statusesOfTrunks(live, get),
    bans: banOperations(get(tokens.bans), address => {
      const { sources, allowed } = get(tokens.sync).state();
      return allowed.includes(address) || sources.some(source => source.address === address);
    }),
    sipCallIdOf: legId => daemon.sipCallIdOf(legId),
    trace: async callId => (await daemon.trace?.messages(callId)) ?? [],
    inspector: get(tokens.inspector),
    rememberDrain: (node, draining) => daemon.rememberDrain(node, draining),
    diff: async path => {
      const plan = await get(tokens.planner).plan(path);
      return { ...plan, untaken: stillAsked(daemon.untaken, plan.changes).map(({ trouble }) => trouble) };
    },
    reload: progress => daemon.reload(progress),
    down: progress => daemon.down(progress),
  });
}
