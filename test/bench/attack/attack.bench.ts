// Honest calls at a rate through a farm that is scanned, flooded, guessed at and tortured meanwhile, and what that does to its processes.
//
//   node dist/test/bench/attack/attack.bench.js [--seconds 60] [--rate 30] [--write]
//
// Twice, as only the second time shows whether memory is lost or was needed. Exits 1 where an honest call fails, a process dies, a call
// stays or a scanner is answered. --write puts the table into docs/edge-defence.md.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { BanStatus } from '../../../core/control/views.js';
import { attackAll, type AttackReport } from '../../harness/attackers.js';
import { Farm } from '../../harness/farm.js';
import { projectRoot } from '../../harness/project-root.js';
import { SipEndpoint } from '../../harness/sip-endpoint.js';
import { Sipp } from '../../harness/sipp.js';
import { waitFor } from '../../harness/wait-for.js';
import { writeBench } from '../bench-doc.js';
import { familyOf, residentKb } from '../calls/process-cost.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    rate: { type: 'string', default: '30' },
    write: { type: 'boolean', default: false },
  },
});
const [seconds, rate] = [Number(values.seconds), Number(values.rate)];
/** Of each round, whatever the time. */
const mutations = 10_000;
/** The mutations call too; nobody acknowledges an answer to them, and an Asterisk waits twice 32 s (RFC 3261 timers H and F). */
const lastCallMs = 120_000;
const [domain, phoneHost] = ['holdfast.test', 225];

interface Honest {
  readonly total: number;
  readonly failed: number;
  readonly errors: string;
}

interface Round {
  readonly honest: Honest;
  readonly attack: AttackReport;
  /** Calls that were up when the last honest one was over, and those that never ended. */
  readonly begun: number;
  readonly left: number;
  readonly memory: ReadonlyMap<string, number>;
}

const farm = await Farm.up({ config: await readFile(join(projectRoot, 'examples/local.yaml'), 'utf8') });
const ends: SipEndpoint[] = [];
try {
  const own = { codecs: ['PCMA'] } as const;
  const credentials = { username: '1001', password: 'alice-secret' };
  const phone = await SipEndpoint.open({ address: farm.host(phoneHost), user: '1001', domain, credentials, ...own });
  const guesser = await SipEndpoint.open({ address: farm.host(231), ...own });
  ends.push(phone, guesser);
  const call = await phone.invite(farm.uri('9001'), { from: `<sip:1001@${domain}>;tag=honest` });
  await call.answered();
  await call.hangup();
  const real = phone.ladder.rows().map(({ message }) => message.toString());

  // Warm: what is allocated once is not held against anybody.
  await honestCalls(rate * 5);
  const [before, pids] = [await memory(), await farm.pids()];
  const rounds = [await attacked(real, guesser), await attacked(real, guesser)];
  const died = [...(await farm.pids())].filter(([name, pid]) => pids.get(name) !== pid).map(([name]) => name);
  const bans = await farm.json<BanStatus[]>('bans', 'list');
  const sumOf = (of: (round: Round) => number): number => rounds.reduce((sum, round) => sum + of(round), 0);
  const [failed, scanned, left] = [
    sumOf(one => one.honest.failed),
    sumOf(one => one.attack.scanned),
    sumOf(one => one.left),
  ];
  const result = table(
    ['', ''],
    [
      ['honest calls', `${sumOf(one => one.honest.total)}, ${rate} a second`],
      ['of them failed', failed],
      ['mutated messages', sumOf(one => one.attack.mutations)],
      ['calls that these began, most at a time', Math.max(...rounds.map(({ begun }) => begun))],
      ['calls that never ended', left],
      ['answers to the scanner', scanned],
      ['banned', bans.map(({ source }) => source.replace(/^.*\./, '.')).join(' ')],
      ['processes that died', died.length],
      ...memoryRows(before, ...rounds.map(round => round.memory)),
    ],
  );
  process.stdout.write(`${result}\n${rounds.map(round => round.honest.errors).join('\n')}\n${died.join(' ')}\n`);
  if (values.write) await writeBench('edge-defence.md', new Map([['attack', result]]));
  process.exitCode = failed + died.length + scanned + left === 0 ? 0 : 1;
} finally {
  await Promise.allSettled(ends.map(one => one.close()));
  await farm.down();
}

async function attacked(real: readonly string[], guesser: SipEndpoint): Promise<Round> {
  let over = false;
  const isOver = (): boolean => over;
  const attacks = attackAll({ farm, domain, phoneHost, real, mutationsPerSecond: mutations / seconds, isOver });
  const guesses = guess(guesser, isOver);
  const honest = await honestCalls(rate * seconds).finally(() => (over = true));
  const begun = (await farm.calls()).length;
  const [attack] = await Promise.all([attacks, guesses]);
  await waitFor('all calls to be over', async () => (await farm.calls()).length === 0, {
    ...{ deadlineMs: lastCallMs, everyMs: 1_000 },
  }).catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
  return { honest, attack, begun, left: (await farm.calls()).length, memory: await memory() };
}

async function honestCalls(calls: number): Promise<Honest> {
  // One that is lost waits for ever, and has failed.
  const deadlineMs = (calls / rate) * 1_000 + 40_000;
  const uas = await Sipp.uas({ address: farm.host(208), deadlineMs: 2 * deadlineMs });
  const target = { address: farm.host(100), port: 5060 };
  const uac = await Sipp.uac({
    ...{ address: farm.host(200), target, service: '70001', calls, rate, holdMs: 1_000, deadlineMs },
    // A 180 that its 200 has overtaken is no failure of a phone.
    lenient: true,
  });
  const { total, successful, errors } = await uac.finished();
  const callee = await uas.stop();
  const ofCallee = callee.failed > 0 ? `\ncallee (${callee.exitCode ?? 'killed'}): ${callee.errors}` : '';
  return { total, failed: total - successful, errors: errors.slice(0, 2_000) + ofCallee.slice(0, 2_000) };
}

async function guess(guesser: SipEndpoint, isOver: () => boolean): Promise<void> {
  const wrong = { username: '1002', password: 'guessed' };
  while (!isOver()) {
    await guesser
      .invite(farm.uri('9001'), { credentials: wrong })
      .then(one => one.rejected(500))
      .catch(() => undefined);
  }
}

/** MB of each farm's processes together, and of the daemon. */
async function memory(): Promise<ReadonlyMap<string, number>> {
  const { daemon, nodes } = await farm.status();
  const all = [{ farm: 'daemon', pid: daemon.pid }, ...nodes.map(({ farm, pid }) => ({ farm, pid: pid ?? 0 }))];
  const sums = new Map<string, number>();
  for (const { farm, pid } of all) {
    const family = farm === 'kamailio' ? await familyOf(pid) : [pid];
    for (const one of family) sums.set(farm, (sums.get(farm) ?? 0) + (await residentKb(one)) / 1024);
  }
  return sums;
}

function memoryRows(...times: readonly ReadonlyMap<string, number>[]): (string | number)[][] {
  const farms = [...(times[0]?.keys() ?? [])];
  return farms.map(farm => [
    `MB of ${farm}: before, after one round, after two`,
    times.map(time => Math.round(time.get(farm) ?? 0)).join(', '),
  ]);
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n');
}
