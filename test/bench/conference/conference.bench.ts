// Measures what a conference costs: a room of Holdfast and ConfBridge() on the same Asterisk in the same run, joining it, and 1:1 calls.
//
//   node dist/test/bench/conference/conference.bench.js [--participants 24] [--seconds 20] [--joins 40] [--calls 8] [--write]
//
// --write puts the tables into docs/conference-benchmark.md.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SipEndpoint } from '../../harness/sip-endpoint.js';
import type { OutgoingCall } from '../../harness/outgoing-call.js';
import { waitFor } from '../../harness/wait-for.js';
import { writeBench } from '../bench-doc.js';
import { BenchFarm, measuredParts } from '../calls/contenders.js';
import { percentile } from '../calls/load.js';

function argument(name: string, usual: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? usual : Number(process.argv[at + 1]);
}

const participants = argument('participants', 24);
const seconds = argument('seconds', 20);
const joins = argument('joins', 40);
const calls = argument('calls', 8);
const room = '8001';

/** CPU of each part, ms a second. */
type Shares = Readonly<Record<(typeof measuredParts)[number], number>>;

async function shares(bench: BenchFarm): Promise<Shares> {
  const before = await bench.cpu();
  const startedMs = performance.now();
  await new Promise(resolve => setTimeout(resolve, seconds * 1_000));
  const tookSeconds = (performance.now() - startedMs) / 1_000;
  const after = await bench.cpu();
  return Object.fromEntries(
    measuredParts.map((part, i) => [part, ((after[i] ?? 0) - (before[i] ?? 0)) / tookSeconds]),
  ) as Shares;
}

function less(spent: Shares, idle: Shares, by: number): Shares {
  return Object.fromEntries(measuredParts.map(part => [part, (spent[part] - idle[part]) / by])) as Shares;
}

interface Joined {
  readonly call: OutgoingCall;
  /** From its INVITE to its 200, and to the first audio. */
  readonly answeredMs: number;
  readonly heardMs: number;
}

async function enter(phone: SipEndpoint, bench: BenchFarm): Promise<Joined> {
  const startedMs = performance.now();
  const call = await phone.invite(bench.farm.uri(room));
  await call.answered(20_000);
  const answeredMs = performance.now() - startedMs;
  call.audio.sendTone(300 + 10 * (phone.calls.length % 50));
  await waitFor('audio', () => call.audio.report().packets > 0, { deadlineMs: 20_000, everyMs: 1 });
  return { call, answeredMs, heardMs: performance.now() - startedMs };
}

interface RoomCost {
  readonly name: string;
  readonly each: Shares;
  readonly answered: readonly number[];
  readonly heard: readonly number[];
}

/** A full room whose participants all speak, and some who join it one after the other. */
async function roomOf(name: string, bench: BenchFarm, phone: SipEndpoint): Promise<RoomCost> {
  process.stderr.write(`${name}\n`);
  const idle = await shares(bench);
  const present: Joined[] = [];
  for (let i = 0; i < participants; i++) present.push(await enter(phone, bench));
  await new Promise(resolve => setTimeout(resolve, 2_000));
  const each = less(await shares(bench), idle, participants);
  const late: Joined[] = [];
  for (let i = 0; i < joins; i++) {
    const joined = await enter(phone, bench);
    late.push(joined);
    await joined.call.hangup();
    joined.call.close();
  }
  await Promise.all(present.map(({ call }) => call.hangup()));
  for (const { call } of present) call.close();
  await waitFor('the room to be over', () => bench.isIdle(), { deadlineMs: 40_000, everyMs: 200 });
  return { name, each, answered: late.map(one => one.answeredMs), heard: late.map(one => one.heardMs) };
}

/** Every call reaches the conference node by way of the call node, as a participant of Holdfast's does. */
async function giveToConfBridge(bench: BenchFarm): Promise<void> {
  await bench.endDaemon();
  const config = [
    ...['[general]', '[default_user]', 'type=user', 'quiet=yes', 'announce_join_leave=no', 'dtmf_passthrough=no'],
    ...['[default_bridge]', 'type=bridge', 'mixing_interval=20', ''],
  ].join('\n');
  await writeFile(join(bench.farm.state, 'nodes', 'conference-1', 'confbridge.conf'), config);
  await bench.loadModule('conference-1', 'app_confbridge');
  await bench.setDialplan('conference-1', 'Answer()\n same => n,ConfBridge(${EXTEN})');
  const conference = `sip:\${EXTEN}@${bench.farm.host(51)}:5060`;
  await bench.setDialplan('call-1', `Dial(PJSIP/conference/${conference},30)`);
}

/** Calls of two with audio both ways; CPU of a call. */
async function twoParty(bench: BenchFarm, placement: 'call-node' | 'conference-farm'): Promise<Shares> {
  process.stderr.write(`two parties, ${placement}\n`);
  await bench.give(placement);
  const [caller, callee] = await Promise.all([openPhone(bench, 201, '101'), openPhone(bench, 208, '70001')]);
  const idle = await shares(bench);
  const up: OutgoingCall[] = [];
  for (let i = 0; i < calls; i++) {
    const arriving = callee.incoming(20_000);
    const call = await caller.invite(bench.farm.uri('70001'));
    const called = await (await arriving).answer();
    await call.answered(20_000);
    call.audio.sendTone(440);
    called.audio.sendTone(660);
    up.push(call);
  }
  await Promise.all(up.map(call => call.audio.hears(660, 20_000)));
  const each = less(await shares(bench), idle, calls);
  await Promise.all(up.map(call => call.hangup()));
  await waitFor('the calls to be over', () => bench.isIdle(), { deadlineMs: 40_000, everyMs: 200 });
  await Promise.all([caller.close(), callee.close()]);
  return each;
}

function openPhone(bench: BenchFarm, host: number, user: string): Promise<SipEndpoint> {
  return SipEndpoint.open({ address: bench.farm.host(host), user, codecs: ['PCMU'] });
}

const ms = (value: number): string => `${value.toFixed(2)} ms/s`;
const edge = ({ kamailio, rtpengine }: Shares): number => kamailio + rtpengine;

/** The daemon's, and all of it. A daemon that has just begun, or taken another config, may be busier before the calls than with them. */
function programAndWhole(each: Shares): readonly [string, string] {
  const whole = measuredParts.reduce((sum, part) => sum + each[part], 0);
  if (each.program >= 0) return [ms(each.program), ms(whole)];
  return ['not measured', `${ms(whole - each.program)} without the daemon`];
}

function roomTable(costs: readonly RoomCost[]): string {
  const yardstick = costs.find(one => one.name.startsWith('ConfBridge'))?.each.conference ?? Number.NaN;
  return [
    '| | conference node | of ConfBridge | participants per core | call node | daemon | edge | whole farm |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...costs.map(({ name, each }) => {
      const [program, whole] = programAndWhole(each);
      const cells = [
        ms(each.conference),
        (each.conference / yardstick).toFixed(2),
        (1_000 / each.conference).toFixed(0),
      ];
      return `| ${[name, ...cells, ms(each.call), program, ms(edge(each)), whole].join(' | ')} |`;
    }),
  ].join('\n');
}

function joinTable(costs: readonly RoomCost[]): string {
  const both = (values: readonly number[]): string =>
    `${percentile(values, 0.5).toFixed(0)} / ${percentile(values, 0.99).toFixed(0)} ms`;
  return [
    '| | INVITE to 200, p50 / p99 | INVITE to the first audio, p50 / p99 |',
    '| --- | --- | --- |',
    ...costs.map(({ name, answered, heard }) => `| ${name} | ${both(answered)} | ${both(heard)} |`),
  ].join('\n');
}

function twoPartyTable(costs: Readonly<Record<string, Shares>>): string {
  return [
    '| | call node | conference node | daemon | edge | whole farm |',
    '| --- | --- | --- | --- | --- | --- |',
    ...Object.entries(costs).map(([name, each]) => {
      const [program, whole] = programAndWhole(each);
      return `| \`${name}\` | ${[ms(each.call), ms(each.conference), program, ms(edge(each)), whole].join(' | ')} |`;
    }),
  ].join('\n');
}

const bench = await BenchFarm.up();
const results = new Map<string, string>();
try {
  const placed = {
    'conference-farm': await twoParty(bench, 'conference-farm'),
    'call-node': await twoParty(bench, 'call-node'),
  };
  const phone = await openPhone(bench, 200, '100');
  const costs = [await roomOf('a room of Holdfast', bench, phone)];
  await giveToConfBridge(bench);
  costs.push(await roomOf('ConfBridge()', bench, phone));
  await phone.close();
  results.set('room', roomTable(costs)).set('join', joinTable(costs)).set('two', twoPartyTable(placed));
} finally {
  await bench.down();
}
for (const [name, text] of results) console.log(`${name}\n${text}\n`);
if (process.argv.includes('--write')) await writeBench('conference-benchmark.md', results);
process.exit(0);
