// Honest calls at a rate through a farm that is scanned, flooded, guessed at and tortured meanwhile: by each alone and by all at once.
//
//   node dist/test/bench/attack/attack.bench.js [--part strangers,rounds,trunk] [--seconds 20] [--rate 30] [--times 1] [--rounds 8] [--write]
//
// strangers: one attack after the other. rounds: all of them at once, and again, as only that shows whether memory is lost or was
// needed. trunk: the same faults from the address of a trunk, which the edge lets in. `times`: of the usual sizes of floods.
// Exits 1 where an honest call fails, a process dies, a call stays or a scanner is answered. --write puts the tables into
// docs/attack-benchmark.md.
import { parseArgs } from 'node:util';
import type { BanStatus } from '../../../core/control/views.js';
import { attacks, type AttackName } from '../../harness/attackers.js';
import { Farm } from '../../harness/farm.js';
import { localConfig } from '../../harness/local-config.js';
import { SipEndpoint } from '../../harness/sip-endpoint.js';
import { waitFor } from '../../harness/wait-for.js';
import { writeBench } from '../bench-doc.js';
import { offer, openCallee, percentile, type Load } from '../calls/load.js';
import { cpuOfFarm, cpuPerSecond, memoryOfFarm, table, type Cpu } from './farm-cost.js';

const { values } = parseArgs({
  options: {
    part: { type: 'string', default: 'strangers,rounds,trunk' },
    seconds: { type: 'string', default: '20' },
    rate: { type: 'string', default: '30' },
    times: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '8' },
    write: { type: 'boolean', default: false },
  },
});
const [seconds, rate, times] = [Number(values.seconds), Number(values.rate), Number(values.times)];
const parts = values.part.split(',');
/** Of each stretch, whatever the time. */
const mutations = 10_000;
/** A trunk's mutations call too: so few a second that what calls of them and the honest ones are carried together. */
const trunkSeconds = 3 * seconds;
/** Nobody acknowledges an answer to those, and an Asterisk waits twice 32 s (RFC 3261 timers H and F). */
const lastCallMs = 120_000;
const [domain, phoneHost] = ['holdfast.test', 225];

const alone: readonly (readonly [what: string, names: readonly AttackName[]])[] = [
  ['nothing', []],
  ['a scanner (`friendly-scanner`)', ['scan']],
  ['REGISTERs, one address', ['registers']],
  ['REGISTERs, 13 forged addresses, one of them a phone that calls', ['forgedRegisters']],
  ['wrong passwords, 6 addresses', ['guesses']],
  ['INVITEs, one address', ['invites']],
  ['INVITEs, 13 forged addresses, one of them a phone that calls', ['forgedInvites']],
  ['malformed SIP', ['malformed']],
  [`${mutations} mutations of real messages and RFC 4475`, ['strangersMutations']],
];
const strangers = alone.flatMap(([, names]) => names);

interface Stretch {
  readonly what: string;
  readonly honest: Load;
  readonly sent: number;
  readonly answers: ReadonlyMap<AttackName, number>;
  /** ms of CPU a second. */
  readonly cpu: Cpu;
  /** Calls that were up when the last honest one was over, and those that never ended. */
  readonly begun: number;
  readonly left: number;
}

async function stretch(what: string, names: readonly AttackName[], forSeconds = seconds): Promise<Stretch> {
  let over = false;
  const mutationsPerSecond = (2 * mutations) / forSeconds;
  const all = attacks({ farm, domain, phoneHost, real, mutationsPerSecond, times });
  const startedMs = performance.now();
  const before = await cpuOfFarm(farm);
  const running = names.map(async name => [name, await all[name](() => over)] as const);
  const honest = await offer(farm, rate, forSeconds).finally(() => (over = true));
  const floods = await Promise.all(running);
  const cpu = cpuPerSecond(before, await cpuOfFarm(farm), (performance.now() - startedMs) / 1_000);
  const begun = (await farm.calls()).length;
  await waitFor('all calls to be over', async () => (await farm.calls()).length === 0, {
    ...{ deadlineMs: lastCallMs, everyMs: 500 },
  }).catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
  const left = (await farm.calls()).length;
  const sent = floods.reduce((sum, [, one]) => sum + one.sent, 0) / forSeconds;
  const answers = new Map(floods.map(([name, one]) => [name, one.answers]));
  const done = { what, honest, sent, answers, cpu, begun, left };
  process.stderr.write(`${rowOf(done).join(' | ')}, ${JSON.stringify([...answers])}\n`);
  return done;
}

function rowOf({ what, honest, sent, answers, cpu }: Stretch): (string | number)[] {
  const answered = [...answers.values()].reduce((sum, one) => sum + one, 0);
  const setUp = [0.5, 0.99].map(p => Math.round(percentile(honest.setUpMs, p))).join(' / ');
  const shares = [cpu.kamailio, cpu.asterisk, cpu.rtpengine, cpu.daemon, cpu.machine].map(ms => Math.round(ms));
  return [what, Math.round(sent), answered, honest.calls, honest.failed, setUp, ...shares];
}

function stretchTable(stretches: readonly Stretch[]): string {
  const head = ['attack', 'messages/s', 'answers', 'honest calls', 'failed', 'set-up p50 / p99, ms'];
  return table([...head, 'Kamailios', 'Asterisks', 'RTPEngines', 'daemon', 'machine'], stretches.map(rowOf));
}

function memoryTable(times: readonly ReadonlyMap<string, number>[]): string {
  const rows = [...(times[0]?.keys() ?? [])].map(part => [part, ...times.map(time => Math.round(time.get(part) ?? 0))]);
  return table(['MB', 'before', ...times.slice(1).map((_, i) => `after ${i + 1}`)], rows);
}

async function openPhone(): Promise<SipEndpoint> {
  const credentials = { username: '1001', password: 'alice-secret' };
  return SipEndpoint.open({ address: farm.host(phoneHost), codecs: ['PCMA'], user: '1001', domain, credentials });
}

/** Of one call with a password, all that the phone has sent and got. */
async function realMessages(phone: SipEndpoint): Promise<readonly string[]> {
  const call = await phone.invite(farm.uri('9001'), { from: `<sip:1001@${domain}>;tag=honest` });
  await call.answered();
  await call.hangup();
  return phone.ladder.rows().map(({ message }) => message.toString());
}

async function measure(): Promise<readonly Stretch[]> {
  const done: Stretch[] = [];
  if (parts.includes('strangers')) {
    for (const [what, names] of alone) done.push(await stretch(what, names));
    results.set('strangers', stretchTable(done));
  }
  if (parts.includes('rounds')) {
    const memory = [await memoryOfFarm(farm)];
    const rounds: Stretch[] = [];
    for (let round = 1; round <= Number(values.rounds); round++) {
      rounds.push(await stretch(`all of it, round ${round}`, strangers, 2 * seconds));
      memory.push(await memoryOfFarm(farm));
      process.stderr.write(`${JSON.stringify([...(memory.at(-1) ?? [])])}\n`);
    }
    results.set('rounds', stretchTable(rounds)).set('memory', memoryTable(memory));
    done.push(...rounds);
  }
  if (parts.includes('trunk')) {
    const one = await stretch(`${mutations} mutations`, ['trunksMutations', 'torture'], trunkSeconds);
    results.set('trunk', stretchTable([one]));
    done.push(one);
  }
  return done;
}

const results = new Map<string, string>();
const farm = await Farm.up({ config: await localConfig() });
const phone = await openPhone();
const callee = await openCallee(farm);
let real: readonly string[] = [];
try {
  real = await realMessages(phone);
  // Warm: what is allocated once is not held against anybody.
  await offer(farm, rate, 10);
  await farm.idle();
  const pids = await farm.pids();
  const done = await measure();
  const died = [...(await farm.pids())].filter(([name, pid]) => pids.get(name) !== pid).map(([name]) => name);
  const bans = (await farm.json<BanStatus[]>('bans', 'list')).map(({ source }) => source.replace(/^.*\./, '.'));
  const sum = (of: (one: Stretch) => number): number => done.reduce((all, one) => all + of(one), 0);
  const bad = {
    died: died.join(' '),
    failed: sum(one => one.honest.failed),
    left: sum(one => one.left),
    scanned: sum(one => one.answers.get('scan') ?? 0),
  };
  for (const [name, text] of results) process.stdout.write(`${name}\n${text}\n\n`);
  process.stdout.write(
    `${JSON.stringify({ ...bad, mostCallsBegun: Math.max(...done.map(one => one.begun)) })}\nbanned: ${bans.join(' ')}\n`,
  );
  if (values.write) await writeBench('attack-benchmark.md', results);
  process.exitCode = died.length + bad.failed + bad.left + bad.scanned === 0 ? 0 : 1;
} finally {
  await Promise.allSettled([phone.close(), callee.stop(500)]);
  await farm.down();
}
