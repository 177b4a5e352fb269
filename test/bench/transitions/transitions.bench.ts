// What phones hear of transitions: the largest time without RTP at each that stays, beside that at the phones of a call that nothing happens to.
// `--times 20`: of each; `--write`: into docs/transitions-benchmark.md.
import { callDaemon } from '../../../core/control/control-client.js';
import type { OperationName, ParamsOf, ResultOf } from '../../../core/control/operations.js';
import { statePaths } from '../../../core/host/state-folder.js';
import { Farm } from '../../harness/farm.js';
import { signallingConfig } from '../../harness/signalling-config.js';
import type { SipCall } from '../../harness/sip-call.js';
import { SipEndpoint } from '../../harness/sip-endpoint.js';
import { writeBench } from '../bench-doc.js';

/** A phone with a tone of its own in a call. */
interface Speaker {
  readonly call: SipCall;
  readonly hz: number;
}

interface Pair {
  readonly caller: Speaker;
  readonly callee: Speaker;
  readonly id: string;
}

/** Largest times without RTP, ms, and re-INVITEs. */
interface Measured {
  readonly gaps: number[];
  readonly untouched: number[];
  reinvites: number;
}

/** Tones of those who may be in one conference. */
const tones = [440, 660, 880, 1100];
/** How long is listened before and after a transition, so that a gap that spans one of its ends is seen whole. */
const marginMs = 250;

const at = process.argv.indexOf('--times');
const times = at < 0 ? 20 : Number(process.argv[at + 1]);

const farm = await Farm.up({ config: await signallingConfig() });
const alice = await phone(200, '100');
const erin = await phone(201, '101');
const [bob, carol, dave] = [await phone(208), await phone(215), await phone(213)];
/** The untouched call's, apart from the others, as are its gateway and its tones. */
const [frank, grace] = [await phone(202, '102'), await phone(211)];

function phone(host: number, user?: string): Promise<SipEndpoint> {
  return SipEndpoint.open({ address: farm.host(host), codecs: ['PCMU'], ...(user === undefined ? {} : { user }) });
}

function ask<Op extends OperationName>(op: Op, params: ParamsOf<Op>): Promise<ResultOf<Op>> {
  return callDaemon(statePaths(farm.state).controlSocket, op, params);
}

/** Each hears exactly all others. */
async function hearEachOther(speakers: readonly Speaker[]): Promise<void> {
  const heard = speakers.map(({ call, hz }) => {
    const others = speakers.map(one => one.hz).filter(one => one !== hz);
    return call.audio.hearsMix(
      others,
      tones.filter(one => !others.includes(one)),
      20_000,
    );
  });
  await Promise.all(heard);
}

async function call(from: SipEndpoint, number: string, far: SipEndpoint, hz: readonly number[]): Promise<Pair> {
  const arriving = far.incoming(10_000);
  const caller = await from.invite(farm.uri(number));
  const callee = await arriving;
  await callee.answer();
  await caller.answered();
  caller.audio.sendTone(hz[0] ?? 0);
  callee.audio.sendTone(hz[1] ?? 0);
  const pair = {
    caller: { call: caller, hz: hz[0] ?? 0 },
    callee: { call: callee, hz: hz[1] ?? 0 },
    id: caller.callId,
  };
  await hearEachOther([pair.caller, pair.callee]);
  return pair;
}

async function rest(): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, marginMs));
}

/** Somebody whom a command has called answers; resolves when the command is done. */
async function comesIn(far: SipEndpoint, hz: number, command: () => Promise<unknown>): Promise<Speaker> {
  const arriving = far.incoming(10_000);
  const done = command();
  done.catch(() => undefined);
  const come = await arriving;
  await come.answer();
  come.audio.sendTone(hz);
  await done;
  return { call: come, hz };
}

const results = new Map<string, Measured>();

/** Does one transition, and measures at those who stay and at the untouched call while it goes on. */
async function during<T>(
  name: string,
  stay: readonly Speaker[],
  untouched: Pair,
  transition: () => Promise<T>,
): Promise<T> {
  const measured = results.get(name) ?? { gaps: [], untouched: [], reinvites: 0 };
  results.set(name, measured);
  const others = [untouched.caller, untouched.callee];
  const before = stay.map(one => one.call.reinvites.length);
  for (const one of [...stay, ...others]) one.call.audio.resetReport();
  await rest();
  const done = await transition();
  await rest();
  const gapOf = ({ call: { audio } }: Speaker): number => {
    const { largestGapMs, silentForMs } = audio.report();
    return Math.max(largestGapMs, silentForMs);
  };
  measured.gaps.push(...stay.map(gapOf));
  measured.untouched.push(...others.map(gapOf));
  measured.reinvites += stay.reduce((sum, one, i) => sum + one.call.reinvites.length - (before[i] ?? 0), 0);
  return done;
}

/** One call after the other changes its shape, each way once. */
async function round(placement: string, untouched: Pair): Promise<void> {
  const named = (what: string): string => `${placement} | ${what}`;
  const first = await call(alice, '66001', carol, [440, 880]);
  const { caller: a, callee: c, id } = first;
  await during(named('the other party is put on hold'), [c], untouched, () => ask('callHold', { id, party: 'caller' }));
  await during(named('and taken off it'), [c], untouched, async () => {
    await ask('callUnhold', { id });
    await hearEachOther([a, c]);
  });
  const joins = placement === 'call-node' ? 'a third party comes in: to the conference farm' : 'a third party comes in';
  const d = await during(named(joins), [a, c], untouched, async () => {
    const come = await comesIn(dave, 1100, () => ask('callAdd', { id, number: '64001', by: 'caller' }));
    await hearEachOther([a, c, come]);
    return come;
  });
  await during(named('and leaves the two'), [a, c], untouched, async () => {
    await d.call.hangup();
    await hearEachOther([a, c]);
  });
  const second = await call(erin, '75001', bob, [660, 1100]);
  const all = [a, c, second.caller, second.callee];
  await during(named('two conferences become one'), all, untouched, async () => {
    await ask('conferenceMerge', { conference: id, other: second.id });
    await hearEachOther(all);
  });
  for (const one of all) await one.call.hangup();
  await transfers(named, untouched);
}

async function transfers(named: (what: string) => string, untouched: Pair): Promise<void> {
  const first = await call(alice, '66001', carol, [440, 880]);
  const { caller: a, id } = first;
  const b = await during(named('blind transfer'), [a], untouched, async () => {
    const come = await comesIn(bob, 660, () => ask('callTransfer', { id, to: '75001', replaced: 'callee' }));
    await hearEachOther([a, come]);
    return come;
  });
  await b.call.hangup();
  await a.call.ended();
  const [one, other] = [await call(alice, '66001', carol, [440, 880]), await call(alice, '64001', dave, [440, 1100])];
  const two = [one.callee, other.callee];
  await during(named('attended transfer'), two, untouched, async () => {
    await ask('callTransferToCall', { id: one.id, other: other.id, replaced: 'caller' });
    await hearEachOther(two);
  });
  await one.callee.call.hangup();
  await other.callee.call.ended();
}

function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * p) - 1)] ?? 0;
}

function row([name, { gaps, untouched, reinvites }]: readonly [string, Measured]): string {
  const figures = (values: readonly number[]): string =>
    `${[0.5, 0.95, 1].map(p => Math.round(percentile(values, p))).join(' / ')} ms`;
  const more = Math.round(percentile(gaps, 0.95) - percentile(untouched, 0.95));
  return `| ${name} | ${figures(gaps)} | ${figures(untouched)} | ${more} ms | ${reinvites} |`;
}

for (const placement of ['call-node', 'conference-farm'] as const) {
  await farm.reload((await signallingConfig()).replace(/twoParty: \S+/, `twoParty: ${placement}`));
  const untouched = await call(frank, '62001', grace, [440, 660]);
  for (let i = 0; i < times; i++) {
    await round(placement, untouched);
    if ((i + 1) % 5 === 0) console.error(`${placement}: ${i + 1} of ${times}`);
  }
  await untouched.caller.call.hangup();
}
const table = [
  '| `twoParty` | transition | gap at a phone that stays, p50 / p95 / max | at the untouched call | p95 above it | re-INVITEs |',
  '| --- | --- | --- | --- | --- | --- |',
  ...[...results].map(row),
].join('\n');
console.log(table);
await Promise.allSettled([alice, erin, bob, carol, dave, frank, grace].map(one => one.close()));
await farm.down();
if (process.argv.includes('--write')) await writeBench('transitions-benchmark.md', new Map([['transitions', table]]));
