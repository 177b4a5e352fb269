// Runs Debian's sipp as a caller or a callee: bounded in time, ended with its test, its failures told by Call-ID.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from './project-root.js';
import type { SipLadder } from './sip-ladder.js';
import type { HostPort } from './sip-message.js';
import type { SippScenario } from './sipp-scenario.js';
import { readMessages } from './sipp-messages.js';
import { waitFor } from './wait-for.js';

interface CommonOptions {
  readonly address: string;
  /** Default 5060. */
  readonly port?: number;
  /** Listed in this order. Default 8 (PCMA). */
  readonly payloadTypes?: readonly number[];
  /** The run is ended when it takes longer. Default 60 s. */
  readonly deadlineMs?: number;
  /** Another one than `uac` or `uas`: by its name in test/harness/scenarios, or made here. */
  readonly scenario?: string | Pick<SippScenario, 'xml'>;
  /** False: sends nothing again by itself, and takes what comes again as any other message. Default true. */
  readonly retransmits?: boolean;
  /** How long it waits for what has to come, where its scenario does; default 1000. */
  readonly waitMs?: number;
  /** True: a message that the scenario does not expect is passed over. */
  readonly lenient?: boolean;
  /** Network namespace to run in. */
  readonly namespace?: string;
  /** Write every message to `messages.log` in the run's folder, and keep the folder. */
  readonly messages?: boolean;
}

export interface SippUacOptions extends CommonOptions {
  readonly target: HostPort;
  /** The dialled number, e.g. 70001. */
  readonly service: string;
  readonly calls: number;
  /** New calls a second. */
  readonly rate: number;
  /** How long each call stays up. Default 1000. */
  readonly holdMs?: number;
  /** Keep the time of each call from INVITE to 180 and to 200. */
  readonly times?: boolean;
  /** `tcp`: one connection that has all calls; `tcp-each`: one for each call. Default UDP. */
  readonly transport?: keyof typeof transports;
}

/** As sipp's `-t` has them. */
const transports = { udp: 'u1', tcp: 't1', 'tcp-each': 'tn' } as const;

export interface SippUasOptions extends CommonOptions {
  /** Between 180 and 200; not 0 behind a per-packet balancer, which may swap the two. Default 100. */
  readonly ringMs?: number;
  /** Ends after so many calls. Default: on `stop()`. */
  readonly calls?: number;
}

export interface SippResult {
  /** 0 all calls succeeded, 1 some failed, 97 and above: sipp itself did; null: it had to be killed. */
  readonly exitCode: number | null;
  readonly total: number;
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
  readonly failures: readonly { readonly callId: string; readonly reason: string }[];
  /** Milliseconds from INVITE to the first 180 and to the 200, one for each call; empty unless they were asked for. */
  readonly ringingMs: readonly number[];
  readonly answeredMs: readonly number[];
  /** What the scenario has logged. */
  readonly marks: readonly string[];
  /** sipp's own words. */
  readonly errors: string;
}

export class Sipp {
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;
  readonly #keep: boolean;
  /** Scenario, statistics and traces of this run. */
  readonly folder: string;

  private constructor(child: ChildProcess, folder: string, deadlineMs: number, keep: boolean) {
    this.#child = child;
    this.folder = folder;
    this.#keep = keep;
    const deadline = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
    this.#exit = new Promise(resolve => {
      child.once('exit', code => {
        clearTimeout(deadline);
        resolve(code);
      });
    });
  }

  /** Starts calling; `finished()` has the outcome. */
  static async uac(options: SippUacOptions): Promise<Sipp> {
    const { target, service, calls, rate, holdMs = 1000, waitMs = 1000, times = false, transport = 'udp' } = options;
    const args = [
      `${target.address}:${target.port}`,
      '-s',
      service,
      '-m',
      `${calls}`,
      '-r',
      `${rate}`,
      '-l',
      `${calls}`,
      '-t',
      transports[transport],
      ...(times ? ['-trace_rtt', '-rtt_freq', '1', '-timer_resol', '1'] : []),
    ];
    return start(options.scenario ?? 'uac', options, { holdMs, waitMs }, args, Sipp.#make);
  }

  /** Starts a callee that takes calls until `stop()`; resolves when it listens. */
  static async uas(options: SippUasOptions): Promise<Sipp> {
    const uas = await start(
      options.scenario ?? 'uas',
      options,
      { ringMs: options.ringMs ?? 100, waitMs: options.waitMs ?? 1000 },
      options.calls === undefined ? [] : ['-m', `${options.calls}`],
      Sipp.#make,
    );
    try {
      const socket = hexSocket(options.address, options.port ?? 5060);
      const sockets = `/proc/${uas.#child.pid ?? 'self'}/net/udp`;
      const listens = async (): Promise<boolean> => (await readFile(sockets, 'utf8').catch(() => '')).includes(socket);
      await waitFor('sipp to listen', listens, { describe: async () => (await uas.#result(null)).errors });
      return uas;
    } catch (error) {
      uas.#child.kill('SIGKILL');
      throw error;
    }
  }

  static readonly #make = (child: ChildProcess, folder: string, deadlineMs: number, keep: boolean): Sipp =>
    new Sipp(child, folder, deadlineMs, keep);

  /** The statistics so far, as sipp wrote them last (every second). */
  async progress(): Promise<SippResult> {
    return this.#result(null);
  }

  /** Waits until all calls are over. */
  async finished(): Promise<SippResult> {
    const result = await this.#result(await this.#exit);
    if (!this.#keep) await rm(this.folder, { recursive: true, force: true });
    return result;
  }

  /** Takes no further calls, lets those that are up end for `graceMs`, and ends. */
  async stop(graceMs = 3000): Promise<SippResult> {
    this.#child.kill('SIGUSR1');
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), graceMs);
    const result = await this.finished();
    clearTimeout(kill);
    return result;
  }

  /** Every message so far; for `messages: true`. */
  async ladder(peer: HostPort): Promise<SipLadder> {
    return readMessages(await readFile(join(this.folder, 'messages.log'), 'utf8').catch(() => ''), peer);
  }

  /** What the scenario has logged so far. */
  async marks(): Promise<readonly string[]> {
    const log = await readFile(join(this.folder, 'marks.log'), 'utf8').catch(() => '');
    return log.split('\n').filter(line => line !== '');
  }

  async #result(exitCode: number | null): Promise<SippResult> {
    const read = async (name: string): Promise<string> => readFile(join(this.folder, name), 'utf8').catch(() => '');
    const statistics = parseStatistics(await read('statistics.csv'));
    const errors = (await read('errors.log')) + (await read('output.log'));
    const traces = (await readdir(this.folder).catch(() => [])).filter(name => name.endsWith('_rtt.csv'));
    const times = parseTimes((await Promise.all(traces.map(read))).join(''));
    return { exitCode, ...statistics, ...times, failures: parseFailures(errors), marks: await this.marks(), errors };
  }
}

async function start(
  scenario: string | Pick<SippScenario, 'xml'>,
  options: CommonOptions,
  values: Readonly<Record<string, number>>,
  args: readonly string[],
  make: (child: ChildProcess, folder: string, deadlineMs: number, keep: boolean) => Sipp,
): Promise<Sipp> {
  const { address, port = 5060, payloadTypes = [8], deadlineMs = 60_000, messages = false } = options;
  const { retransmits = true } = options;
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-sipp-'));
  const all = { ...values, payloadTypes: payloadTypes.join(' ') };
  await writeFile(join(folder, 'scenario.xml'), await xmlOf(scenario, all));
  const common = [
    ...['-sf', 'scenario.xml', '-i', address, '-p', `${port}`, '-mi', address, '-rtp_echo', '-nostdin', '-skip_rlimit'],
    ...['-trace_stat', '-stf', 'statistics.csv', '-fd', '1', '-trace_err', '-error_file', 'errors.log'],
    ...['-trace_logs', '-log_file', 'marks.log'],
    ...(retransmits ? [] : ['-nr']),
    ...(options.lenient === true ? ['-default_behaviors', 'all,-abortunexp'] : []),
    ...(messages ? ['-trace_msg', '-message_file', 'messages.log'] : []),
  ];
  // TERM: the screen that sipp draws is of no use here; what it says before it draws goes to a file.
  const within = options.namespace === undefined ? '' : `ip netns exec ${options.namespace} `;
  const child = spawn('sh', ['-c', `exec ${within}sipp "$@" >/dev/null 2>output.log`, 'sipp', ...args, ...common], {
    cwd: folder,
    stdio: 'ignore',
    env: { ...process.env, TERM: 'dumb' },
  });
  return make(child, folder, deadlineMs, messages);
}

async function xmlOf(
  scenario: string | Pick<SippScenario, 'xml'>,
  values: Readonly<Record<string, number | string>>,
): Promise<string> {
  if (typeof scenario !== 'string') return scenario.xml;
  const template = await readFile(join(projectRoot, 'test/harness/scenarios', `${scenario}.xml`), 'utf8');
  return template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => `${values[name] ?? ''}`);
}

/** As /proc/net/udp writes a bound socket: the address's octets in the machine's (little-endian) order. */
function hexSocket(address: string, port: number): string {
  const hex = (value: number, width: number): string => value.toString(16).toUpperCase().padStart(width, '0');
  const octets = address.split('.').map(octet => hex(Number(octet), 2));
  return ` ${octets.reverse().join('')}:${hex(port, 4)} `;
}

/** The last row of sipp's CSV: (C) columns are cumulative. */
export function parseStatistics(csv: string): Pick<SippResult, 'total' | 'successful' | 'failed' | 'retransmissions'> {
  const lines = csv.trim().split('\n');
  const [names, last] = [lines[0]?.split(';') ?? [], (lines.length > 1 ? lines.at(-1)?.split(';') : undefined) ?? []];
  const column = (name: string): number => Number(last[names.indexOf(name)] ?? 0);
  return {
    total: column('TotalCallCreated'),
    successful: column('SuccessfulCall(C)'),
    failed: column('FailedCall(C)'),
    retransmissions: column('Retransmissions(C)'),
  };
}

/** sipp's response times: `date;milliseconds;timer`. The scenario's timer 1 ends at the 200, timer 2 at the 180. */
export function parseTimes(csv: string): Pick<SippResult, 'ringingMs' | 'answeredMs'> {
  const rows = csv.split('\n').map(line => line.split(';'));
  const of = (timer: string): number[] => rows.filter(row => row[2]?.trim() === timer).map(row => Number(row[1]));
  return { ringingMs: of('2'), answeredMs: of('1') };
}

/** Each aborted call once, with what sipp says of it. Every event starts with its date, not always on a line of its own. */
export function parseFailures(errors: string): SippResult['failures'] {
  const byCallId = new Map<string, string>();
  for (const event of errors.split(/\d{4}-\d\d-\d\d\t\S+\t\S+: /)) {
    const found = /^(Aborting call.*?) for Call-I[dD]:? '([^']+)'(.*)/.exec(event);
    if (found?.[2] === undefined || byCallId.has(found[2])) continue;
    byCallId.set(found[2], `${found[1] ?? ''}${(found[3] ?? '').split('Resolving remote host')[0] ?? ''}`.trim());
  }
  return [...byCallId].map(([callId, reason]) => ({ callId, reason }));
}
