// How long a process's threads were kept waiting for a CPU, from the scheduler's own account (proc(5), sched-stats.rst of the kernel).
import { readdirSync, readFileSync } from 'node:fs';

/** A question passes through so many threads at most until its answer leaves: transport, task processor, worker. */
const hands = 3;

interface Account {
  /** The line of schedstat: time on a CPU, time waiting for one, time slices. */
  readonly line: string;
  readonly waitedNs: number;
}

/** Watches a process from now on; a Kamailio's children, whose main thread forks them, belong to it. */
export class CpuWait {
  readonly #threads: ReadonlyMap<string, Account>;
  readonly #sinceMs = performance.now();

  constructor(pid: number) {
    const threads = [pid, ...childrenOf(pid)].flatMap(one => threadsOf(one));
    this.#threads = new Map(threads.flatMap(thread => withAccount(thread)));
  }

  /** What the threads that waited longest waited, one after the other, ms. 0 where the kernel keeps no account. */
  get ms(): number {
    return [...this.#threads]
      .map(([thread, before]) => this.#waitedMs(thread, before))
      .sort((a, b) => b - a)
      .slice(0, hands)
      .reduce((sum, ms) => sum + ms, 0);
  }

  /** The kernel books a wait when it is over: who is in the first one still has the account it had. */
  #waitedMs(thread: string, before: Account): number {
    const now = accountOf(thread);
    if (!now) return 0;
    if (now.line !== before.line) return (now.waitedNs - before.waitedNs) / 1e6;
    return isRunnable(thread) ? performance.now() - this.#sinceMs : 0;
  }
}

function childrenOf(pid: number): readonly number[] {
  return read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(thread => `/proc/${pid}/task/${thread}`);
  } catch {
    return [];
  }
}

function withAccount(thread: string): readonly (readonly [string, Account])[] {
  const account = accountOf(thread);
  return account ? [[thread, account]] : [];
}

function accountOf(thread: string): Account | undefined {
  const line = read(`${thread}/schedstat`);
  const waitedNs = Number(line.split(' ')[1]);
  return line === '' || Number.isNaN(waitedNs) ? undefined : { line, waitedNs };
}

function isRunnable(thread: string): boolean {
  const stat = read(`${thread}/stat`);
  return stat[stat.lastIndexOf(')') + 2] === 'R';
}

/** Empty where there is no such file: the thread has ended. */
function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
