// Honest calls at a rate while one trunk sends far more calls than the machine carries: what a refusal at the edge is worth to them.
//
//   node dist/test/bench/attack/overload.bench.js [--of late,rate] [--rate 30] [--flood 100] [--seconds 30] [--write]
//
// On a farm of its own for each: `none` is without overload control, `late` as it is by default, `rate` with a limit that the operator has set.
// The honest ones call for a while before and after the flood. --write puts the table into docs/attack-benchmark.md.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { Farm } from '../../harness/farm.js';
import { localConfig } from '../../harness/local-config.js';
import { Sipp } from '../../harness/sipp.js';
import { waitFor } from '../../harness/wait-for.js';
import { writeBench } from '../bench-doc.js';
import { offer, openCallee, percentile } from '../calls/load.js';
import { cpuOfFarm, cpuPerSecond, table } from './farm-cost.js';

const { values } = parseArgs({
  options: {
    of: { type: 'string', default: 'late,rate' },
    rate: { type: 'string', default: '30' },
    flood: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '30' },
    overload: { type: 'string', default: '{ callsPerSecond: 20 }' },
    write: { type: 'boolean', default: false },
  },
});
const [rate, flood, seconds] = [Number(values.rate), Number(values.flood), Number(values.seconds)];
/** What is usual is learned in some. */
const [quietSeconds, afterSeconds] = [20, 8];
const configs: Readonly<Record<string, string>> = {
  none: '{ lateMs: 0 }',
  late: '{}',
  rate: values.overload,
};

async function measure(overload: string): Promise<readonly (string | number)[]> {
  const usual = await localConfig();
  const farm = await Farm.up({ config: `${usual}\noverload: ${overload}\n` });
  try {
    await farm.whole();
    const callee = await openCallee(farm);
    await offer(farm, rate, 10);
    await farm.idle();
    const pids = await farm.pids();
    const before = await cpuOfFarm(farm);
    const honest = offer(farm, rate, quietSeconds + seconds + afterSeconds, { lenient: false });
    await sleep(quietSeconds * 1_000);
    const loud = await Sipp.uac({
      ...{ address: farm.host(202), target: { address: farm.host(100), port: 5060 }, service: '70001' },
      ...{ calls: flood * seconds, rate: flood, holdMs: 1_000, deadlineMs: (seconds + 60) * 1_000 },
    });
    const [got, theirs] = [await honest, await loud.finished()];
    const cpu = cpuPerSecond(before, await cpuOfFarm(farm), quietSeconds + seconds + afterSeconds);
    const counters = (await farm.status()).nodes.map(({ counters }) => counters?.['refused.overload'] ?? 0);
    const refused = counters.reduce((sum, one) => sum + one, 0);
    await waitFor('all calls to be over', async () => (await farm.calls()).length === 0, {
      ...{ deadlineMs: 90_000, everyMs: 500 },
    }).catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
    const died = [...(await farm.pids())].filter(([name, pid]) => pids.get(name) !== pid).map(([name]) => name);
    const log = await readFile(join(farm.state, 'log/daemon.log'), 'utf8');
    for (const line of log.split('\n').filter(one => /new calls/.test(one))) process.stderr.write(`  ${line}\n`);
    process.stderr.write(`died: ${died.join(' ')}, left: ${(await farm.calls()).length}\n`);
    await callee.stop(500);
    const turnedAway = got.refused ?? 0;
    const setUp = [0.5, 0.99].map(p => Math.round(percentile(got.setUpMs, p))).join(' / ');
    return [
      ...[
        `\`overload: ${overload}\``,
        got.calls,
        turnedAway,
        got.failed - turnedAway,
        setUp,
        theirs.total,
        theirs.successful,
        refused,
      ],
      ...[Math.round(cpu.daemon), Math.round(cpu.machine)],
    ];
  } finally {
    await farm.down();
  }
}

const rows: (readonly (string | number)[])[] = [];
for (const name of values.of.split(',')) {
  const row = await measure(configs[name] ?? name);
  process.stderr.write(`${row.join(' | ')}\n`);
  rows.push(row);
}
const head = [
  '',
  'honest calls',
  'refused',
  'failed',
  'set-up p50 / p99, ms',
  "flood's calls",
  'let in and over',
  'refusals',
];
const result = table([...head, 'daemon', 'machine'], rows);
process.stdout.write(`${result}\n`);
if (values.write) await writeBench('attack-benchmark.md', new Map([['overload', result]]));
