// A soak: calls by SIPp through a whole farm while its servers and its daemon are killed, and then every place asked for what is left.
import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import type { CallDetailRecord } from '../../../core/calls/call-facts.js';
import { callRecords } from '../../harness/call-records.js';
import { Farm } from '../../harness/farm.js';
import { leftovers } from '../../harness/leftovers.js';
import { Sipp } from '../../harness/sipp.js';
import { waitFor } from '../../harness/wait-for.js';
import { WebhookReceiver } from '../../harness/webhook-receiver.js';
import { residentKb } from '../calls/process-cost.js';
import { account, type Accounts } from './accounts.js';
import { TroubledReceiver, type Deliveries } from './deliveries.js';
import { Kills, type Kill } from './kills.js';

export interface SoakOptions {
  readonly calls: number;
  /** New calls a second. */
  readonly rate: number;
  /** Between the farm being whole again and the next kill. */
  readonly pauseMs: number;
  readonly progress: (line: string) => void;
}

export interface SoakReport {
  readonly accounts: Accounts;
  /** What the webhook's receiver had of the call records. */
  readonly deliveries: Deliveries;
  readonly kills: readonly Kill[];
  /** Phones that were in a call and never heard its end. */
  readonly phonesLeft: number;
  /** What is left anywhere, in words. */
  readonly left: readonly string[];
  readonly seconds: number;
  /** From the last call's end until nothing was left. */
  readonly quietSeconds: number;
  /** Open files of every process before and after. */
  readonly files: Comparison;
  /** Resident memory, MB. */
  readonly memory: Comparison;
}

export type Comparison = ReadonlyMap<string, readonly [before: number, after: number]>;

/** Who calls what, of a hundred: a trunk's number, a room on the conference farm, the echo test. */
const shares = [
  { service: '70001', host: 200, percent: 80 },
  { service: '8001', host: 201, percent: 10 },
  { service: '9001', host: 202, percent: 10 },
] as const;

const holdMs = 2_000;
/** So long a caller waits for an answer before it gives up. */
const patienceMs = 30_000;
/** A callee that hears nothing for so long has been forgotten. */
const forgottenMs = 60_000;
/** Tables of the store that have something in them only while there are calls. */
const tablesOfCalls = [
  ...['calls', 'conferences', 'dialogs', 'lost-sessions', 'media-moves'],
  ...['cdr-outbox', 'cdr-intent', 'cdr-webhook-outbox', 'cdr-webhook-batch'],
];
const webhookSecret = 'a-secret-of-the-soak';

/** More than a process that has just started has open, as connections come and go. */
export const fewFiles = 20;

/** Runs one on a farm of its own. `config`: that of `localConfig`. */
export async function soak(config: string, options: SoakOptions): Promise<SoakReport> {
  const receiver = await WebhookReceiver.open(webhookSecret);
  try {
    const farm = await Farm.up({ config: configOf(config, receiver.url) });
    try {
      return await soakFarm(farm, receiver, options);
    } finally {
      await farm.down();
    }
  } finally {
    await receiver.close();
  }
}

function configOf(config: string, url: string): string {
  const webhook = `{ url: '${url}', secret: ${webhookSecret}, timeoutSeconds: 1 }`;
  return config
    .replace('cdr: { file: cdr.jsonl }', `cdr: { file: cdr.jsonl, webhook: ${webhook} }`)
    .concat("\nmetrics: { listen: 'unix:metrics.sock' }\n");
}

async function soakFarm(farm: Farm, receiver: WebhookReceiver, options: SoakOptions): Promise<SoakReport> {
  const { progress, pauseMs } = options;
  const before = await resources(farm);
  const beganMs = performance.now();
  const callee = await Sipp.uas({
    ...{ address: farm.host(208), scenario: 'soak-callee', ringMs: 200, waitMs: forgottenMs },
    deadlineMs: 3_600_000,
  });
  const callers = await Promise.all(shares.map(share => caller(farm, share, options)));
  const kills = new Kills(farm, pauseMs);
  const webhook = new TroubledReceiver(receiver, options.calls / 5, () => kills.ofDaemon);
  const watch = setInterval(
    () => progress(`${kills.done.length} kills, last ${JSON.stringify(kills.done.at(-1))}`),
    15_000,
  );
  try {
    const finished = Promise.all(callers.map(one => one.finished())).finally(() => kills.end());
    const [results] = await Promise.all([finished, kills.run()]);
    progress(`${results.reduce((sum, one) => sum + one.total, 0)} calls placed`);
    const endedMs = performance.now();
    const left = await untilQuiet(farm);
    const called = await callee.stop();
    const marks = results.flatMap(one => one.marks);
    const records = await settledRecords(farm);
    const after = await settledResources(farm, before);
    return {
      accounts: account(
        results.reduce((sum, one) => sum + one.total, 0),
        marks,
        records,
      ),
      deliveries: webhook.compared(records),
      kills: kills.done,
      phonesLeft: called.failed,
      left,
      seconds: (endedMs - beganMs) / 1000,
      quietSeconds: (performance.now() - endedMs) / 1000,
      files: compared(before.files, after.files),
      memory: compared(before.memory, after.memory),
    };
  } finally {
    clearInterval(watch);
    await Promise.all([callee, ...callers].map(one => one.stop(0)));
  }
}

function caller(
  farm: Farm,
  { service, host, percent }: (typeof shares)[number],
  { calls, rate }: SoakOptions,
): Promise<Sipp> {
  const own = Math.round((calls * percent) / 100);
  const ownRate = Math.max(1, Math.round((rate * percent) / 100));
  return Sipp.uac({
    ...{ address: farm.host(host), target: { address: farm.host(100), port: 5060 }, service },
    ...{ calls: own, rate: ownRate, holdMs, waitMs: patienceMs, scenario: 'soak-caller' },
    deadlineMs: (own / ownRate) * 1000 + 180_000,
  });
}

/** Waits until nothing is left; what is still there after two minutes is the answer. */
async function untilQuiet(farm: Farm): Promise<string[]> {
  const left = async (): Promise<string[]> => [...(await leftovers(farm)), ...(await recordsLeft(farm))];
  const none = async (): Promise<boolean> => (await left()).length === 0;
  await waitFor('nothing to be left', none, { deadlineMs: 120_000, everyMs: 1_000 }).catch(() => undefined);
  return left();
}

/** Records in the store that only calls have there. */
async function recordsLeft(farm: Farm): Promise<string[]> {
  const metrics = await scrape(farm);
  return tablesOfCalls.flatMap(table => {
    const count = Number(
      new RegExp(`^holdfast_store_records\\{table="${table}"\\} (\\d+)$`, 'm').exec(metrics)?.[1] ?? 0,
    );
    return count === 0 ? [] : [`store: ${count} records in ${table}`];
  });
}

function scrape(farm: Farm): Promise<string> {
  const socketPath = join(farm.state, 'metrics.sock');
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/metrics' }, answer => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('end', () => resolve(text));
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** Records are written in the order in which calls end: all of them, when no more come. */
async function settledRecords(farm: Farm): Promise<readonly CallDetailRecord[]> {
  const waiting = async (): Promise<string[]> =>
    [...(await scrape(farm)).matchAll(/^holdfast_cdr_waiting_records\{destination="(\w+)"\} [1-9]/gm)].map(
      ([line]) => line,
    );
  await waitFor('no record to wait', async () => (await waiting()).length === 0, {
    deadlineMs: 30_000,
    describe: async () => (await waiting()).join('\n'),
  });
  return callRecords(farm);
}

interface Resources {
  readonly files: ReadonlyMap<string, number>;
  readonly memory: ReadonlyMap<string, number>;
}

async function resources(farm: Farm): Promise<Resources> {
  const { daemon } = await farm.status();
  const pids = [...(await farm.pids()), ['daemon', daemon.pid] as const];
  const [files, memory] = [new Map<string, number>(), new Map<string, number>()];
  for (const [name, pid] of pids) {
    files.set(name, (await readdir(`/proc/${pid}/fd`)).length);
    memory.set(name, Math.round((await residentKb(pid)) / 1024));
  }
  return { files, memory };
}

/** A server closes the sockets of its last calls when it comes to it; what is still open after a minute is the answer. */
async function settledResources(farm: Farm, before: Resources): Promise<Resources> {
  const closed = async (): Promise<boolean> => {
    const { files } = await resources(farm);
    return [...files].every(([name, now]) => now <= (before.files.get(name) ?? 0) + fewFiles);
  };
  await waitFor('files to be closed', closed, { deadlineMs: 60_000, everyMs: 1_000 }).catch(() => undefined);
  return resources(farm);
}

function compared(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): Comparison {
  return new Map([...after].map(([name, now]) => [name, [before.get(name) ?? Number.NaN, now]]));
}
