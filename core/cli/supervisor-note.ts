// The note in the state folder that says who supervises the farm, which daemon runs, and on which config; and the lock.
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { isRunning, thisProcess } from '../host/process-table.js';
import { statePaths } from '../host/state-folder.js';
import type { NodeProcess } from '../ports/node-host.js';

const processShape = z.object({ pid: z.number().int().min(2), startTicks: z.number().int() });

const noteShape = z.object({
  configPath: z.string(),
  subnet: z.string(),
  supervisor: processShape,
  daemon: processShape.nullable(),
  /** The systemd unit that starts the daemon again; undefined: our own supervisor does. */
  unit: z.string().optional(),
});
export type SupervisorNote = z.output<typeof noteShape>;

/** Undefined where no farm was started, or where the note is garbage. */
export async function readSupervisorNote(stateFolder: string): Promise<SupervisorNote | undefined> {
  try {
    return noteShape.parse(JSON.parse(await readFile(statePaths(stateFolder).supervisorFile, 'utf8')));
  } catch {
    return undefined;
  }
}

export function writeSupervisorNote(stateFolder: string, note: SupervisorNote): void {
  const path = statePaths(stateFolder).supervisorFile;
  writeFileSync(`${path}.tmp`, `${JSON.stringify(note)}\n`);
  renameSync(`${path}.tmp`, path);
}

/** Takes the farm's lock for this process; false while a living process holds it. */
export function takeSupervisorLock(stateFolder: string): boolean {
  const path = statePaths(stateFolder).supervisorLock;
  const own = `${path}.${process.pid}`;
  writeFileSync(own, JSON.stringify(thisProcess()));
  try {
    for (let attempt = 0; attempt < 10; attempt++) {
      // link(2) fails where the name exists, and the lock is complete from its first moment.
      if (tryLink(own, path)) return true;
      if (readLock(path)) return false;
      removeStaleLock(path, `${own}.stale`);
    }
    return false;
  } finally {
    rmSync(own, { force: true });
  }
}

export function releaseSupervisorLock(stateFolder: string): void {
  const path = statePaths(stateFolder).supervisorLock;
  if (readLock(path)?.pid === process.pid) rmSync(path, { force: true });
}

/** The living process that holds the lock. */
export function supervisorOf(stateFolder: string): NodeProcess | undefined {
  return readLock(statePaths(stateFolder).supervisorLock);
}

function readLock(path: string): NodeProcess | undefined {
  try {
    const holder = processShape.parse(JSON.parse(readFileSync(path, 'utf8')));
    return isRunning(holder) ? holder : undefined;
  } catch {
    return undefined;
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Two may find the same lock stale: who moves a fresh one away by that puts it back. */
function removeStaleLock(path: string, aside: string): void {
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (readLock(aside)) tryLink(aside, path);
  rmSync(aside, { force: true });
}
