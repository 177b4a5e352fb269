// Metrics: their text, what is counted, where they are served; and that documents and dashboard name what there is.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { CallRecord } from '../../core/calls/call-record.js';
import type { FarmNode } from '../../core/farm/farm-plan.js';
import { createLogger, silentLogger, type Logger } from '../../core/log.js';
import { exposition } from '../../core/metrics/exposition.js';
import { Counter, Histogram } from '../../core/metrics/instruments.js';
import { Metrics } from '../../core/metrics/metrics.js';
import type { RecoveryRecord } from '../../core/recovery/recovery-record.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import { callDetailRecord } from '../harness/call-detail-record.js';
import { projectRoot } from '../harness/project-root.js';
import { waitFor } from '../harness/wait-for.js';
import { z } from 'zod';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-metrics-'));
after(() => rmSync(folder, { recursive: true }));

describe('the text of metrics', () => {
  test('has help, type, and labels whose values cannot break a line', () => {
    const samples = [{ labels: { a: 'x"y\\z\nw', b: '2' }, value: 1.5 }, { value: Number.POSITIVE_INFINITY }];
    assert.equal(
      exposition([
        { name: 'm', type: 'gauge', help: 'One\nline \\', samples },
        { name: 'empty', type: 'gauge', help: '', samples: [] },
      ]),
      '# HELP m One\\nline \\\\\n# TYPE m gauge\nm{a="x\\"y\\\\z\\nw",b="2"} 1.5\nm +Inf\n',
    );
  });

  test('of a histogram has cumulative buckets, sum and count for each set of labels', () => {
    const histogram = new Histogram('h', 'H.', [1, 2], []);
    for (const value of [0.5, 1, 1.5, 99]) histogram.observe(value, { farm: 'call' });
    assert.equal(
      exposition([histogram.metric()]).split('\n').slice(2).join('\n'),
      'h_bucket{farm="call",le="1"} 2\nh_bucket{farm="call",le="2"} 3\nh_bucket{farm="call",le="+Inf"} 4\n' +
        'h_sum{farm="call"} 102\nh_count{farm="call"} 4\n',
    );
  });

  test('of a counter keeps sets of labels apart', () => {
    const counter = new Counter('c', 'C.', [{}]);
    counter.add(2, { status: '486' });
    counter.add(1, { status: '503' });
    counter.add(1, { status: '486' });
    assert.deepEqual(
      counter.metric().samples.map(({ labels, value }) => [labels, value]),
      [
        [{}, 0],
        [{ status: '486' }, 3],
        [{ status: '503' }, 1],
      ],
    );
  });
});

const nodes: readonly FarmNode[] = [
  { name: 'kamailio-1', farm: 'kamailio', index: 1, address: '127.9.1.21', external: '127.9.1.11' },
  { name: 'kamailio-2', farm: 'kamailio', index: 2, address: '127.9.1.22', external: '127.9.1.12' },
  { name: 'call-1', farm: 'call', index: 1, address: '127.9.1.31' },
  { name: 'rtpengine-1', farm: 'rtpengine', index: 1, address: '127.9.1.91', external: '127.9.1.81' },
];

const call = (state: CallRecord['state'], startedMs: number, answeredMs: number | null): CallRecord =>
  ({ state, startedMs, answeredMs, legs: [{ node: 'call-1', state, recovering: null }] }) as unknown as CallRecord;

const recovery = (epoch: string, done: boolean): RecoveryRecord => ({
  ...{ epoch, node: 'call-1', farm: 'call', firstSignMs: 1_000, declaredMs: 1_050, lastUpMs: 1_400, done },
  sessions: { found: 5, recovered: 4, ended: 1, failed: 0 },
});

function metrics(log: Logger = silentLogger): { metrics: Metrics; recoveries: RecoveryRecord[] } {
  const store = openMemoryStore();
  store.table('calls', z.object({}));
  const recoveries = [recovery('before', true), recovery('open', false)];
  const made = new Metrics({
    store,
    log,
    socketPath: socket => join(folder, socket),
    nodes: () => nodes,
    stateOf: node => (node === 'kamailio-2' ? 'dead' : 'up'),
    calls: () => [call('confirmed', 0, 1), call('trying', 0, null)],
    trunks: () => [
      {
        ...{ trunk: 'lab', calls: { from: 1, to: 2 }, callsAtOnce: null },
        registration: {
          ...{ state: 'registered', user: 'u@p.test', registrar: '192.0.2.1:5060', until: '2026-01-01' },
          ...{ error: null, sipStatus: null, failures: 2 },
        },
        gateways: [
          {
            ...{ address: 'a.test:5060', hostAddress: '192.0.2.1', dnsTrouble: null, priority: 1, weight: 1 },
            ...{ state: 'down', since: null, sipStatus: 503 },
          },
        ],
      },
    ],
    conferences: () => [],
    edgeCounters: async () => ({ received: 7, 'refused.source': 2, 'answered.gap': 1 }),
    overload: { list: () => [], lateness: () => new Map([['call-1', 1500]]) },
    engineSessions: () => Promise.reject(new Error('no answer')),
    recoveries: () => recoveries,
    trace: async () => ({
      ...{ received: 10, decoded: 9, lost: 1, calls: 2, bytes: 99, receiveBufferBytes: 1, dialogs: 3, ledgerBytes: 1 },
      ...{ evicted: 0, forgotten: 0, unreadable: 0 },
      refused: {
        ...{ notHep: 1, truncated: 0, overlong: 0, badChunk: 0, missingChunk: 0 },
        ...{ unknownSender: 0, wrongKey: 0, notSip: 0 },
      },
    }),
    records: { waiting: { file: 0, webhook: 12 }, webhookCounters: { deliveries: 1, records: 5, failures: 2 } },
  });
  return { metrics: made, recoveries };
}

/** A value by its name and labels as they are written. */
async function values(of: Metrics): Promise<ReadonlyMap<string, number>> {
  const lines = exposition(await of.collect()).split('\n');
  return new Map(
    lines.flatMap(line => {
      const [, name, value] = /^([a-z].*) (\S+)$/.exec(line) ?? [];
      return name === undefined ? [] : [[name, Number(value)] as const];
    }),
  );
}

describe('what is measured', () => {
  test('of calls: how many by state, how long until told and until answered, how they ended', async () => {
    const { metrics: own } = metrics();
    own.calls.started();
    own.calls.changed(call('trying', 0, null), call('proceeding', 0, null), 400);
    own.calls.changed(call('proceeding', 0, null), call('confirmed', 0, 2_000), 2_000);
    own.calls.changed(call('confirmed', 0, 2_000), call('confirmed', 0, 2_000), 9_000);
    own.calls.ended(callDetailRecord('a'));
    own.calls.ended(
      callDetailRecord('b', {
        ...{ outcome: 'answered', sipStatus: 200, limit: 'maxCallSeconds' },
        ...{ answeredAt: '2026-01-01T00:00:00.000Z', endedAt: '2026-01-01T00:01:30.000Z' },
      }),
    );
    const seen = await values(own);
    assert.equal(seen.get('holdfast_calls_active{state="confirmed"}'), 1);
    assert.equal(seen.get('holdfast_calls_active{state="early"}'), 0);
    assert.equal(seen.get('holdfast_calls_started_total'), 1);
    assert.equal(seen.get('holdfast_calls_answered_total'), 1);
    assert.equal(seen.get('holdfast_calls_ended_total{outcome="busy",status="486"}'), 1);
    assert.equal(seen.get('holdfast_calls_limited_total{limit="maxCallSeconds"}'), 1);
    assert.deepEqual(
      [seen.get('holdfast_call_setup_seconds_sum'), seen.get('holdfast_call_setup_seconds_count')],
      [0.4, 1],
    );
    assert.equal(seen.get('holdfast_call_answer_seconds_sum'), 2);
    assert.equal(seen.get('holdfast_call_duration_seconds_sum'), 90);
  });

  test('of the farm: states, channels, the edge; what does not answer is left out', async () => {
    const seen = await values(metrics().metrics);
    assert.equal(seen.get('holdfast_node_state{node="kamailio-2",farm="kamailio",state="dead"}'), 1);
    assert.equal(seen.get('holdfast_node_state{node="kamailio-2",farm="kamailio",state="up"}'), 0);
    assert.equal(seen.get('holdfast_node_channels{node="call-1",farm="call"}'), 2);
    assert.equal(seen.get('holdfast_call_node_late_seconds{node="call-1"}'), 1.5);
    assert.equal(seen.get('holdfast_edge_messages_total{node="kamailio-1"}'), 7);
    assert.equal(seen.get('holdfast_edge_messages_total{node="kamailio-2"}'), undefined);
    assert.equal(seen.get('holdfast_edge_refused_total{node="kamailio-1",what="refused",reason="source"}'), 2);
    assert.ok(![...seen.keys()].some(name => name.startsWith('holdfast_rtpengine_sessions')));
    assert.equal(seen.get('holdfast_cdr_waiting_records{destination="webhook"}'), 12);
    assert.equal(seen.get('holdfast_store_records{table="calls"}'), 0);
    assert.ok((seen.get('process_open_fds') ?? 0) > 2);
  });

  test('of deaths: each once, when it is done, and none that an earlier daemon counted', async () => {
    const { metrics: own, recoveries } = metrics();
    await own.start(undefined);
    const deaths = async (): Promise<unknown> => (await values(own)).get('holdfast_node_deaths_total{farm="call"}');
    assert.equal(await deaths(), undefined);
    recoveries[1] = recovery('open', true);
    assert.deepEqual([await deaths(), await deaths()], [1, 1]);
    const seen = await values(own);
    assert.equal(seen.get('holdfast_recovered_sessions_total{farm="call",result="recovered"}'), 4);
    assert.equal(seen.get('holdfast_recovery_seconds_sum'), 0.4);
  });
});

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
}

function get(where: { port?: number; socketPath?: string }, path = '/metrics', method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', agent: false, ...where, path, method }, response => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}

describe('metrics are served', () => {
  test('at an address and a port, on nothing but /metrics, and elsewhere after a reload', async () => {
    const { metrics: own } = metrics();
    const [port, other] = [await freePort(), await freePort()];
    try {
      await own.start({ host: '127.0.0.1', port });
      const { status, text } = await get({ port });
      assert.equal(status, 200);
      assert.match(text, /^# HELP holdfast_calls_active /m);
      assert.equal((await get({ port }, '/')).status, 404);
      assert.equal((await get({ port }, '/metrics?x=1', 'POST')).status, 405);
      await own.serve({ host: '127.0.0.1', port: other });
      assert.equal((await get({ port: other })).status, 200);
      await assert.rejects(get({ port }));
      await own.serve(undefined);
      await assert.rejects(get({ port: other }));
    } finally {
      await own.close();
    }
  });

  test('on a unix socket that is not for everybody', async () => {
    const { metrics: own } = metrics();
    const socketPath = join(folder, 'metrics.sock');
    for (const round of [1, 2]) {
      await own.serve({ socket: 'metrics.sock' });
      assert.equal((await get({ socketPath })).status, 200, `round ${round}`);
      assert.equal(statSync(socketPath).mode & 0o777, 0o660);
      await own.close();
    }
    const other = join(folder, 'secrets.json');
    writeFileSync(other, '{}');
    assert.match((await own.serve({ socket: 'secrets.json' })) ?? '', /cannot be served.*EADDRINUSE/);
    assert.equal(readFileSync(other, 'utf8'), '{}', 'what is no socket is not taken away');
    await own.close();
  });

  test('later where the address is taken, which stops nothing', async () => {
    const lines: string[] = [];
    const log = createLogger({ level: 'info', destination: { write: line => void lines.push(line) } });
    const { metrics: own } = metrics(log);
    const taken = createServer();
    await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    try {
      await own.start({ host: '127.0.0.1', port });
      await waitFor('the complaint', () =>
        lines.some(line => /cannot be served.*EADDRINUSE.*metrics\.listen/.test(line)),
      );
      assert.match((await own.serve({ host: '127.0.0.1', port })) ?? '', /cannot be served.*EADDRINUSE/);
      assert.match(own.trouble ?? '', /cannot be served/);
      assert.equal(await own.serve({ socket: 'metrics.sock' }), undefined);
      assert.equal(own.trouble, undefined);
    } finally {
      await own.close();
      await new Promise(resolve => taken.close(resolve));
    }
  });
});

describe('documents', () => {
  test('docs/metrics.md and the dashboard name the metrics that there are', async () => {
    const { metrics: own } = metrics();
    await own.start(undefined);
    const there = new Set((await own.collect()).map(({ name }) => name));
    const read = (file: string): string => readFileSync(join(projectRoot, 'docs', file), 'utf8');
    const named = (text: string): Set<string> =>
      new Set(
        [...text.matchAll(/\b(?:holdfast|process|nodejs)_[a-z_]+/g)].map(([name]) =>
          name.replace(/_(bucket|sum|count)$/, ''),
        ),
      );
    const table = read('metrics.md')
      .split('\n')
      .filter(line => line.startsWith('| `'))
      .join('\n');
    assert.deepEqual([...named(table)].sort(), [...there].sort());
    const dashboard = JSON.parse(read('grafana-dashboard.json')) as { panels: { targets?: { expr: string }[] }[] };
    const shown = named(dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join('\n'));
    assert.deepEqual(
      [...shown].filter(name => !there.has(name)),
      [],
    );
    const left = [...there].filter(name => !shown.has(name) && name !== 'process_start_time_seconds');
    assert.deepEqual(left, [], 'everything is on the dashboard');
  });
});
