// What becomes of a dead node's sessions: the book of dialogs, legs that go on elsewhere, media, and the stand-in.
import type { LiveConfig } from '../../daemon-parts.js';
import { nodeNamed, ports } from '../../farm/farm-plan.js';
import { DialogBook } from '../../ledger/dialog-book.js';
import { recoveryPolicy, traceSource } from '../../plugin-api.js';
import { dialogSource } from '../../recovery/dialog-source.js';
import { MediaRecovery } from '../../recovery/media-recovery.js';
import { Recoveries } from '../../recovery/recoveries.js';
import type { NodeDeath } from '../../recovery/recovery-ports.js';
import { reservedCores } from '../../recovery/reserved-cores.js';
import { StandIn } from '../../recovery/stand-in.js';
import type { TracedFarm } from '../../recovery/traced-dialogs.js';
import { traceFarmOf } from '../../trace/trace-farm.js';
import type { Get, Given, Make } from './graph.js';
import { tokens } from './tokens.js';
import { hasCredentials } from './trunks.js';

export function wireRecovery(given: Given, make: Make): void {
  const { live, store, log } = given;
  make(
    tokens.dialogs,
    get =>
      new DialogBook({ store, asterisks: get(tokens.asterisks), calls: () => get(tokens.engine).book.list(), log }),
  );
  make(tokens.standIn, () => new StandIn({ address: live.plan.daemonAddress, privateVip: live.plan.privateVip, log }));
  make(tokens.recoveries, get => recoveries(given, get));
  make(tokens.mediaRecovery, get => mediaRecovery(given, get));
}

/** What the death of a node asks for. */
export async function nodeDied(get: Get, { plan }: LiveConfig, death: NodeDeath): Promise<void> {
  const farm = nodeNamed(plan.subnet, death.node)?.farm;
  if (farm === 'call') await get(tokens.recoveries).nodeDied(death);
  if (farm === 'conference') await get(tokens.recoveries).conferenceNodeDied(death);
  if (farm === 'rtpengine') await get(tokens.mediaRecovery).engineDied(death);
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
      farm: () => tracedFarm(live, get),
      tracedOnly: () => plugins.service(recoveryPolicy)?.source === 'trace-source',
      log,
    }),
    standIn: get(tokens.standIn),
    cores: reservedCores(() => get(tokens.daemon).trace),
    log,
    policy: () => plugins.service(recoveryPolicy),
    isEmergency: call => get(tokens.admission).isEmergencyCall(call),
    askRecover: call => plugins.ask('recover', call, call.id),
    hasCredentials: trunk => hasCredentials(live, trunk),
    mediaReady: dialog => get(tokens.mediaRecovery).ready(dialog),
    done: facts => {
      get(tokens.eventLog).append('recovery.done', { ...facts });
      plugins.emit('recovery.done', facts);
    },
  });
}

function tracedFarm({ plan }: LiveConfig, get: Get): TracedFarm {
  // Those that are leaving, too.
  const { asterisks } = traceFarmOf({ nodes: [...plan.nodes, ...get(tokens.states).nodes()] });
  return {
    nodeOf: end => asterisks[end.replace(/:\d+$/, '')],
    publicVip: `${plan.publicVip}:${ports.sip}`,
    privateVip: `${plan.privateVip}:${ports.sip}`,
  };
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
    applyEdge: reason => sync.apply(reason, 'changes'),
    patienceMs: () => plugins.service(recoveryPolicy)?.patienceMs ?? 0,
    done: record => void get(tokens.recoveries).note(record),
    log,
  });
  states.onChange('media recovery', ({ node, to }) => {
    if (node.farm === 'rtpengine' && to === 'up') media.note();
  });
  return media;
}
