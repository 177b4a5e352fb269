// How many messages a second the trace's thread can take with the ledger behind it, and what a dialog costs in memory.
// Run: node dist/test/bench/ledger/ledger.bench.js
import { cpus } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DialogLedger } from '../../../core/ledger/dialog-ledger.js';
import { encodeHep, type HepEnd } from '../../../core/trace/hep-packet.js';
import { LegCallIds } from '../../../core/trace/leg-call-ids.js';
import type { TraceFarm } from '../../../core/trace/trace-farm.js';
import { TraceIntake } from '../../../core/trace/trace-intake.js';
import { TraceLog } from '../../../core/trace/trace-log.js';
import { feed, LedgerFlow, type FlowMessage } from '../../harness/ledger-flow.js';

const kamailio = { inside: '127.9.7.21', outside: '127.9.7.11' };
const nodes: Readonly<Record<string, string>> = { 'call-1': '127.9.7.31', 'call-2': '127.9.7.32' };
const farm: TraceFarm = {
  instances: [{ name: 'kamailio-1', addresses: Object.values(kamailio), captureId: 1 }],
  asterisks: Object.fromEntries(Object.entries(nodes).map(([name, address]) => [address, name])),
};
/** Calls at the same time, and how many follow each other on each of these. */
const width = 500;
const rounds = 3;
const repeats = 5;
const neededPerSecond = 20_000;

setFlagsFromString('--expose_gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** A call with hold, resume, a session refresh and an INFO; as both Asterisk-side and outer copies. */
function callMessages(index: number): readonly FlowMessage[] {
  const role = index % 2 === 0 ? 'uac' : 'uas';
  const flow = new LedgerFlow({
    role,
    callId: `${index.toString(16).padStart(8, '0')}-7a3c-4f0e-9c1d-2b6f1e8d@127.9.7.31`,
    node: index % 4 < 2 ? 'call-1' : 'call-2',
    legId: `01J${index}-2`,
    startMs: Date.now(),
  });
  flow.setUp({ early: true }).refresh('them', 'sendonly').refresh('them', 'sendrecv');
  return flow.refresh('us', 'sendrecv', { method: 'UPDATE', refresh: true }).info('them').bye('them').messages;
}

/** Every message is seen twice: between Asterisk and Kamailio, and between Kamailio and the outside. */
function datagramsOf({ text, passage }: FlowMessage): Buffer[] {
  const payload = Buffer.from(text);
  const end = (address: string): HepEnd => ({ address, port: 5060 });
  const asterisk = end(nodes[passage.fromNode ?? passage.toNode ?? ''] ?? '');
  const [inner, outer, phone] = [end(kamailio.inside), end(kamailio.outside), end('192.0.2.7')];
  const ways =
    passage.fromNode === undefined
      ? [[phone, outer] as const, [inner, asterisk] as const]
      : [[asterisk, inner] as const, [outer, phone] as const];
  return ways.map(([source, destination]) =>
    encodeHep({ source, destination, atMs: passage.atMs, captureId: 1, authKey: 'key', payload }),
  );
}

/** As many calls at once as are open at the same time on the farm, message by message. */
function workload(): Buffer[] {
  const datagrams: Buffer[] = [];
  for (let round = 0; round < rounds; round++) {
    const calls = Array.from({ length: width }, (_, i) => callMessages(round * width + i));
    const longest = Math.max(...calls.map(messages => messages.length));
    for (let at = 0; at < longest; at++) {
      datagrams.push(...calls.flatMap(messages => messages.slice(at, at + 1)).flatMap(datagramsOf));
    }
  }
  return datagrams;
}

function messagesPerSecond(datagrams: readonly Buffer[], ledger: DialogLedger | undefined): number {
  const options = { farm, authKey: 'key', ledger, onLeg: (): void => undefined };
  const intake = new TraceIntake(new TraceLog(), new LegCallIds(20_000), options);
  collectGarbage();
  const startMs = performance.now();
  for (const datagram of datagrams) {
    intake.take(datagram, kamailio.inside, performance.now());
  }
  const seconds = (performance.now() - startMs) / 1000;
  if (intake.counters.decoded !== datagrams.length) throw new Error('the intake refused messages of this benchmark');
  ledger?.drain();
  return datagrams.length / seconds;
}

function bytesPerDialog(count: number): { measured: number; estimated: number } {
  const ledger = new DialogLedger({ dialogs: count, bytes: Number.MAX_SAFE_INTEGER });
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < count; i++) feed(ledger, callMessages(i).slice(0, 12));
  ledger.drain();
  collectGarbage();
  const measured = (process.memoryUsage().heapUsed - before) / count;
  const { dialogs, ledgerBytes } = ledger.counters;
  if (dialogs !== count) throw new Error(`${dialogs} dialogs instead of ${count}`);
  return { measured, estimated: ledgerBytes / count };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

const datagrams = workload();
messagesPerSecond(datagrams, new DialogLedger());
// Alternately, so that both see the same of a machine that others use too.
const pairs = Array.from({ length: repeats }, () => ({
  bare: messagesPerSecond(datagrams, undefined),
  full: messagesPerSecond(datagrams, new DialogLedger()),
}));
const [bare, full] = [median(pairs.map(pair => pair.bare)), median(pairs.map(pair => pair.full))];
const memory = bytesPerDialog(20_000);

const say = (line: string): void => void process.stdout.write(`${line}\n`);
say(
  `${cpus()[0]?.model ?? 'unknown CPU'}, node ${process.version}: ${datagrams.length} messages of ${width * rounds} dialogs`,
);
say(`intake alone       ${Math.round(bare)} messages/s`);
say(
  `intake and ledger  ${Math.round(full)} messages/s, ${(full / bare).toFixed(2)} of it (needed: ${neededPerSecond})`,
);
say(
  `memory             ${Math.round(memory.measured)} bytes per confirmed dialog (the ledger reckons ${Math.round(memory.estimated)})`,
);
if (full < neededPerSecond) process.exitCode = 1;
