// The note on disk that says which process serves a node, so that a later daemon takes up exactly that one.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { NodeProcess } from '../ports/node-host.js';

const processRecord = z.object({ pid: z.number().int().min(2), startTicks: z.number().int().min(1), boot: z.string() });

/** Start times count from the boot, so a record of an earlier boot names nobody. */
const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

export function writeProcessRecord(path: string, process: NodeProcess): void {
  writeFileSync(`${path}.tmp`, JSON.stringify({ pid: process.pid, startTicks: process.startTicks, boot }));
  renameSync(`${path}.tmp`, path);
}

/** The recorded process, whether or not it still runs; undefined for none, for garbage, and for an earlier boot's. */
export function readProcessRecord(path: string): NodeProcess | undefined {
  try {
    const record = processRecord.parse(JSON.parse(readFileSync(path, 'utf8')));
    return record.boot === boot ? { pid: record.pid, startTicks: record.startTicks } : undefined;
  } catch {
    return undefined;
  }
}

export function removeProcessRecord(path: string): void {
  rmSync(path, { force: true });
}
