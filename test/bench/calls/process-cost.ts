// What processes have cost: CPU time and memory, as Linux accounts for them.
import { readFile } from 'node:fs/promises';

/** Clock ticks a second in /proc: USER_HZ, 100 on every Linux of today. */
const ticksPerSecond = 100;

/** CPU time since the process's start, user and system, of all its threads, ms. 0 where there is no such process. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // The name stands in brackets and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 1000) / ticksPerSecond;
}

/** CPU time of several processes together, ms. */
export async function cpuMsOf(pids: readonly number[]): Promise<number> {
  return (await Promise.all(pids.map(cpuMs))).reduce((sum, one) => sum + one, 0);
}

/** Resident memory, kB. */
export async function residentKb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN);
}

/** The process and all that it has forked: a Kamailio is a dozen. */
export async function familyOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1').catch(() => '');
  const below = await Promise.all(children.trim().split(' ').filter(Boolean).map(Number).map(familyOf));
  return [pid, ...below.flat()];
}
