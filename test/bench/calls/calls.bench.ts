// Measures what a two-party call costs: dialplan Dial(), a naive ARI program, and Holdfast in both placements, on one Asterisk behind
// the same edge, in one run.
//
//   node dist/test/bench/calls/calls.bench.js [--part cost,rate,memory] [--of call-node,conference-farm,naive,dial]
//     [--cps 25] [--seconds 15] [--warm-up 20] [--write]
//
// cost: CPU of a call at a moderate rate; rate: how many calls a second; memory: of the daemon with 2,000 calls up.
// --write puts the tables into docs/calls-benchmark.md.
import { waitFor } from '../../harness/wait-for.js';
import { writeBench } from '../bench-doc.js';
import { BenchFarm, contenders, type Contender } from './contenders.js';
import { highestRate, holdUp, offer, openCallee, percentile } from './load.js';
import { residentKb } from './process-cost.js';
import { costTable, memoryLine, rateTable, type Cost, type Memory } from './report.js';

const arguments_ = new Map(
  process.argv
    .slice(2)
    .flatMap((argument, i, all) => (argument.startsWith('--') ? [[argument.slice(2), all[i + 1] ?? '']] : [])),
);
const parts = (arguments_.get('part') ?? 'cost,rate,memory').split(',');
const wanted = (arguments_.get('of') ?? contenders.join(',')).split(',');
const cps = Number(arguments_.get('cps') ?? 25);
const seconds = Number(arguments_.get('seconds') ?? 15);
/** Programs are measured as they are after some time: V8 compiles what runs often. */
const warmUpSeconds = Number(arguments_.get('warm-up') ?? 20);

/** CPU of each part without calls, ms a second. */
async function idleShare(bench: BenchFarm): Promise<number[]> {
  const idleSeconds = 5;
  const before = await bench.cpu();
  await new Promise(resolve => setTimeout(resolve, idleSeconds * 1_000));
  const after = await bench.cpu();
  return after.map((ms, i) => (ms - (before[i] ?? 0)) / idleSeconds);
}

async function costOf(bench: BenchFarm, contender: Contender): Promise<Cost> {
  await offer(bench.farm, cps, warmUpSeconds);
  await over(bench);
  const idle = await idleShare(bench);
  const before = await bench.cpu();
  const startedMs = performance.now();
  const { calls, failed, postDialMs } = await offer(bench.farm, cps, seconds);
  await over(bench);
  const tookSeconds = (performance.now() - startedMs) / 1_000;
  const endSeconds = Number(process.hrtime.bigint()) / 1e9;
  // For `perf record -k CLOCK_MONOTONIC`.
  process.stderr.write(`  measured from ${(endSeconds - tookSeconds).toFixed(3)} to ${endSeconds.toFixed(3)}\n`);
  const after = await bench.cpu();
  const spent = after.map((ms, i) => (ms - (before[i] ?? 0) - (idle[i] ?? 0) * tookSeconds) / calls);
  const [call = 0, conference = 0, program = 0, kamailio = 0, rtpengine = 0] = spent;
  return {
    ...{ contender, calls, failed, call, conference, program, edge: kamailio + rtpengine },
    idleProgram: idle[2] ?? 0,
    postDial: [percentile(postDialMs, 0.5), percentile(postDialMs, 0.99)],
    ...(await perCall(bench)),
  };
}

/** Some calls that stay for a while, and what there is of them on the Asterisks. */
async function perCall(bench: BenchFarm): Promise<{ channelsPerCall: number; bridgesPerCall: number }> {
  const calls = 10;
  const load = offer(bench.farm, calls, 1, { holdMs: 3_000 });
  await new Promise(resolve => setTimeout(resolve, 2_500));
  const { channels, bridges } = await bench.standing();
  await load;
  await over(bench);
  return { channelsPerCall: channels / calls, bridgesPerCall: bridges / calls };
}

async function over(bench: BenchFarm): Promise<void> {
  const describe = async (): Promise<string> =>
    JSON.stringify([await bench.standing(), await bench.farm.calls().catch(() => [])]);
  await waitFor('the calls to be over', () => bench.isIdle(), { deadlineMs: 40_000, everyMs: 200, describe });
}

async function compare(costs: Cost[], rates: Map<Contender, number>): Promise<void> {
  const bench = await BenchFarm.up();
  const callee = await openCallee(bench.farm);
  try {
    for (const contender of contenders.filter(one => wanted.includes(one))) {
      await bench.give(contender);
      process.stderr.write(`${contender}\n`);
      if (parts.includes('cost')) costs.push(await costOf(bench, contender));
      if (parts.includes('rate')) rates.set(contender, await highestRate(bench.farm, () => bench.settle()));
    }
  } finally {
    await callee.stop(500);
    await bench.down();
  }
}

/** The daemon's memory with many calls up, when it has had many before. */
async function memoryOfMany(calls: number): Promise<Memory> {
  const bench = await BenchFarm.up();
  const callee = await openCallee(bench.farm);
  const [daemon = 0] = bench.pids('program');
  try {
    await offer(bench.farm, cps, warmUpSeconds);
    await over(bench);
    const beforeKb = await residentKb(daemon);
    const caller = await holdUp(bench.farm, calls, cps);
    const up = async (): Promise<boolean> => (await bench.farm.status()).calls.active >= calls;
    await waitFor(`${calls} calls to be up`, up, { deadlineMs: (calls / cps) * 1_000 + 30_000, everyMs: 1_000 });
    const afterKb = await residentKb(daemon);
    await caller.stop(0);
    return { calls, beforeKb, afterKb };
  } finally {
    await callee.stop(0);
    await bench.down();
  }
}

const results = new Map<string, string>();
const costs: Cost[] = [];
const rates = new Map<Contender, number>();
if (parts.includes('cost') || parts.includes('rate')) await compare(costs, rates);
if (costs.length > 0) results.set('cost', costTable(costs));
if (rates.size > 0) results.set('rate', rateTable(rates));
if (parts.includes('memory')) results.set('memory', memoryLine(await memoryOfMany(2_000)));
for (const [name, text] of results) console.log(`${name}\n${text}\n`);
if (process.argv.includes('--write')) await writeBench('calls-benchmark.md', results);
process.exit(0);
