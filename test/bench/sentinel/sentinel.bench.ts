// How soon the sentinel knows that an Asterisk was killed, and that one is frozen: real Asterisks, started again each time.
// Run: node dist/test/bench/sentinel/sentinel.bench.js [kills] [freezes]
import { cpus, loadavg } from 'node:os';
import { SentinelLab } from '../../integration/sentinel-lab.js';

const kills = Number(process.argv[2] ?? 60);
const freezes = Number(process.argv[3] ?? 10);
const targetMs = 100;
const node = 'call-1';

function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

/** The time from the signal to the verdict, ms, as the main thread gets it. */
async function dies(lab: SentinelLab, signal: 'SIGKILL' | 'SIGSTOP'): Promise<number> {
  const startMs = performance.now();
  lab.asterisk.signal(node, signal);
  await lab.is(node, 'dead');
  const tookMs = performance.now() - startMs;
  lab.sentinel.unwatch(node);
  await lab.asterisk.kill(node);
  return tookMs;
}

function row(name: string, values: readonly number[]): string {
  const shown = [values.length, percentile(values, 0.5), percentile(values, 0.99), Math.max(...values)];
  return `| ${[name, ...shown.map(value => Math.round(value))].join(' | ')} |`;
}

const lab = await SentinelLab.open();
const took = { SIGKILL: [] as number[], SIGSTOP: [] as number[] };
try {
  // The other nodes of a farm, so that the sentinel has its usual work.
  for (const other of ['call-2', 'conference-1', 'registrar-1']) await lab.start(other);
  for (const [signal, times] of [['SIGKILL', kills] as const, ['SIGSTOP', freezes] as const]) {
    for (let i = 0; i < times; i++) {
      await lab.start(node);
      took[signal].push(await dies(lab, signal));
    }
  }
} finally {
  await lab.close();
}
const falseAlarms = lab.verdicts.filter(one => one.name !== node && one.health !== 'up').length;
console.log(
  `${cpus().length} × ${cpus()[0]?.model ?? '?'}, load ${loadavg()[0]?.toFixed(1) ?? '?'}, Node ${process.version}\n`,
);
console.log('| sign | deaths | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|');
console.log(row('kill -9', took.SIGKILL));
console.log(row('SIGSTOP, silenceMs 1000', took.SIGSTOP));
console.log(`\nverdicts on the nodes that lived, other than up: ${falseAlarms}`);
const isMet = percentile(took.SIGKILL, 0.99) < targetMs && falseAlarms === 0;
console.log(`${isMet ? 'met' : 'NOT met'}: kill -9 known in less than ${targetMs} ms (p99), no false alarm`);
process.exitCode = isMet ? 0 : 1;
