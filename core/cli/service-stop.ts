// What a stop of the systemd service ends. systemd runs the same for a stop and for a restart; only a stop ends calls.
import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { HoldfastError, messageOf } from '../errors.js';
import { allServers } from '../host/process-mark.js';
import { unitOf } from '../host/service-manager.js';
import { bringDown } from './farm-down.js';
import { readSupervisorNote } from './supervisor-note.js';

const run = promisify(execFile);

async function systemctl(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('systemctl', args, { encoding: 'utf8' });
  return stdout;
}

/** Ends the farms whose servers run in this unit, where the unit is being stopped. Returns what was ended. */
export async function stopService(stateFolder: string, progress: (line: string) => void): Promise<readonly string[]> {
  const unit = unitOf();
  if (unit !== undefined && !(await isBeingStopped(unit))) {
    progress('The daemon is restarted; servers and calls go on.');
    return [];
  }
  const ended: string[] = [];
  // The config may name another farm by now than the one that was started on it.
  for (const folder of new Set([stateFolder, ...foldersIn(unit)])) {
    const subnet = (await readSupervisorNote(folder))?.subnet;
    ended.push(...(await bringDown({ stateFolder: folder, subnet }, progress)));
  }
  return ended;
}

/** State folders of the servers that run in a unit. */
export function foldersIn(unit: string | undefined): readonly string[] {
  if (unit === undefined) return [];
  const servers = allServers().filter(({ entry }) => unitOf(entry.pid) === unit);
  // A node's folder is nodes/NODE in its farm's.
  return [...new Set(servers.map(({ folder }) => dirname(dirname(folder))))];
}

/** A job of type restart says so until the unit is started anew (systemd.unit(5) has no other sign of it). */
async function isBeingStopped(unit: string): Promise<boolean> {
  const jobs = await systemctl('list-jobs', '--full', '--no-legend', '--plain', unit);
  return new RegExp(String.raw`^\s*\d+\s+\S+\s+stop\b`, 'm').test(jobs);
}

/** Has systemd stop the unit: it would start a daemon that is killed again. Throws HOST_FAILED. */
export async function stopUnit(unit: string): Promise<void> {
  try {
    await systemctl('stop', unit);
  } catch (error) {
    throw new HoldfastError('HOST_FAILED', `systemd could not stop ${unit}: ${messageOf(error)}`, {
      cause: error,
      remedy: `see: systemctl status ${unit}`,
    });
  }
}

/** The unit that runs this farm's daemon, or is about to start it again; undefined where none does. */
export async function activeUnit(stateFolder: string): Promise<string | undefined> {
  const unit = (await readSupervisorNote(stateFolder))?.unit;
  if (unit === undefined) return undefined;
  const state = (await systemctl('show', '--property=ActiveState', '--value', unit).catch(() => '')).trim();
  return ['active', 'activating', 'reloading'].includes(state) ? unit : undefined;
}
