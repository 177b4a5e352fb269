// Measures recoveries on this machine: N calls with audio, kill -9 of their node, and how long each phone heard nothing.
//
//   node dist/test/bench/recovery/recovery.bench.js [--calls 20,50,100] [--part call,conference,engine] [--runs 3] [--warm-up 0]
//     [--far 0] [--mute 0] [--write] [--log FILE]
//
// `--far`: phones answer a re-INVITE so many ms later; `--mute`: so many more, in echo tests that begin first, never do. Neither is
// compared with a bare loop or written into the document.
// With `--warm-up` the daemon has had so many calls before, and the bare loop as many originates: V8 compiles what runs often. Each size is measured `--runs` times; its row is the run in the middle (by ratio, else by time), with the ratios of all.
// After each recovery of a call node runs a bare loop: the same originates of the same dialogs back to the first node, by a
// program that does nothing else. --write puts the tables into docs/recovery-benchmark.md.
import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { readSupervisorNote } from '../../../core/cli/supervisor-note.js';
import { Farm } from '../../harness/farm.js';
import { localConfig } from '../../harness/local-config.js';
import { projectRoot } from '../../harness/project-root.js';
import { waitFor } from '../../harness/wait-for.js';
import { nodeFlags } from '../../../core/cli/supervisor.js';
import type { BareLoopReport, BareLoopStart } from './bare-loop.js';
import type { PhonesReport, PhonesStart, ToPhones } from './phones.js';

interface Recovery {
  readonly node: string;
  readonly epoch: string;
  readonly detectedMs: number;
  readonly sessions: Readonly<Record<'found' | 'recovered' | 'ended' | 'failed', number>>;
  readonly lastUpMs: number | null;
}

export interface Row {
  readonly calls: number;
  readonly packetMs: number;
  readonly detectedMs: number;
  readonly lastUpMs: number;
  readonly recovered: number;
  readonly found: number;
  readonly silence: readonly [p50: number, p99: number, max: number];
  readonly before: number;
  readonly bareMs: number;
}

interface Measured extends Row {
  readonly ratios: readonly number[];
}

const arguments_ = new Map(
  process.argv
    .slice(2)
    .flatMap((argument, i, all) => (argument.startsWith('--') ? [[argument.slice(2), all[i + 1] ?? '']] : [])),
);
const sizes = (arguments_.get('calls') ?? '20,50,100,150,300').split(',').map(Number);
const warmUpCalls = Number(arguments_.get('warm-up') ?? 0);
const [farMs, muteCalls] = ['far', 'mute'].map(name => Number(arguments_.get(name) ?? 0)) as [number, number];
const isPlain = farMs === 0 && muteCalls === 0;
const parts = (arguments_.get('part') ?? 'call,conference,engine').split(',');

class Phones {
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(options: PhonesStart): Promise<Phones> {
    const child = fork(new URL('./phones.js', import.meta.url), [JSON.stringify(options)]);
    await new Promise(resolve => child.once('message', resolve));
    return new Phones(child);
  }

  async ask(message: ToPhones): Promise<PhonesReport> {
    return new Promise(resolve => {
      this.#child.once('message', report => resolve(report as PhonesReport));
      this.#child.send(message);
    });
  }

  end(): void {
    this.#child.send({ do: 'end' } satisfies ToPhones);
  }
}

function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN);
}

/** Calls of a moment, on all call nodes: as many legs are then made on each as the bare loop makes before. */
async function warmUp(farm: Farm, phones: Phones): Promise<void> {
  const atOnce = 50;
  for (let had = 0; had < warmUpCalls; had += atOnce) {
    await phones.ask({ do: 'call', count: atOnce, perSecond: 40, dial: '70001' });
    await callsAre(phones, atOnce);
    await phones.ask({ do: 'hangup' });
    await waitFor('the calls to be over', async () => (await farm.json<readonly unknown[]>('calls')).length === 0, {
      deadlineMs: 20_000,
      everyMs: 200,
    });
  }
}

async function callsAre(phones: Phones, calls: number): Promise<void> {
  await waitFor('all calls to be up', async () => (await phones.ask({ do: 'report' })).up >= 2 * calls, {
    deadlineMs: 20_000,
    everyMs: 200,
    describe: async () => JSON.stringify({ ...(await phones.ask({ do: 'report' })), gapsMs: [], silentMs: [] }),
  });
}

/** A farm whose calls all begin on call-1: the others are drained meanwhile. */
async function establish(farm: Farm, phones: Phones, calls: number): Promise<void> {
  await waitFor('every node to be up', async () => (await farm.status()).nodes.every(node => node.state === 'up'), {
    deadlineMs: 60_000,
    everyMs: 300,
  });
  await warmUp(farm, phones);
  await farm.json('drain', 'call-2');
  await phones.ask({ do: 'call', count: muteCalls, perSecond: 20, dial: '9001', mute: true });
  await phones.ask({ do: 'call', count: calls, perSecond: 20, dial: '70001' });
  await callsAre(phones, calls + muteCalls / 2);
  await farm.json('undrain', 'call-2');
  await new Promise(resolve => setTimeout(resolve, 2_000));
}

/** The largest gaps of an untouched second or two, and then those around the death. */
async function silences(
  phones: Phones,
  die: () => Promise<void>,
): Promise<{ before: number; gaps: readonly number[] }> {
  await phones.ask({ do: 'reset' });
  await new Promise(resolve => setTimeout(resolve, 1_500));
  const before = percentile((await phones.ask({ do: 'report' })).gapsMs, 0.99);
  await phones.ask({ do: 'reset' });
  await die();
  await new Promise(resolve => setTimeout(resolve, 1_000));
  const after = await phones.ask({ do: 'report' });
  // A phone that hears nothing at all any more has its silence still before it.
  return { before, gaps: after.gapsMs.map((gap, i) => Math.max(gap, after.silentMs[i] ?? 0)) };
}

async function lastRecovery(farm: Farm, earlier: number): Promise<Recovery> {
  return waitFor(
    'the recovery',
    async () => {
      const all = await farm.json<readonly Recovery[]>('recoveries');
      const last = all.length > earlier ? all.at(-1) : undefined;
      const { found = 0, recovered = 0, ended = 0, failed = 0 } = last?.sessions ?? {};
      return recovered + ended + failed === found ? last : undefined;
    },
    { deadlineMs: 30_000, everyMs: 300 },
  );
}

async function run(part: string, calls: number): Promise<Row> {
  // The phones and the RTPEngines must not take all of the machine before anything has happened.
  const packetMs = calls > 150 ? 60 : calls > 50 ? 40 : 20;
  const config = (await localConfig()).replace(
    'twoParty: call-node',
    part === 'conference' ? 'twoParty: conference-farm' : 'twoParty: call-node',
  );
  const farm = await Farm.up({ config });
  const phones = await Phones.start({
    ...{
      callerAddress: farm.host(200),
      calleeAddress: farm.host(208),
      edge: farm.host(100),
      packetMs,
      answerAfterMs: farMs,
    },
  });
  try {
    await establish(farm, phones, calls);
    const victim = { call: 'call-1', conference: 'conference-1', engine: 'rtpengine-1' }[part] ?? 'call-1';
    const pid = await farm.pid(victim);
    const earlier = (await farm.json<readonly Recovery[]>('recoveries')).length;
    const { before, gaps } = await silences(phones, async () => {
      process.kill(pid, 'SIGKILL');
      // Quiet meanwhile: what asks takes its share of the cores.
      await new Promise(resolve => setTimeout(resolve, 500 + calls * 20));
      await lastRecovery(farm, earlier);
    });
    const recovery = await lastRecovery(farm, earlier);
    const log = arguments_.get('log');
    if (log !== undefined) await copyFile(join(farm.state, 'log', 'daemon.log'), log);
    const bareMs = part === 'call' && isPlain ? await compare(farm, calls) : Number.NaN;
    const touched = part === 'call' ? gaps : [...gaps].sort((a, b) => b - a).slice(0, recovery.sessions.found);
    return {
      ...{
        calls,
        packetMs,
        before,
        bareMs,
        detectedMs: recovery.detectedMs,
        lastUpMs: recovery.lastUpMs ?? Number.NaN,
      },
      ...{ recovered: recovery.sessions.recovered, found: recovery.sessions.found },
      silence: [percentile(touched, 0.5), percentile(touched, 0.99), percentile(touched, 1)],
    };
  } finally {
    phones.end();
    await farm.down();
  }
}

/** The bare loop takes the daemon's place at the Asterisks: an application has one listener. */
async function compare(farm: Farm, calls: number): Promise<number> {
  await waitFor('every node to be up', async () => (await farm.status()).nodes.every(node => node.state === 'up'), {
    deadlineMs: 60_000,
    everyMs: 300,
  });
  // What the ledger has learnt from the recovery is in the store by then.
  await new Promise(resolve => setTimeout(resolve, 2_000));
  const victim = await farm.pid('call-2');
  const note = await readSupervisorNote(farm.state);
  if (!note?.daemon) throw new Error('the farm has no daemon');
  // Its supervisor first, which would start it again.
  for (const { pid } of [note.supervisor, note.daemon]) process.kill(pid, 'SIGKILL');
  const start: BareLoopStart = { state: farm.state, address: farm.host(31), victim, warmUp: warmUpCalls };
  const loop = fork(new URL('./bare-loop.js', import.meta.url), [JSON.stringify(start)], { execArgv: nodeFlags });
  const { legs, tookMs } = await new Promise<BareLoopReport>((resolve, reject) => {
    loop.once('message', report => resolve(report as BareLoopReport));
    loop.once('exit', code => reject(new Error(`the bare loop ended with ${code ?? 'a signal'}`)));
  });
  if (legs !== 2 * calls) throw new Error(`the bare loop found ${legs} legs of ${2 * calls}`);
  return tookMs;
}

function formatRatio(row: Measured): string {
  const all = row.ratios.map(ratio => ratio.toFixed(2)).join(', ');
  return row.ratios.length === 1 ? all : `${ratioOf(row).toFixed(2)} (${all})`;
}

function ratioOf(row: Row): number {
  return (row.lastUpMs - row.detectedMs) / row.bareMs;
}

/** The run in the middle, with the ratios of all of them. */
function middle(part: string, runs: readonly Row[]): Measured {
  const by = part === 'call' && isPlain ? ratioOf : (row: Row): number => row.lastUpMs;
  const sorted = [...runs].sort((a, b) => by(a) - by(b));
  const row = sorted[Math.floor((sorted.length - 1) / 2)];
  if (!row) throw new Error('no run');
  const worst = [...runs].sort((a, b) => a.recovered / a.found - b.recovered / b.found)[0] ?? row;
  return { ...row, recovered: worst.recovered, found: worst.found, ratios: sorted.map(ratioOf) };
}

function table(part: string, rows: readonly Measured[]): string {
  const bare = part === 'call' && isPlain;
  const head = [
    'calls',
    'sessions',
    'recovered',
    'detected',
    'last one up',
    'sessions/s',
    'silence p50 / p99 / max',
    'largest gap before',
  ];
  const lines = rows.map(row => [
    ...[`${row.calls}${row.packetMs === 20 ? '' : ` (${row.packetMs} ms packets)`}`, row.found],
    ...[`${row.recovered} (${((100 * row.recovered) / Math.max(1, row.found)).toFixed(1)} %)`, `${row.detectedMs} ms`],
    ...[`${row.lastUpMs} ms`, Math.round((1000 * row.recovered) / Math.max(1, row.lastUpMs - row.detectedMs))],
    ...[`${row.silence.join(' / ')} ms`, `${row.before} ms`],
    ...(bare ? [`${Math.round(row.bareMs)} ms`, formatRatio(row)] : []),
  ]);
  const all = [[...head, ...(bare ? ['bare loop', 'ratio'] : [])], ...lines].map(cells => `| ${cells.join(' | ')} |`);
  return [all[0], `|${'---|'.repeat(head.length + (bare ? 2 : 0))}`, ...all.slice(1)].join('\n');
}

const runs = Number(arguments_.get('runs') ?? 3);
const results = new Map<string, Measured[]>();
for (const part of parts) {
  for (const calls of sizes) {
    const measured: Row[] = [];
    for (let i = 0; i < runs; i++) measured.push(await run(part, calls));
    const row = middle(part, measured);
    results.set(part, [...(results.get(part) ?? []), row]);
    console.log(`${part}\n${table(part, results.get(part) ?? [])}\n`);
  }
}
if (process.argv.includes('--write') && isPlain) {
  const file = join(projectRoot, 'docs/recovery-benchmark.md');
  let text = await readFile(file, 'utf8');
  for (const [part, rows] of results) {
    text = text.replace(
      new RegExp(`(<!-- ${part} -->\n)[\\s\\S]*?(\n<!-- end -->)`),
      (_, open: string, close: string) => `${open}${table(part, rows)}${close}`,
    );
  }
  const packages = execFileSync('dpkg-query', ['-W', '-f', '${Package} ${Version}, ', 'kamailio', 'rtpengine-daemon']);
  const { key } = JSON.parse(await readFile(join(projectRoot, '.build/asterisk.json'), 'utf8')) as { key: string };
  const cores = `${cpus().length} cores of ${cpus()[0]?.model ?? 'an unknown processor'}`;
  const machine = `${cores}, Node ${process.version}, ${packages.toString()}Asterisk ${key}`;
  text = text.replace(
    /(<!-- machine -->\n)[\s\S]*?(\n<!-- end -->)/,
    (_, open: string, close: string) => `${open}${machine}, ${new Date().toISOString().slice(0, 10)}.${close}`,
  );
  await writeFile(file, text);
}
process.exit(0);
