// Measures what the generated edge costs beside a bare forward() on the same machine in the same run, feature by feature, and the
// calls per second at which it breaks. Real Kamailio, RTPEngine and balancer; SIPp is the caller and, in an Asterisk's place, the callee.
//
//   node dist/test/bench/edge/edge.bench.js [--part cost,rate] [--of bare,core,...] [--cps 150] [--seconds 6] [--write]
//
// --write puts the tables into docs/edge-benchmark.md.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { writeBench } from '../bench-doc.js';
import { highestThat, isSustained, percentile } from '../calls/load.js';
import { EdgeUnderTest, type Spent } from './edge-under-test.js';
import { costTable, rateTable, type Cost, type Limit } from './report.js';
import { variants, type Variant } from './variants.js';

const { values } = parseArgs({
  options: {
    part: { type: 'string', default: 'cost,rate' },
    of: { type: 'string', default: variants.map(({ name }) => name).join(',') },
    cps: { type: 'string', default: '150' },
    seconds: { type: 'string', default: '6' },
    write: { type: 'boolean', default: false },
  },
});
const [cps, seconds] = [Number(values.cps), Number(values.seconds)];
const parts = values.part.split(',');
const wanted = variants.filter(({ name }) => values.of.split(',').includes(name));
/** What else runs on the machine, or beside it on its host, makes calls dearer and never cheaper: the lowest of the passes counts. */
const passes = 2;
/** Of these it is asked where they break. */
const limited = ['bare', 'core', 'trunk', 'phone', 'secure'];

const edge = await EdgeUnderTest.up();
const all: Cost[] = [];
const costs: Cost[] = [];
const limits: Limit[] = [];
try {
  if (parts.includes('cost')) {
    for (let pass = 0; pass < passes; pass++) for (const variant of wanted) all.push(await costOf(variant));
    costs.push(...wanted.map(variant => cheapest(all.filter(one => one.variant === variant))));
  }
  if (parts.includes('rate'))
    for (const variant of wanted.filter(({ name }) => limited.includes(name))) limits.push(await limitOf(variant));
} finally {
  await edge.down();
}
const tables = new Map([
  ...(costs.length > 0 ? [['cost', costTable(costs)] as const] : []),
  ...(limits.length > 0 ? [['rate', rateTable(limits)] as const] : []),
]);
process.stdout.write(`${[...tables.values()].join('\n\n')}\n`);
if (values.write) await writeBench('edge-benchmark.md', tables);

async function costOf(variant: Variant): Promise<Cost> {
  await edge.become(variant);
  await edge.offer(cps, 1);
  const idleSeconds = 1;
  const { spent: atRest } = await measured(() => sleep(idleSeconds * 1_000));
  const startedMs = performance.now();
  const { done: load, spent: busy } = await measured(() => edge.offer(cps, seconds));
  const { calls, failed } = load;
  const tookSeconds = (performance.now() - startedMs) / 1_000;
  const perCall = (part: 'kamailio' | 'rtpengine'): number =>
    (busy[part] - (atRest[part] / idleSeconds) * tookSeconds) / calls;
  const cost = { variant, calls, failed, kamailio: perCall('kamailio'), rtpengine: perCall('rtpengine') };
  process.stderr.write(`${variant.name}: ${cost.kamailio.toFixed(3)} ms, ${failed} of ${calls} failed\n`);
  return cost;
}

function cheapest(costs: readonly Cost[]): Cost {
  const sum = (of: 'calls' | 'failed'): number => costs.reduce((total, one) => total + one[of], 0);
  const lowest = (of: 'kamailio' | 'rtpengine'): number => Math.min(...costs.map(one => one[of]));
  const [first] = costs;
  if (!first) throw new Error('nothing was measured');
  return {
    ...{ variant: first.variant, calls: sum('calls'), failed: sum('failed') },
    ...{ kamailio: lowest('kamailio'), rtpengine: lowest('rtpengine') },
  };
}

async function limitOf(variant: Variant): Promise<Limit> {
  await edge.become(variant);
  await edge.offer(cps, 2);
  const stepSeconds = 5;
  let cores: Spent = { kamailio: 0, rtpengine: 0, machine: 0 };
  const holds = async (rate: number): Promise<boolean> => {
    const startedMs = performance.now();
    const { done: load, spent } = await measured(() => edge.offer(rate, stepSeconds));
    const tookMs = performance.now() - startedMs;
    const p99 = percentile(load.setUpMs, 0.99).toFixed(0);
    process.stderr.write(
      `  ${rate.toFixed(0)} calls/s: ${load.failed} of ${load.calls} failed, set-up p99 ${p99} ms\n`,
    );
    if (!isSustained(load)) return false;
    const { kamailio, rtpengine, machine } = spent;
    cores = { kamailio: kamailio / tookMs, rtpengine: rtpengine / tookMs, machine: machine / tookMs };
    return true;
  };
  process.stderr.write(`${variant.name}\n`);
  const rate = await highestThat(holds, { from: 200, growth: 1.5, resolution: 1.08 });
  return { variant, rate, cores };
}

async function measured<T>(work: () => Promise<T>): Promise<{ readonly done: T; readonly spent: Spent }> {
  const before = await edge.spent();
  const done = await work();
  const after = await edge.spent();
  const spent = (part: keyof Spent): number => after[part] - before[part];
  return { done, spent: { kamailio: spent('kamailio'), rtpengine: spent('rtpengine'), machine: spent('machine') } };
}
