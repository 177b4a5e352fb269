// The one file that wires everything: which class gets which, for a daemon, a check, a rendering or a demo.
import 'reflect-metadata';
import { join } from 'node:path';
import { container, instanceCachingFactory, type DependencyContainer, type InjectionToken } from 'tsyringe';
import { AriFarm } from '../../asterisk/asterisk-farm.js';
import { asteriskPrefix } from '../../asterisk/asterisk-prefix.js';
import { AsteriskRenderer } from '../../asterisk/asterisk-renderer.js';
import { KamailioFarm } from '../../kamailio/edge-farm.js';
import type { EdgeSecrets } from '../../kamailio/edge-model.js';
import { KamailioRenderer } from '../../kamailio/kamailio-renderer.js';
import { EnginePool } from '../../rtpengine/node-pool.js';
import { EngineRenderer } from '../../rtpengine/rtpengine-process.js';
import { CallEngine } from '../calls/call-engine.js';
import type { PassingRules } from '../calls/passed-headers.js';
import { StasisArrivals } from '../calls/stasis-arrivals.js';
import { callRecordSchema } from '../calls/call-record.js';
import { CallRecords, type RecordDestinations } from '../cdr/call-records.js';
import { plainRoom } from '../conferences/conference-record.js';
import { Conferences } from '../conferences/conferences.js';
import { recordingFolder } from '../conferences/recording-folder.js';
import { Recordings } from '../conferences/recordings.js';
import { RoomSounds } from '../conferences/room-sounds.js';
import { Rooms } from '../conferences/rooms.js';
import type { HoldfastConfig } from '../config/holdfast-config.js';
import { loadConfig } from '../config/load-config.js';
import { ControlServer } from '../control/control-server.js';
import { daemonOperations } from '../control/daemon-operations.js';
import { Daemon, type LiveConfig } from '../daemon.js';
import { CallInspector } from '../inspect/call-inspector.js';
import { FlowNotices } from '../flows/flow-notices.js';
import { Flows } from '../flows/flows.js';
import { httpExchange } from '../flows/http-exchange.js';
import { soundPath } from '../flows/sounds.js';
import { callEvents, callStarted, roomEvents, type NewEvent } from '../events/event-facts.js';
import { EventLog } from '../events/event-log.js';
import { EventStream } from '../events/event-stream.js';
import { banOperations } from '../control/ban-operations.js';
import { Bans } from '../farm/bans.js';
import { edgeSettings } from '../farm/edge-settings.js';
import { EdgeKeeper } from '../farm/edge-keeper.js';
import { EdgeSync, type EdgeSettings } from '../farm/edge-sync.js';
import { EngineBook } from '../farm/engine-book.js';
import { FarmKeeper } from '../farm/farm-keeper.js';
import { keepIdentity } from '../farm/farm-identity.js';
import { makePrivateFolder, renderFiles, untouchedState, writeRendering } from '../farm/farm-rendering.js';
import { ports, type FarmName, type FarmNode, type FarmPlan } from '../farm/farm-plan.js';
import { FarmSecrets } from '../farm/farm-secrets.js';
import { ReloadPlanner, type TrialSettings } from '../farm/reload-planner.js';
import { KnownProcesses } from '../farm/known-processes.js';
import { NodeStates } from '../farm/node-states.js';
import { PhoneTrust } from '../farm/phone-trust.js';
import { Fences } from '../farm/fences.js';
import { checkAddresses, nodeAddresses, planAddresses } from '../host/address-check.js';
import { LocalHost } from '../host/local-host.js';
import { NftBalancer } from '../host/nft-balancer.js';
import { makeStateFolder, pathBelow, statePaths } from '../host/state-folder.js';
import { DialogBook } from '../ledger/dialog-book.js';
import { createLogger, silentLogger, type RootLogger } from '../log.js';
import {
  bindings as bindingsToken,
  recoveryPolicy,
  roomControl,
  traceSource,
  transcodingPolicies,
  trunkGateways,
} from '../plugin-api.js';
import { Bindings } from '../registrations/bindings.js';
import { KeepAlive } from '../registrations/keep-alive.js';
import { RegistrarCopies } from '../registrations/registrar-copies.js';
import { RegistrarKeeper } from '../registrations/registrar-keeper.js';
import { Metrics } from '../metrics/metrics.js';
import { PluginHost, type FlowSurroundings } from '../plugins/plugin-host.js';
import type { AriSnapshot } from '../ports/asterisk.js';
import type { NodeRenderer } from '../ports/node-host.js';
import { dialogSource } from '../recovery/dialog-source.js';
import { MediaRecovery } from '../recovery/media-recovery.js';
import { Recoveries } from '../recovery/recoveries.js';
import type { NodeDeath } from '../recovery/recovery-ports.js';
import type { TracedFarm } from '../recovery/traced-dialogs.js';
import { StandIn } from '../recovery/stand-in.js';
import { Sentinel } from '../sentinel/sentinel.js';
import { asteriskPlace } from '../sweep/asterisk-place.js';
import { enginePlace } from '../sweep/engine-place.js';
import { conferencePlace, dialogPlace } from '../sweep/record-places.js';
import { Sweep, type SweptPlace } from '../sweep/sweep.js';
import { openLmdbStore } from '../store/lmdb-store.js';
import type { Store } from '../store/store.js';
import { traceFarmOf } from '../trace/trace-farm.js';
import { Trace } from '../trace/trace.js';
import { Admission } from '../trunks/admission.js';
import { OptionsProbe } from '../trunks/options-probe.js';
import { SilentGateways } from '../trunks/silent-gateways.js';
import { TrunkGateways } from '../trunks/trunk-gateways.js';
import { admissionRules, trunkCallers } from '../trunks/trunk-rules.js';
import { trunkStatuses } from '../trunks/trunk-statuses.js';
import type {
  ConfigSummary,
  DemoOptions,
  DemoReport,
  FarmPlace,
  RecoveryDemoReport,
  RenderOptions,
  RunningDaemon,
} from './composition.js';

/** What is given from outside the graph. */
interface Given {
  readonly live: LiveConfig;
  readonly stateFolder: string;
  readonly secrets: FarmSecrets;
  readonly log: RootLogger;
  readonly store: Store;
  /** The daemon's config file anew, or another one. */
  readonly reloadConfig: (path?: string) => HoldfastConfig;
}

const token = <T>(name: string): InjectionToken<T> => Symbol(name);

const tokens = {
  given: token<Given>('given'),
  host: token<LocalHost>('host'),
  balancer: token<NftBalancer>('balancer'),
  states: token<NodeStates>('states'),
  book: token<EngineBook>('book'),
  plugins: token<PluginHost>('plugins'),
  edge: token<KamailioFarm>('edge'),
  media: token<EnginePool>('media'),
  asterisks: token<AriFarm>('asterisks'),
  renderers: token<Readonly<Record<FarmName, NodeRenderer>>>('renderers'),
  fences: token<Fences>('fences'),
  sync: token<EdgeSync>('sync'),
  arrivals: token<StasisArrivals>('arrivals'),
  conferences: token<Conferences>('conferences'),
  admission: token<Admission>('admission'),
  rooms: token<Rooms>('rooms'),
  eventLog: token<EventLog>('event log'),
  recordings: token<Recordings>('recordings'),
  bans: token<Bans>('bans'),
  trust: token<PhoneTrust>('trust in phones'),
  probe: token<OptionsProbe>('probe of gateways'),
  gateways: token<TrunkGateways>('gateways'),
  silentGateways: token<SilentGateways>('silent gateways'),
  engine: token<CallEngine>('engine'),
  standIn: token<StandIn>('stand-in'),
  keepAlive: token<KeepAlive>('keep-alive'),
  recoveries: token<Recoveries>('recoveries'),
  mediaRecovery: token<MediaRecovery>('media recovery'),
  known: token<KnownProcesses>('known'),
  dialogs: token<DialogBook>('dialogs'),
  keeper: token<FarmKeeper>('keeper'),
  bindings: token<Bindings>('bindings'),
  copies: token<RegistrarCopies>('registrar copies'),
  cdr: token<CallRecords>('cdr'),
  notices: token<FlowNotices>('flow notices'),
  inspector: token<CallInspector>('inspector'),
  metrics: token<Metrics>('metrics'),
  daemon: token<Daemon>('daemon'),
  planner: token<ReloadPlanner>('reload planner'),
};

/** Registers a factory for each part: a wrong dependency is a compile error, and no class sees the container. */
function wire(given: Given): DependencyContainer {
  const graph = container.createChildContainer();
  const make = <T>(key: InjectionToken<T>, factory: (get: Get) => T): void => {
    graph.register(key, { useFactory: instanceCachingFactory(from => factory(key => from.resolve(key))) });
  };
  graph.register(tokens.given, { useValue: given });
  wireFarm(given, make);
  wireCalls(given, make);
  return graph;
}

type Get = <D>(key: InjectionToken<D>) => D;
type Make = <T>(key: InjectionToken<T>, factory: (get: Get) => T) => void;

function wireFarm(given: Given, make: Make): void {
  const { live, log, store, secrets, stateFolder } = given;
  make(tokens.host, () => new LocalHost(stateFolder));
  make(tokens.balancer, () => new NftBalancer(live.plan));
  make(tokens.states, () => new NodeStates(log));
  make(tokens.known, get => new KnownProcesses(store, get(tokens.host), get(tokens.states), log));
  make(tokens.book, () => new EngineBook(store));
  make(tokens.bindings, () => new Bindings({ store, log }));
  make(tokens.copies, get => {
    const [bindings, asterisks] = [get(tokens.bindings), get(tokens.asterisks)];
    const subscribers = (): readonly string[] => live.config.subscribers.map(({ name }) => name);
    const presumedSeconds = (): number => live.config.registration.defaultSeconds;
    return new RegistrarCopies({ store, bindings, asterisks, subscribers, presumedSeconds, log });
  });
  const kamailios = (get: Get) => (): readonly string[] =>
    get(tokens.states)
      .up('kamailio')
      .map(({ name }) => name);
  make(tokens.bans, get => new Bans({ edge: get(tokens.edge), instances: kamailios(get), store, log }));
  make(tokens.trust, get => {
    const [edge, states] = [get(tokens.edge), get(tokens.states)];
    const trust = new PhoneTrust({ edge, instances: kamailios(get), bindings: () => get(tokens.bindings).list() });
    states.onChange('trust in phones', ({ node, to }) => {
      if (node.farm === 'kamailio' && to !== 'up') trust.forget(node.name);
    });
    return trust;
  });
  make(tokens.probe, () => {
    const { daemonAddress: address, privateVip } = live.plan;
    return new OptionsProbe({ address, privateVip, domain: () => live.config.domain, log });
  });
  make(tokens.gateways, get => {
    const probe = get(tokens.probe);
    return new TrunkGateways({ trunks: () => live.config.trunks, ask: gateway => probe.ask(gateway), log });
  });
  make(tokens.plugins, get => {
    const services = new Map<string, unknown>([
      [bindingsToken.name, get(tokens.bindings)],
      [roomControl.name, get(tokens.rooms)],
      [trunkGateways.name, get(tokens.gateways)],
    ]);
    const admit: FlowSurroundings['admit'] = (call, steps) => get(tokens.admission).connected(call, steps);
    return new PluginHost({
      log,
      services,
      flowServices: {
        exchange: httpExchange(),
        notify: (name, notice) => get(tokens.notices).add(name, notice),
        admit,
      },
    });
  });
  make(tokens.fences, get => new Fences(store, get(tokens.balancer), get(tokens.host), log));
  make(tokens.media, () => new EnginePool(live.plan.nodes, { localAddress: live.plan.daemonAddress }));
  make(tokens.asterisks, get => {
    const addressOf = (name: string): string => get(tokens.states).node(name)?.address ?? addressIn(live.plan, name);
    return new AriFarm({ addressOf, passwordOf: node => secrets.derive(`ari ${node}`), log });
  });
  make(tokens.edge, get => {
    const states = get(tokens.states);
    return new KamailioFarm({
      instances: () => states.nodes('kamailio'),
      addressOf: name => states.node(name)?.address,
      daemonAddress: live.plan.daemonAddress,
      secrets: edgeSecrets(secrets),
      writeFiles: (node, files, user) => get(tokens.host).writeFiles(node, files, user),
    });
  });
  make(tokens.renderers, get => renderersOf(given, () => get(tokens.sync).state()));
  make(tokens.sync, get => {
    const plugins = get(tokens.plugins);
    return new EdgeSync({
      edge: get(tokens.edge),
      states: get(tokens.states),
      book: get(tokens.book),
      balancer: get(tokens.balancer),
      fenced: () => get(tokens.fences).list(),
      settings: () => settingsUnder(live.config, plugins),
      unanswered: () => get(tokens.engine).allUnanswered(),
      log,
    });
  });
}

function wireCalls(given: Given, make: Make): void {
  const { live, log, store, stateFolder } = given;
  make(tokens.eventLog, () => new EventLog(store, log));
  make(tokens.arrivals, () => new StasisArrivals());
  make(tokens.conferences, get => {
    const plugins = get(tokens.plugins);
    const conferences = new Conferences({
      store,
      asterisks: get(tokens.asterisks),
      nodes: get(tokens.states),
      arrivals: get(tokens.arrivals),
      log,
      patienceMs: () => plugins.service(recoveryPolicy)?.patienceMs ?? 0,
      place: async conference => (await plugins.ask('place', conference)) ?? { mixing: 'call-node' },
      writes: (before, after) =>
        roomEvents(before, after).map(({ type, facts }) => get(tokens.eventLog).putting(type, facts)),
      policyOf: async room => ({ ...plainRoom, ...(await plugins.ask('room', { room })) }),
      events: {
        created: facts => plugins.emit('conference.created', facts),
        ended: facts => plugins.emit('conference.ended', facts),
      },
    });
    const sounds = new RoomSounds({
      asterisks: get(tokens.asterisks),
      log,
      ownSound: (node, name) => `sound:${get(tokens.host).folder(node)}/sounds/${name}`,
    });
    conferences.onChange((before, after) => sounds.changed(before, after));
    return conferences;
  });
  make(
    tokens.admission,
    get => new Admission({ rules: () => admissionRules(live.config), calls: () => get(tokens.engine).list() }),
  );
  make(
    tokens.rooms,
    get => new Rooms({ conferences: () => get(tokens.conferences), recordings: () => get(tokens.recordings) }),
  );
  make(tokens.recordings, get => recordings(given, get));
  make(tokens.silentGateways, get => {
    const trace = (): Trace | undefined => get(tokens.daemon).trace;
    return new SilentGateways({
      patienceMs: trunk => live.config.trunks.find(({ name }) => name === trunk)?.silentMs,
      record: callId => get(tokens.engine).record(callId),
      heard: async ({ id, sipCallId }) => {
        const callId = sipCallId ?? trace()?.callIdOfLeg(id);
        const messages = callId === undefined ? undefined : await trace()?.messages(callId);
        return messages?.some(({ status }) => status !== null);
      },
      tell: (callId, event) => get(tokens.engine).tell(callId, event),
      failed: gateway => get(tokens.gateways).callFailed(gateway),
    });
  });
  make(tokens.engine, get => callEngine(given, get));
  make(
    tokens.dialogs,
    get => new DialogBook({ store, asterisks: get(tokens.asterisks), calls: () => get(tokens.engine).list(), log }),
  );
  make(tokens.standIn, () => {
    const { daemonAddress: address, privateVip } = live.plan;
    return new StandIn({ address, privateVip, log });
  });
  make(tokens.keepAlive, get => {
    const { daemonAddress: address, privateVip } = live.plan;
    return new KeepAlive({
      ...{ address, privateVip, log, domain: live.config.domain },
      bindings: () => get(tokens.bindings).list(),
      everySeconds: () => live.config.registration.keepAliveSeconds,
    });
  });
  make(tokens.recoveries, get => recoveries(given, get));
  make(tokens.mediaRecovery, get => mediaRecovery(given, get));
  make(tokens.keeper, get => {
    const engine = get(tokens.engine);
    const sync = get(tokens.sync);
    const states = get(tokens.states);
    const copies = get(tokens.copies);
    const plugins = get(tokens.plugins);
    states.onChange('plugins', ({ node: { name: node }, from, to, reason }) => {
      get(tokens.eventLog).append('node.changed', { node, from, to, reason });
      plugins.emit('node.changed', { node, from, to, reason });
    });
    engine.onArrival((node, sipCallId) => sync.arrived(node, sipCallId));
    return new FarmKeeper({
      host: get(tokens.host),
      renderers: get(tokens.renderers),
      states: get(tokens.states),
      sync,
      edge: new EdgeKeeper({ sync, states, log }),
      registrars: new RegistrarKeeper({
        host: get(tokens.host),
        renderer: get(tokens.renderers).registrar,
        asterisks: get(tokens.asterisks),
        states,
        isSynced: name => copies.isSynced(name),
        log,
      }),
      bindings: get(tokens.bindings),
      asterisks: get(tokens.asterisks),
      book: get(tokens.book),
      sweep: new Sweep({
        places: () => sweptPlaces(get),
        graceMs: () => live.config.limits.strayGraceSeconds * 1000,
        log,
      }),
      sentinel: onVerdict => new Sentinel({ address: live.plan.daemonAddress, log, onVerdict }),
      fences: get(tokens.fences),
      deathPolicy: () => plugins.service(recoveryPolicy) ?? { silenceMs: 1_000, killFrozen: true },
      log,
      listener: node => {
        if (states.node(node)?.farm === 'registrar') return copies.listener(node);
        const calls = engine.listener(node);
        const connected = (snapshot: AriSnapshot): void => {
          calls.connected(snapshot);
          void get(tokens.recoveries).nodeConnected(node, snapshot);
          get(tokens.recordings).takeUp(node);
          if (states.node(node)?.farm === 'call') void get(tokens.dialogs).fill(node);
        };
        return { ...calls, connected };
      },
      lostNode: death => void nodeDied(get, live, death),
      mayRestart: node => get(tokens.recoveries).mayRestart(node),
      callsOn: node => engine.callsOn(node),
    });
  });
  const recordsGoTo = ({ cdr: { file, webhook } }: HoldfastConfig): RecordDestinations => ({
    file: pathBelow(stateFolder, file),
    ...(webhook === undefined ? {} : { webhook }),
  });
  make(tokens.planner, get => reloadPlanner(given, get));
  make(tokens.notices, () => new FlowNotices({ store, log }));
  make(tokens.cdr, () => new CallRecords({ store, log, ...recordsGoTo(live.config) }));
  make(tokens.inspector, get => inspector(given, get));
  make(tokens.metrics, get => metrics(given, get));
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
        recoveries: get(tokens.recoveries),
        recordings: get(tokens.recordings),
        eventLog: get(tokens.eventLog),
        eventStream: new EventStream(get(tokens.eventLog), statePaths(stateFolder).eventSocket),
        mediaRecovery: get(tokens.mediaRecovery),
        standIn: get(tokens.standIn),
        keepAlive: get(tokens.keepAlive),
        bans: get(tokens.bans),
        trust: get(tokens.trust),
        probe: get(tokens.probe),
        gateways: get(tokens.gateways),
        host: get(tokens.host),
        known: get(tokens.known),
        dialogs: get(tokens.dialogs),
        nodeDied: death => nodeDied(get, live, death),
        bindings: get(tokens.bindings),
        copies: get(tokens.copies),
        metrics: get(tokens.metrics),
        balancer: get(tokens.balancer),
        openTrace: () => openTrace(given),
        checkAddresses: () => checkFreeAddresses(live.plan, get(tokens.host)),
        setNodes: plan => get(tokens.media).setNodes(plan.nodes),
        loadConfig: () => given.reloadConfig(),
        recordsGoTo,
      }),
  );
}

/** Everywhere that something may be left, as far as it can be looked at now. */
function sweptPlaces(get: Get): SweptPlace[] {
  const [engine, conferences, states] = [get(tokens.engine), get(tokens.conferences), get(tokens.states)];
  const callIds = (): ReadonlySet<string> | undefined => engine.sipCallIds();
  const asterisks = [...states.nodes('call'), ...states.nodes('conference')]
    .filter(({ name }) => states.state(name) !== 'dead')
    .map(({ name }) => get(tokens.asterisks).node(name))
    .filter(node => node.connected);
  return [
    ...states.up('rtpengine').map(({ name }) => enginePlace(name, get(tokens.media), callIds)),
    ...asterisks.map(({ name: node, ari }) =>
      asteriskPlace({
        node,
        ari,
        holdings: () => {
          const { bridges, innerLegs, farEnds } = conferences.holdings(node);
          const legs = engine.liveLegsOn(node).map(leg => leg.id);
          return { bridges, channels: new Set([...legs, ...innerLegs]), dialled: farEnds };
        },
        settledLegs: () => engine.liveLegsOn(node).flatMap(leg => (engine.isUnderWay(leg) ? [] : [leg.id])),
        legGone: legId => engine.legGone(legId),
        endBridge: bridgeId => conferences.endBridge(node, bridgeId),
      }),
    ),
    conferencePlace(conferences, callId => engine.record(callId) !== undefined),
    dialogPlace(get(tokens.dialogs), callIds),
  ];
}

function reloadPlanner({ live, secrets, reloadConfig }: Given, get: Get): ReloadPlanner {
  return new ReloadPlanner({
    live: () => live,
    loadConfig: reloadConfig,
    tryPlugins: next => tryPlugins(live.config, next, get(tokens.plugins)),
    renderers: (config, state) => renderersOf({ live: { config, plan: config.farm.plan }, secrets }, () => state),
    host: get(tokens.host),
    edgeState: () => get(tokens.sync).state(),
  });
}

function settingsUnder(config: HoldfastConfig, plugins: PluginHost): EdgeSettings {
  return edgeSettings(config, plugins.service(transcodingPolicies), plugins.answers('refer'));
}

/** Plugins beside those that run, as a reload has them for a moment too; these are asked nothing and told nothing. */
async function tryPlugins(running: HoldfastConfig, next: HoldfastConfig, plugins: PluginHost): Promise<TrialSettings> {
  const trial = new PluginHost({ log: silentLogger });
  await trial.start(next);
  try {
    const providers = [plugins, trial].map(host => host.providerOf(transcodingPolicies));
    return {
      settings: settingsUnder(next, trial),
      underNew: settingsUnder(running, trial),
      providers: providers.filter(name => name !== undefined),
    };
  } finally {
    await trial.stop();
  }
}

function callEngine({ live, store, log }: Given, get: Get): CallEngine {
  const plugins = get(tokens.plugins);
  const admission = get(tokens.admission);
  const calls = store.table('calls', callRecordSchema);
  const tell = ({ type, facts }: NewEvent): void => get(tokens.eventLog).append(type, facts);
  return new CallEngine({
    store,
    asterisks: get(tokens.asterisks),
    nodes: get(tokens.states),
    conferences: get(tokens.conferences),
    arrivals: get(tokens.arrivals),
    hasCredentials: hasCredentials(live),
    log,
    passing: () => passingRules(live),
    limits: () => live.config.limits,
    flows: new Flows({
      actions: () => plugins.actions,
      named: () => plugins.flows,
      soundUri: name => `sound:${soundPath(name, live.config.sounds)}`,
    }),
    abandon: legId => get(tokens.recoveries).abandon(legId),
    askRoute: async call => {
      const answer = await plugins.ask('route', call, call.id);
      // Its caller may have hung up meanwhile: it is none to be counted.
      return get(tokens.engine).record(call.id) === undefined ? undefined : admission.admit(call, answer);
    },
    askDial: async leg => {
      const answers = await plugins.askAll('dial', leg, leg.call.id);
      return admission.dial(leg) ?? answers;
    },
    askRedirect: async redirection =>
      admission.redirected(redirection, await plugins.ask('redirect', redirection, redirection.call.id)),
    askRefer: async referral => admission.referred(referral, await plugins.ask('refer', referral, referral.call.id)),
    askEnter: entry => plugins.ask('enter', entry, entry.call.id),
    policyFor: leg => plugins.service(transcodingPolicies)?.policyFor(leg),
    sipCallIdOf: legId => get(tokens.daemon).sipCallIdOf(legId),
    events: {
      started: call => {
        get(tokens.metrics).calls.started();
        tell(callStarted(call));
        plugins.emit('call.started', call);
      },
      changed: (before, after) => {
        get(tokens.silentGateways).changed(before, after);
        get(tokens.metrics).calls.changed(before, after, Date.now());
        callEvents(before, after).forEach(tell);
      },
      answered: call => plugins.emit('call.answered', call),
      ended: record => {
        admission.forget(record.callId);
        get(tokens.inspector).noteEnded(record);
        get(tokens.metrics).calls.ended(record);
        plugins.emit('call.ended', record);
      },
    },
    finish: async (call, record) => {
      const ended = get(tokens.eventLog).putting('call.ended', { call: call.id, record });
      await store.transaction([calls.deleting(call.id), ...get(tokens.cdr).writes(record), ended]);
    },
  });
}

function inspector({ live, stateFolder }: Given, get: Get): CallInspector {
  const trace = (): Trace | undefined => get(tokens.daemon).trace;
  return new CallInspector({
    calls: () => get(tokens.engine).list(),
    sipCallIdOf: legId => get(tokens.daemon).sipCallIdOf(legId),
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

function metrics({ live, log, store, stateFolder }: Given, get: Get): Metrics {
  const states = get(tokens.states);
  return new Metrics({
    store,
    log,
    socketPath: socket => pathBelow(stateFolder, socket),
    nodes: () => states.nodes(),
    stateOf: node => states.state(node),
    calls: () => get(tokens.engine).list(),
    trunks: () => trunkStatuses(live.config.trunks, get(tokens.engine).list(), get(tokens.gateways)),
    conferences: () => get(tokens.conferences).list(),
    edgeCounters: node => get(tokens.edge).counters(node),
    engineSessions: async node => (await get(tokens.media).statistics(node)).sessions,
    recoveries: () => get(tokens.recoveries).list(),
    trace: async () => get(tokens.daemon).trace?.counters(),
    records: get(tokens.cdr),
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

function hasCredentials(live: LiveConfig): (trunk: string) => boolean {
  return name => live.config.trunks.some(one => one.name === name && one.credentials !== undefined);
}

function passingRules({ config }: LiveConfig): PassingRules {
  const trusted = new Set(config.trunks.filter(trunk => trunk.trusted).map(trunk => trunk.name));
  const callersOf = trunkCallers(config);
  return { headers: config.passHeaders, domain: config.domain, trusts: trunk => trusted.has(trunk), callersOf };
}

async function nodeDied(get: Get, { plan }: LiveConfig, death: NodeDeath): Promise<void> {
  const farm = (get(tokens.states).node(death.node) ?? plan.nodes.find(node => node.name === death.node))?.farm;
  if (farm === 'call') await get(tokens.recoveries).nodeDied(death);
  if (farm === 'conference') await get(tokens.recoveries).conferenceNodeDied(death);
  if (farm === 'rtpengine') await get(tokens.mediaRecovery).engineDied(death);
}

function recordings({ live, store, stateFolder, log }: Given, get: Get): Recordings {
  const conferences = get(tokens.conferences);
  const made = new Recordings({
    store,
    asterisks: get(tokens.asterisks),
    folder: recordingFolder(get(tokens.host), () => pathBelow(stateFolder, live.config.recordings)),
    conference: id => conferences.get(id),
    told: (type, { id: recording, conference, room }) =>
      get(tokens.eventLog).append(`recording.${type}`, { recording, conference, room }),
    log,
  });
  conferences.onChange((before, after) => made.changed(before, after));
  return made;
}

function mediaRecovery({ store, log }: Given, get: Get): MediaRecovery {
  const [plugins, sync, states] = [get(tokens.plugins), get(tokens.sync), get(tokens.states)];
  const media = new MediaRecovery({
    store,
    engine: get(tokens.engine),
    nodes: states,
    asterisks: get(tokens.asterisks),
    ledger: () => get(tokens.daemon).trace,
    serving: () => get(tokens.book).serving(),
    incarnations: () => sync.state().engines,
    applyEdge: reason => sync.apply(reason),
    patienceMs: () => plugins.service(recoveryPolicy)?.patienceMs ?? 0,
    done: record => void get(tokens.recoveries).note(record),
    log,
  });
  states.onChange('media recovery', ({ node, to }) => {
    if (node.farm === 'rtpengine' && to === 'up') media.note();
  });
  return media;
}

function recoveries({ live, store, log }: Given, get: Get): Recoveries {
  const plugins = get(tokens.plugins);
  return new Recoveries({
    store,
    engine: get(tokens.engine),
    conferences: get(tokens.conferences),
    nodes: get(tokens.states),
    asterisks: get(tokens.asterisks),
    source: dialogSource({
      ledger: () => get(tokens.daemon).trace,
      traceSource: () => plugins.service(recoveryPolicy)?.traceSource ?? plugins.service(traceSource),
      farm: () => tracedFarm(live),
      tracedOnly: () => plugins.service(recoveryPolicy)?.source === 'trace-source',
      log,
    }),
    standIn: get(tokens.standIn),
    log,
    policy: () => plugins.service(recoveryPolicy),
    isEmergency: call => get(tokens.admission).isEmergencyCall(call),
    askRecover: call => plugins.ask('recover', call, call.id),
    hasCredentials: hasCredentials(live),
    done: facts => {
      get(tokens.eventLog).append('recovery.done', { ...facts });
      plugins.emit('recovery.done', facts);
    },
  });
}

function tracedFarm({ plan }: LiveConfig): TracedFarm {
  const { asterisks } = traceFarmOf(plan);
  return {
    nodeOf: end => asterisks[end.replace(/:\d+$/, '')],
    publicVip: `${plan.publicVip}:${ports.sip}`,
    privateVip: `${plan.privateVip}:${ports.sip}`,
  };
}

function renderersOf(
  { live, secrets }: Pick<Given, 'live' | 'secrets'>,
  state: () => ReturnType<EdgeSync['state']>,
): Readonly<Record<FarmName, NodeRenderer>> {
  const asterisk = new AsteriskRenderer({
    plan: () => live.plan,
    prefix: asteriskPrefix(),
    domain: () => live.config.domain,
    ariPassword: node => secrets.derive(`ari ${node}`),
    subscribers: () => edgeSettings(live.config).subscribers,
    rtpTimeout: () => ({
      seconds: live.config.limits.rtpTimeoutSeconds,
      onHoldSeconds: live.config.limits.rtpTimeoutOnHoldSeconds,
    }),
    registration: () => live.config.registration,
    trunks: () =>
      live.config.trunks.flatMap(({ name, credentials }) => (credentials ? [{ name, ...credentials }] : [])),
  });
  return {
    call: asterisk,
    conference: asterisk,
    registrar: asterisk,
    rtpengine: new EngineRenderer(),
    kamailio: new KamailioRenderer({
      plan: () => live.plan,
      domain: () => live.config.domain,
      leastExpiresSeconds: () => live.config.registration.minSeconds,
      homer: () => live.config.farm.homer,
      secrets: edgeSecrets(secrets),
      state,
    }),
  };
}

function edgeSecrets(secrets: FarmSecrets): EdgeSecrets {
  return {
    routeKeys: { current: 'k1', keys: { k1: secrets.derive('route k1') } },
    maskKey: secrets.derive('topology mask'),
    nonceSecret: secrets.derive('digest nonce'),
    hepKey: secrets.derive('hep'),
  };
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

/** Addresses of nodes that run already are ours. */
function checkFreeAddresses(plan: FarmPlan, host: LocalHost): void {
  const missing = plan.nodes.filter(node => !host.process(node.name));
  checkAddresses([...planAddresses(plan), ...nodeAddresses(missing)]);
}

function addressIn(plan: FarmPlan, name: string): string {
  return plan.nodes.find(node => node.name === name)?.address ?? '0.0.0.0';
}

export async function startDaemon({ configPath, subnet, stateFolder }: FarmPlace): Promise<RunningDaemon> {
  const overrides = subnet === undefined ? {} : { subnet };
  const config = loadConfig(configPath, overrides);
  const log = createLogger({
    level: config.log.level,
    ...(config.log.file === undefined ? {} : { file: join(stateFolder, config.log.file) }),
  });
  makeStateFolder(stateFolder);
  const given: Given = {
    live: { config, plan: config.farm.plan },
    stateFolder,
    secrets: FarmSecrets.open(stateFolder),
    log,
    store: openLmdbStore(join(stateFolder, 'store'), log),
    reloadConfig: path => loadConfig(path ?? configPath, overrides),
  };
  const graph = wire(given);
  const daemon = graph.resolve(tokens.daemon);
  await keepIdentity(given.store, config, graph.resolve(tokens.host).running().length > 0);
  const startedAt = new Date().toISOString();
  const operations = daemonOperations({
    facts: () => ({ plan: given.live.plan, configPath, startedAt, ready: daemon.ready }),
    host: graph.resolve(tokens.host),
    states: graph.resolve(tokens.states),
    sync: graph.resolve(tokens.sync),
    edge: graph.resolve(tokens.edge),
    engine: graph.resolve(tokens.engine),
    conferences: graph.resolve(tokens.conferences),
    rooms: graph.resolve(tokens.rooms),
    recoveries: graph.resolve(tokens.recoveries),
    bindings: graph.resolve(tokens.bindings),
    trunks: () =>
      trunkStatuses(given.live.config.trunks, graph.resolve(tokens.engine).list(), graph.resolve(tokens.gateways)),
    bans: banOperations(graph.resolve(tokens.bans), address => {
      const { sources, allowed } = graph.resolve(tokens.sync).state();
      return allowed.includes(address) || sources.some(source => source.address === address);
    }),
    sipCallIdOf: legId => daemon.sipCallIdOf(legId),
    trace: async callId => (await daemon.trace?.messages(callId)) ?? [],
    inspector: graph.resolve(tokens.inspector),
    rememberDrain: (node, draining) => daemon.rememberDrain(node, draining),
    diff: path => graph.resolve(tokens.planner).plan(path),
    reload: progress => daemon.reload(progress),
    down: progress => daemon.down(progress),
  });
  const socketPath = statePaths(stateFolder).controlSocket;
  await daemon.start(new ControlServer({ operations, socketPath, log }));
  return {
    stopped: daemon.stopped.then(() => closeAdapters(graph)),
    reload: async () => {
      await daemon.reload(line => log.info({}, line));
    },
    close: () => daemon.close(),
  };
}

function closeAdapters(graph: DependencyContainer): void {
  graph.resolve(tokens.host).close();
  graph.resolve(tokens.edge).close();
  graph.resolve(tokens.media).close();
}

export async function checkConfig(configPath: string, subnet: string | undefined): Promise<ConfigSummary> {
  const config = loadConfig(configPath, subnet === undefined ? {} : { subnet });
  const deprecations = await new PluginHost({ log: silentLogger }).check(config);
  return {
    subnet: config.farm.subnet,
    edge: `${config.farm.plan.publicVip}:${ports.sip}`,
    nodes: config.farm.plan.nodes.map(node => node.name),
    plugins: config.plugins.map(plugin => plugin.name),
    warnings: [...config.warnings, ...deprecations],
    ...(config.farm.state === undefined ? {} : { stateFolder: config.farm.state }),
    ...(config.log.file === undefined ? {} : { logFile: config.log.file }),
  };
}

export async function renderFarm(options: RenderOptions): Promise<readonly string[]> {
  const { configPath, subnet, outFolder, keyFile, nodeFolder } = options;
  const config = loadConfig(configPath, subnet === undefined ? {} : { subnet });
  const plugins = new PluginHost({ log: silentLogger });
  await plugins.start(config);
  const settings = settingsUnder(config, plugins);
  await plugins.stop();
  const { plan } = config.farm;
  makePrivateFolder(outFolder);
  const secrets = keyFile === undefined ? FarmSecrets.open(outFolder) : FarmSecrets.read(keyFile);
  const renderers = renderersOf({ live: { config, plan }, secrets }, () => untouchedState(plan, settings));
  const files = renderFiles(plan, renderers, nodeFolder ?? outFolder);
  await writeRendering(outFolder, files);
  return files.map(({ path }) => path);
}

/** The demo's phones are those of the test kit, loaded only here. */
export async function demoCall(options: DemoOptions, print: (line: string) => void): Promise<DemoReport> {
  const kit = await import('../../test/harness/demo-call.js');
  return kit.demoCall(options, print);
}

export async function demoRecovery(options: DemoOptions, print: (line: string) => void): Promise<RecoveryDemoReport> {
  const kit = await import('../../test/harness/demo-recovery.js');
  return kit.demoRecovery(options, print);
}
