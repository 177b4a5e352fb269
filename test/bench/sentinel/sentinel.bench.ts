// How soon the sentinel knows that a server was killed, and that one is frozen: real servers of every kind, started again each time.
// Run: node dist/test/bench/sentinel/sentinel.bench.js [kills] [freezes], of each kind
import { cpus, loadavg } from 'node:os';
import type { FarmNode } from '../../../core/farm/farm-plan.js';
import { signal } from '../../../core/host/process-table.js';
import { EdgeLab } from '../../integration/kamailio-lab.js';
import { SentinelLab } from '../../integration/sentinel-lab.js';
import { Verdicts } from '../../integration/verdicts.js';

const kills = Number(process.argv[2] ?? 60);
const freezes = Number(process.argv[3] ?? 10);
const targetMs = 100;

/** A server that dies again and again. */
interface Subject {
  readonly kind: string;
  readonly name: string;
  /** Resolves when the sentinel says that it is up. */
  start(): Promise<unknown>;
  kill(): void;
  freeze(): void;
  end(): Promise<void>;
}

function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

const edge = await EdgeLab.up();
const verdicts = await Verdicts.open(edge.plan.daemonAddress);
const lab = await SentinelLab.open(verdicts);
const { sentinel } = verdicts;

async function watch(node: FarmNode): Promise<void> {
  sentinel.watch(edge.watched(node));
  await verdicts.is(node.name, 'up');
}

const asterisk: Subject = {
  ...{ kind: 'Asterisk', name: 'call-1' },
  start: () => lab.start('call-1'),
  kill: () => lab.asterisk.signal('call-1', 'SIGKILL'),
  freeze: () => lab.asterisk.signal('call-1', 'SIGSTOP'),
  end: () => lab.asterisk.kill('call-1'),
};

function ofTheEdge(kind: string, node: FarmNode): Subject {
  return {
    ...{ kind, name: node.name },
    start: async () => {
      await edge.start(node);
      await watch(node);
    },
    kill: () => signal(edge.watched(node).pid, 'SIGKILL'),
    freeze: () => edge.signal(node, 'SIGSTOP'),
    end: () => edge.host.kill(node.name),
  };
}

/** The time from the signal to the verdict, ms, as the main thread gets it. */
async function dies(subject: Subject, how: 'kill' | 'freeze'): Promise<number> {
  await subject.start();
  const startMs = performance.now();
  subject[how]();
  await verdicts.is(subject.name, 'dead');
  const tookMs = performance.now() - startMs;
  sentinel.unwatch(subject.name);
  await subject.end();
  return tookMs;
}

function row(kind: string, sign: string, values: readonly number[]): string {
  const shown = [values.length, percentile(values, 0.5), percentile(values, 0.99), Math.max(...values)];
  return `| ${[kind, sign, ...shown.map(value => Math.round(value))].join(' | ')} |`;
}

const rows: string[] = [];
let slowestKillMs = 0;
const subjects: Subject[] = [asterisk];
try {
  // The other nodes of a farm, so that the sentinel has its usual work.
  for (const other of ['call-2', 'conference-1', 'registrar-1']) await lab.start(other);
  for (const [kind, farm] of [['Kamailio', 'kamailio'] as const, ['RTPEngine', 'rtpengine'] as const]) {
    const [first, ...others] = edge.nodes(farm);
    if (!first) throw new Error(`no ${farm}`);
    await edge.host.kill(first.name);
    for (const node of others) await watch(node);
    subjects.push(ofTheEdge(kind, first));
  }
  for (const subject of subjects) {
    const took = { kill: [] as number[], freeze: [] as number[] };
    for (let i = 0; i < kills; i++) took.kill.push(await dies(subject, 'kill'));
    for (let i = 0; i < freezes; i++) took.freeze.push(await dies(subject, 'freeze'));
    rows.push(row(subject.kind, 'kill -9', took.kill), row(subject.kind, 'SIGSTOP, silenceMs 1000', took.freeze));
    slowestKillMs = Math.max(slowestKillMs, percentile(took.kill, 0.99));
  }
} finally {
  await lab.close();
  await edge.down();
}
const died = new Set(subjects.map(subject => subject.name));
const falseAlarms = verdicts.all.filter(one => !died.has(one.name) && one.health !== 'up').length;
console.log(
  `${cpus().length} × ${cpus()[0]?.model ?? '?'}, load ${loadavg()[0]?.toFixed(1) ?? '?'}, Node ${process.version}\n`,
);
console.log('| server | sign | deaths | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|---|');
console.log(rows.join('\n'));
console.log(`\nverdicts on the nodes that lived, other than up: ${falseAlarms}`);
const isMet = slowestKillMs < targetMs && falseAlarms === 0;
console.log(`${isMet ? 'met' : 'NOT met'}: kill -9 known in less than ${targetMs} ms (p99), no false alarm`);
process.exitCode = isMet ? 0 : 1;
