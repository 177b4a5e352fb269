// What is asked of the farm's parts at each scrape: nodes, edge, engines, recoveries, trace, store, call records.
import { isLive, type CallRecord } from '../calls/call-record.js';
import type { CallRecords } from '../cdr/call-records.js';
import type { ConferenceRecord } from '../conferences/conference-record.js';
import type { FarmNode, NodeState } from '../farm/farm-plan.js';
import type { Overload } from '../overload/overload.js';
import type { RecoveryRecord } from '../recovery/recovery-record.js';
import type { TraceCounters } from '../trace/trace-protocol.js';
import type { TrunkStatus } from '../trunks/trunk-statuses.js';
import type { Metric, Sample } from './exposition.js';
import { Counter, Histogram } from './instruments.js';

export interface FarmMetricsOptions {
  readonly nodes: () => readonly FarmNode[];
  readonly stateOf: (node: string) => NodeState;
  readonly calls: () => readonly CallRecord[];
  readonly trunks: () => readonly TrunkStatus[];
  readonly conferences: () => readonly ConferenceRecord[];
  /** A Kamailio's own counters. */
  readonly edgeCounters: (node: string) => Promise<Readonly<Record<string, number>>>;
  readonly overload: Pick<Overload, 'list' | 'lateness'>;
  readonly engineSessions: (node: string) => Promise<number>;
  readonly recoveries: () => readonly RecoveryRecord[];
  readonly trace: () => Promise<TraceCounters | undefined>;
  readonly storeRecords: () => Promise<Readonly<Record<string, number>>>;
  readonly records: Pick<CallRecords, 'waiting' | 'webhookCounters'>;
}

const states: readonly NodeState[] = ['up', 'suspect', 'draining', 'dead'];
const recoveryBounds = [0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30];

export class FarmMetrics {
  readonly #options: FarmMetricsOptions;
  readonly #deaths = new Counter('holdfast_node_deaths_total', 'Nodes that died with sessions to recover, by farm.');
  readonly #sessions = new Counter(
    'holdfast_recovered_sessions_total',
    'Sessions of dead nodes by what became of them: recovered, ended, failed.',
  );
  readonly #recovery = new Histogram(
    'holdfast_recovery_seconds',
    'From the first sign of a node’s death until its last session was up again: the longest silence of its calls.',
    recoveryBounds,
  );
  /** Deaths that are counted, or were by an earlier daemon. */
  readonly #counted = new Set<string>();

  constructor(options: FarmMetricsOptions) {
    this.#options = options;
  }

  /** Recoveries that are done already were counted by an earlier daemon. */
  begin(): void {
    for (const { epoch, done } of this.#options.recoveries()) if (done) this.#counted.add(epoch);
  }

  async metrics(): Promise<Metric[]> {
    const [edge, engines, trace, store] = await Promise.all([
      this.#edge(),
      this.#engines(),
      this.#trace(),
      this.#store(),
    ]);
    return [
      ...this.#nodes(),
      ...edge,
      ...engines,
      ...this.#overload(),
      ...this.#trunks(),
      ...this.#recoveries(),
      ...trace,
      ...store,
      ...this.#callRecords(),
    ];
  }

  #trunks(): Metric[] {
    const trunks = this.#options.trunks();
    const registered = trunks.flatMap(({ trunk, registration }) => (registration ? [{ trunk, ...registration }] : []));
    const asked = trunks.flatMap(({ trunk, gateways }) => gateways.map(one => ({ trunk, ...one })));
    return [
      {
        name: 'holdfast_trunk_calls',
        type: 'gauge',
        help: 'Calls from and to a trunk now.',
        samples: trunks.flatMap(({ trunk, calls }) =>
          (['from', 'to'] as const).map(direction => ({ labels: { trunk, direction }, value: calls[direction] })),
        ),
      },
      {
        name: 'holdfast_trunk_gateway_up',
        type: 'gauge',
        help: '1 for a gateway that answers OPTIONS, 0 for one that does not. Only those that are asked.',
        samples: asked
          .filter(({ state }) => state !== 'unknown')
          .map(({ trunk, address, state }) => ({ labels: { trunk, gateway: address }, value: state === 'up' ? 1 : 0 })),
      },
      {
        name: 'holdfast_trunk_registered',
        type: 'gauge',
        help: '1 while we are registered with a trunk, 0 while we are not. Only trunks that we register with.',
        samples: registered.map(({ trunk, state }) => ({ labels: { trunk }, value: state === 'registered' ? 1 : 0 })),
      },
      {
        name: 'holdfast_trunk_registration_failures_total',
        type: 'counter',
        help: 'Attempts to register with a trunk, or to refresh that, that have failed.',
        samples: registered.map(({ trunk, failures }) => ({ labels: { trunk }, value: failures })),
      },
    ];
  }

  #nodes(): Metric[] {
    const nodes = this.#options.nodes();
    const channels = this.#channels();
    return [
      {
        name: 'holdfast_node_state',
        type: 'gauge',
        help: '1 for the state that a node is in, 0 for the others.',
        samples: nodes.flatMap(({ name, farm }) => {
          const now = this.#options.stateOf(name);
          return states.map(state => ({ labels: { node: name, farm, state }, value: state === now ? 1 : 0 }));
        }),
      },
      {
        name: 'holdfast_node_channels',
        type: 'gauge',
        help: 'Legs on a call node, participants on a conference node, now.',
        samples: nodes
          .filter(({ farm }) => farm === 'call' || farm === 'conference')
          .map(({ name, farm }) => ({ labels: { node: name, farm }, value: channels.get(name) ?? 0 })),
      },
    ];
  }

  #overload(): Metric[] {
    const { overload } = this.#options;
    return [
      {
        name: 'holdfast_call_node_late_seconds',
        type: 'gauge',
        help: 'How long answers of a call node to the daemon took in the last second, the median.',
        samples: [...overload.lateness()].map(([node, ms]) => ({ labels: { node }, value: ms / 1000 })),
      },
      {
        name: 'holdfast_call_node_limit_calls_per_second',
        type: 'gauge',
        help: 'New calls that a call node takes per second. Only of nodes whose new calls are refused in part.',
        samples: overload.list().map(({ node, callsPerSecond: value }) => ({ labels: { node }, value })),
      },
    ];
  }

  #channels(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    const add = (node: string, count: number): void => void counts.set(node, (counts.get(node) ?? 0) + count);
    for (const { legs } of this.#options.calls()) for (const leg of legs) if (isLive(leg)) add(leg.node, 1);
    for (const { mixing, node, participants } of this.#options.conferences()) {
      if (mixing === 'conference-farm') add(node, participants.length);
    }
    return counts;
  }

  /** Of the nodes that are up; one that does not answer is left out. */
  async #ask<T>(farm: FarmNode['farm'], ask: (node: string) => Promise<T>): Promise<[node: string, answer: T][]> {
    const up = this.#options.nodes().filter(node => node.farm === farm && this.#options.stateOf(node.name) !== 'dead');
    const answers = await Promise.allSettled(up.map(({ name }) => ask(name)));
    return answers.flatMap((answer, i) => (answer.status === 'fulfilled' ? [[up[i]?.name ?? '', answer.value]] : []));
  }

  async #edge(): Promise<Metric[]> {
    const answers = await this.#ask('kamailio', this.#options.edgeCounters);
    const samples = answers.flatMap(([node, counters]) =>
      Object.entries(counters).map(([name, value]): [string, Sample] => {
        const [what = '', reason = ''] = name.split('.');
        return [what, { labels: reason === '' ? { node } : { node, what, reason }, value }];
      }),
    );
    return [
      {
        name: 'holdfast_edge_messages_total',
        type: 'counter',
        help: 'SIP messages that a Kamailio received since its start.',
        samples: samples.flatMap(([what, sample]) => (what === 'received' ? [sample] : [])),
      },
      {
        name: 'holdfast_edge_refused_total',
        type: 'counter',
        help: 'SIP messages that a Kamailio refused, dropped, could not pass on or answered itself, by reason.',
        samples: samples.flatMap(([what, sample]) => (what === 'received' ? [] : [sample])),
      },
    ];
  }

  async #engines(): Promise<Metric[]> {
    const answers = await this.#ask('rtpengine', this.#options.engineSessions);
    const samples = answers.map(([node, value]) => ({ labels: { node }, value }));
    return [
      { name: 'holdfast_rtpengine_sessions', type: 'gauge', help: 'Media sessions of an RTPEngine now.', samples },
    ];
  }

  #recoveries(): Metric[] {
    for (const { epoch, farm, sessions, done, firstSignMs, lastUpMs } of this.#options.recoveries()) {
      if (!done || this.#counted.has(epoch)) continue;
      this.#counted.add(epoch);
      this.#deaths.add(1, { farm });
      for (const result of ['recovered', 'ended', 'failed'] as const) {
        this.#sessions.add(sessions[result], { farm, result });
      }
      if (lastUpMs !== null) this.#recovery.observe((lastUpMs - firstSignMs) / 1000);
    }
    return [this.#deaths.metric(), this.#sessions.metric(), this.#recovery.metric()];
  }

  async #trace(): Promise<Metric[]> {
    const counters = await this.#options.trace().catch(() => undefined);
    if (!counters) return [];
    const { received, refused, lost, bytes, dialogs } = counters;
    const one = (name: string, type: Metric['type'], help: string, value: number): Metric => ({
      ...{ name, type, help, samples: [{ value }] },
    });
    return [
      one('holdfast_hep_datagrams_total', 'counter', 'HEP datagrams that arrived.', received),
      ...(lost === null
        ? []
        : [
            one(
              'holdfast_hep_lost_total',
              'counter',
              'HEP datagrams that the kernel dropped: the thread was late.',
              lost,
            ),
          ]),
      {
        name: 'holdfast_hep_refused_total',
        type: 'counter',
        help: 'HEP datagrams that were refused, by reason.',
        samples: Object.entries(refused).map(([reason, value]) => ({ labels: { reason }, value })),
      },
      one('holdfast_trace_bytes', 'gauge', 'Memory of the messages that are kept, estimated.', bytes),
      one('holdfast_ledger_dialogs', 'gauge', 'SIP dialogs in the ledger now.', dialogs),
    ];
  }

  async #store(): Promise<Metric[]> {
    const records = await this.#options.storeRecords().catch(() => ({}));
    const samples = Object.entries(records).map(([table, value]) => ({ labels: { table }, value }));
    return [{ name: 'holdfast_store_records', type: 'gauge', help: 'Records in the store now, by table.', samples }];
  }

  #callRecords(): Metric[] {
    const { waiting, webhookCounters } = this.#options.records;
    return [
      {
        name: 'holdfast_cdr_waiting_records',
        type: 'gauge',
        help: 'Call records in the store that are not yet at their destination.',
        samples: Object.entries({ ...waiting }).map(([destination, value]) => ({ labels: { destination }, value })),
      },
      {
        name: 'holdfast_cdr_webhook_records_total',
        type: 'counter',
        help: 'Call records that the webhook took.',
        samples: [{ value: webhookCounters.records }],
      },
      {
        name: 'holdfast_cdr_webhook_failures_total',
        type: 'counter',
        help: 'Deliveries to the webhook that failed and were repeated.',
        samples: [{ value: webhookCounters.failures }],
      },
    ];
  }
}
