// Reads the kernel's process table (/proc), where a pid and its start time together name a process for good.
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import type { NodeProcess } from '../ports/node-host.js';

/** One process as /proc/PID/stat has it (proc(5)). */
export interface ProcessEntry extends NodeProcess {
  /** R, S, D, T, … and Z for one that is dead and not yet reaped. */
  readonly state: string;
  readonly session: number;
}

/** The process with this pid, or undefined where there is none. */
export function readProcess(pid: number): ProcessEntry | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The second field is the command in parentheses and may itself hold blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, session, startTicks] = [fields[0], Number(fields[3]), Number(fields[19])];
  if (state === undefined || !Number.isSafeInteger(session) || !Number.isSafeInteger(startTicks)) return undefined;
  return { pid, startTicks, state, session };
}

/** True while exactly this process runs. A zombie does not run: nobody may be there to reap it (no init in a container). */
export function isRunning(process: NodeProcess): boolean {
  const entry = readProcess(process.pid);
  return entry !== undefined && entry.startTicks === process.startTicks && !'ZX'.includes(entry.state);
}

/** Bytes of a stat line that hold pid, command (at most 15) and state. */
const stateBytes = 64;

/**
 * Looks at one process many times a second. Its entry is kept open, so that a read never shows another process with the same
 * pid, and it is the one of the first thread: that of the process adds up the times of all its threads (fs/proc/array.c).
 */
export class ProcessEye {
  readonly #buffer = Buffer.alloc(stateBytes);
  #fd: number | undefined;

  constructor(process: NodeProcess) {
    if (!isRunning(process)) return;
    try {
      this.#fd = openSync(`/proc/${process.pid}/task/${process.pid}/stat`, 'r');
    } catch {
      return;
    }
    // Between the two it may have ended, and its pid been given away.
    if (!isRunning(process)) this.close();
  }

  /** False once the process has ended, reaped or not. */
  sees(): boolean {
    if (this.#fd === undefined) return false;
    try {
      const length = readSync(this.#fd, this.#buffer, 0, stateBytes, 0);
      const state = this.#buffer[this.#buffer.lastIndexOf(')', length) + 2] ?? 0;
      if (!'ZX'.includes(String.fromCharCode(state))) return true;
    } catch {
      // ESRCH: it has been reaped.
    }
    this.close();
    return false;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/**
 * The living processes of the session that `leader` opened, the leader included while it lives. The kernel gives a pid
 * to nobody else while a session bears it, so a recycled pid means that the session has ended.
 */
export function sessionOf(leader: NodeProcess): readonly ProcessEntry[] {
  const holder = readProcess(leader.pid);
  if (holder && holder.startTicks !== leader.startTicks) return [];
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(name => readProcess(Number(name)))
    .filter(entry => entry !== undefined)
    .filter(entry => entry.session === leader.pid && entry.startTicks >= leader.startTicks)
    .filter(entry => !'ZX'.includes(entry.state));
}

/** The command line of a process, for a message; empty where it cannot be read. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim().slice(0, 120);
  } catch {
    return '';
  }
}

/** Sends a signal; a process that is gone already is fine. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** This process, as others will find it in the table. */
export function thisProcess(): NodeProcess {
  const entry = readProcess(process.pid);
  return { pid: process.pid, startTicks: entry?.startTicks ?? 0 };
}
