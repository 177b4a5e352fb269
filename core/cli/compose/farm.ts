// The farm as it is and as it should be: states of nodes, the edge kept equal, fences, bans, restarts, reloads, the sweep.
import { Bans } from '../../farm/bans.js';
import { EdgeKeeper } from '../../farm/edge-keeper.js';
import { EdgeSync } from '../../farm/edge-sync.js';
import { EngineBook } from '../../farm/engine-book.js';
import { FarmKeeper } from '../../farm/farm-keeper.js';
import type { FarmName } from '../../farm/farm-plan.js';
import { Fences } from '../../farm/fences.js';
import { KnownProcesses } from '../../farm/known-processes.js';
import { NodeStates } from '../../farm/node-states.js';
import { ReloadPlanner } from '../../farm/reload-planner.js';
import { LoopLag } from '../../overload/loop-lag.js';
import { Overload } from '../../overload/overload.js';
import { recoveryPolicy } from '../../plugin-api.js';
import type { AsteriskListener, AriSnapshot } from '../../ports/asterisk.js';
import { RegistrarKeeper } from '../../registrations/registrar-keeper.js';
import { Sentinel } from '../../sentinel/sentinel.js';
import { asteriskPlace } from '../../sweep/asterisk-place.js';
import { enginePlace } from '../../sweep/engine-place.js';
import { conferencePlace, dialogPlace } from '../../sweep/record-places.js';
import { Sweep, type SweptPlace } from '../../sweep/sweep.js';
import { recordsGoTo } from './accounts.js';
import type { Get, Given, Make } from './graph.js';
import { settingsUnder, tryPlugins } from './plugins.js';
import { nodeDied } from './recovery.js';
import { renderersOf } from './renderers.js';
import { tokens } from './tokens.js';

export function wireFarm(given: Given, make: Make): void {
  const { live, log, store } = given;
  make(tokens.states, () => new NodeStates(log));
  make(tokens.known, get => new KnownProcesses(store, get(tokens.host), get(tokens.states), log));
  make(tokens.book, () => new EngineBook(store));
  make(tokens.fences, get => new Fences(store, get(tokens.balancer), get(tokens.host), log));
  make(tokens.bans, get => new Bans({ edge: get(tokens.edge), instances: kamailiosUp(get), store, log }));
  make(tokens.overload, get => {
    const states = get(tokens.states);
    const alive = (farm: FarmName): readonly string[] =>
      states.nodes(farm).flatMap(({ name }) => (states.state(name) === 'dead' ? [] : [name]));
    return new Overload({
      edge: get(tokens.edge),
      // One that is suspect may be so as it has too much to do.
      instances: () => alive('kamailio'),
      nodes: () => alive('call'),
      delayOf: node => get(tokens.asterisks).node(node).requestDelay(),
      isRecovering: () => get(tokens.recoveries).isAtWork(Date.now()),
      config: () => live.config.overload,
      lag: new LoopLag(),
      log,
    });
  });
  make(tokens.sync, get => {
    const plugins = get(tokens.plugins);
    return new EdgeSync({
      edge: get(tokens.edge),
      states: get(tokens.states),
      book: get(tokens.book),
      balancer: get(tokens.balancer),
      fenced: () => get(tokens.fences).list(),
      settings: () => settingsUnder(live.config, plugins),
      hosts: () => get(tokens.names).rows(),
      unanswered: () => get(tokens.engine).book.unanswered(),
      log,
    });
  });
  make(tokens.keeper, get => farmKeeper(given, get));
  make(tokens.planner, get => reloadPlanner(given, get));
}

/** Names of the Kamailios that are up now. */
function kamailiosUp(get: Get): () => readonly string[] {
  const states = get(tokens.states);
  return () => states.up('kamailio').map(({ name }) => name);
}

function farmKeeper({ live, log }: Given, get: Get): FarmKeeper {
  const [engine, sync, states, plugins] = [
    get(tokens.engine),
    get(tokens.sync),
    get(tokens.states),
    get(tokens.plugins),
  ];
  states.onChange('plugins', ({ node: { name: node }, from, to, reason }) => {
    get(tokens.eventLog).append('node.changed', { node, from, to, reason });
    plugins.emit('node.changed', { node, from, to, reason });
  });
  engine.onArrival((node, sipCallId) => sync.arrived(node, sipCallId));
  return new FarmKeeper({
    host: get(tokens.host),
    renderers: get(tokens.renderers),
    states,
    sync,
    edge: new EdgeKeeper({
      sync,
      moved: get(tokens.movedPhones),
      trusted: get(tokens.trustedPhones),
      states,
      log,
    }),
    registrars: new RegistrarKeeper({
      host: get(tokens.host),
      renderer: get(tokens.renderers).registrar,
      asterisks: get(tokens.asterisks),
      states,
      isSynced: name => get(tokens.copies).isSynced(name),
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
    listener: node => listenerOf(get, node),
    lostNode: death => void nodeDied(get, live, death),
    lostMedia: death => get(tokens.mediaRecovery).noting(death),
    mayRestart: node => get(tokens.recoveries).mayRestart(node),
    wasUp: node => get(tokens.known).wasUp(node),
    callsOn: node => engine.book.withLegsOn(node).length,
  });
}

/** Who hears what an Asterisk tells; what was under way on it is taken up when it is connected. */
function listenerOf(get: Get, node: string): AsteriskListener {
  const farm = get(tokens.states).node(node)?.farm;
  if (farm === 'registrar') return get(tokens.copies).listener(node);
  const calls = get(tokens.engine).listener(node);
  const connected = (snapshot: AriSnapshot): void => {
    calls.connected(snapshot);
    void get(tokens.recoveries).nodeConnected(node, snapshot);
    get(tokens.recordings).takeUp(node);
    get(tokens.callRecordings).takeUp(node);
    if (farm === 'call') void get(tokens.dialogs).fill(node);
  };
  return { ...calls, connected };
}

/** Everywhere that something may be left, as far as it can be looked at now. */
function sweptPlaces(get: Get): SweptPlace[] {
  const [engine, conferences, states] = [get(tokens.engine), get(tokens.conferences), get(tokens.states)];
  const callIds = (): ReadonlySet<string> | undefined => engine.book.sipCallIds();
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
          const legs = engine.book.keptLegsOn(node).map(leg => leg.id);
          const listeners = get(tokens.callRecordings).listenersOn(node);
          return { bridges, channels: new Set([...legs, ...innerLegs, ...listeners]), dialled: farEnds };
        },
        settledLegs: () => engine.book.liveLegsOn(node).flatMap(leg => (engine.book.isUnderWay(leg) ? [] : [leg.id])),
        legGone: legId => engine.legGone(legId),
        endBridge: bridgeId => conferences.endBridge(node, bridgeId),
      }),
    ),
    conferencePlace(conferences, callId => engine.book.record(callId) !== undefined),
    dialogPlace(get(tokens.dialogs), callIds),
  ];
}

function reloadPlanner({ live, secrets, stateFolder, reloadConfig }: Given, get: Get): ReloadPlanner {
  return new ReloadPlanner({
    live: () => live,
    loadConfig: reloadConfig,
    tryOut: async next => {
      recordsGoTo(stateFolder, next);
      await get(tokens.certificates).tryOut(next);
      return tryPlugins(live.config, next, get(tokens.plugins));
    },
    renderers: (config, state) =>
      renderersOf(
        { live: { config, plan: config.farm.plan }, secrets },
        () => state,
        () => get(tokens.certificates).current,
      ),
    host: get(tokens.host),
    edgeState: () => get(tokens.sync).state(),
  });
}
