// What a whole farm takes of its machine: CPU of its parts between two looks, memory at one.
import { readFile } from 'node:fs/promises';
import type { Farm } from '../../harness/farm.js';
import { cpuMsOf, familyOf, residentKb } from '../calls/process-cost.js';
import { heldByDaemon } from './daemon-heap.js';

/** `machine` is whatever ran on it, phones and attackers among it. */
const parts = ['kamailio', 'asterisk', 'rtpengine', 'daemon', 'machine'] as const;

/** ms of CPU: since the start, or a second. */
export type Cpu = Readonly<Record<(typeof parts)[number], number>>;

export async function cpuOfFarm(farm: Farm): Promise<Cpu> {
  const processes = await processesOf(farm);
  const of = async (...farms: readonly string[]): Promise<number> =>
    cpuMsOf(farms.flatMap(one => processes.get(one) ?? []));
  return {
    kamailio: await of('kamailio'),
    asterisk: await of('call', 'conference', 'registrar'),
    rtpengine: await of('rtpengine'),
    daemon: await of('daemon'),
    machine: await machineMs(),
  };
}

export function cpuPerSecond(before: Cpu, after: Cpu, seconds: number): Cpu {
  const of = (part: keyof Cpu): number => (after[part] - before[part]) / seconds;
  return Object.fromEntries(parts.map(part => [part, of(part)])) as Record<keyof Cpu, number>;
}

/** MB of each farm's processes together, and of the daemon; of that, what it holds without garbage. */
export async function memoryOfFarm(farm: Farm): Promise<ReadonlyMap<string, number>> {
  const held = await heldByDaemon((await farm.status()).daemon.pid);
  const sums = new Map([
    ['held in the heap of the daemon’s main thread', held.heap],
    ['buffers of it', held.buffers],
  ]);
  for (const [part, pids] of await processesOf(farm)) {
    const sizes = await Promise.all(pids.map(residentKb));
    sums.set(part, sizes.reduce((all, one) => all + one, 0) / 1024);
  }
  return sums;
}

async function processesOf(farm: Farm): Promise<ReadonlyMap<string, readonly number[]>> {
  const { daemon, nodes } = await farm.status();
  const pids = new Map<string, number[]>([['daemon', [daemon.pid]]]);
  for (const { farm: part, pid } of nodes) {
    const own = part === 'kamailio' ? await familyOf(pid ?? 0) : [pid ?? 0];
    pids.set(part, [...(pids.get(part) ?? []), ...own]);
  }
  return pids;
}

/** All cores together, all that was not idle (proc(5), in USER_HZ of 10 ms; guests are in `user` already). */
async function machineMs(): Promise<number> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n');
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return 10 * (user + nice + system + irq + softirq);
}

export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n');
}
