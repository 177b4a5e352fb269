// Brings a farm down: by its daemon where that answers, by force where it does not, so that nothing is left running.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { callDaemon } from '../control/control-client.js';
import { HoldfastError, messageOf } from '../errors.js';
import { keepersOf } from '../host/process-mark.js';
import { signal } from '../host/process-table.js';
import { forgetServiceFarm, statePaths } from '../host/state-folder.js';
import { endFarm } from './farm-end.js';
import { supervisorOf } from './supervisor-note.js';

/** A daemon that has not ended its farm by then is ended with it. */
const daemonDeadlineMs = 30_000;
const exitDeadlineMs = 5_000;
const lookMs = 20;

/** Returns what was ended; empty where the farm was down. Throws where there is no permission, or something resists. */
export async function bringDown(
  place: { readonly stateFolder: string; readonly subnet: string | undefined },
  progress: (line: string) => void,
): Promise<readonly string[]> {
  const { stateFolder, subnet } = place;
  const byDaemon = await askDaemon(stateFolder, progress);
  const forced = await endKeepers(stateFolder, byDaemon === undefined, progress);
  // Only now is nobody left who could start a server, or put the balancer back.
  const left = await endFarm(stateFolder, subnet);
  removeNotes(stateFolder);
  forgetServiceFarm(stateFolder);
  return [...new Set([...(byDaemon ?? []), ...left, ...forced])];
}

/** What the daemon ended, or undefined where it does not answer or could not. */
async function askDaemon(
  stateFolder: string,
  progress: (line: string) => void,
): Promise<readonly string[] | undefined> {
  try {
    const { controlSocket } = statePaths(stateFolder);
    // One that hangs is known by its silence at once, not after a farm's worth of patience.
    await callDaemon(controlSocket, 'status', {}, { timeoutMs: 3_000 });
    return (await callDaemon(controlSocket, 'down', {}, { progress, timeoutMs: daemonDeadlineMs })).ended;
  } catch (error) {
    const details = HoldfastError.is(error) ? error.details : {};
    if (['EACCES', 'EPERM'].includes(String(details['code']))) throw error;
    if (details['down'] !== true) progress(`The daemon could not: ${messageOf(error)}`);
    return undefined;
  }
}

/**
 * Waits for supervisor and daemon to end; where they were not asked (`force`) or do not, kills them. A supervisor may just be
 * starting its daemon again, and a daemon its servers: so they are looked for by their mark, and until there is none.
 */
async function endKeepers(
  stateFolder: string,
  force: boolean,
  progress: (line: string) => void,
): Promise<readonly string[]> {
  const supervisor = supervisorOf(stateFolder);
  // Its daemon has ended the farm: should it be killed before it ends itself, no other one must follow.
  if (!force && supervisor) signal(supervisor.pid, 'SIGTERM');
  const gracefulMs = force ? 0 : exitDeadlineMs;
  if (await endWithin(stateFolder, gracefulMs, () => undefined)) return [];
  progress('Ending the daemon by force.');
  const kill = (pids: readonly number[]): void => pids.forEach(pid => signal(pid, 'SIGKILL'));
  if (await endWithin(stateFolder, exitDeadlineMs, kill)) return ['daemon'];
  const pids = keepers(stateFolder);
  throw new HoldfastError('HOST_FAILED', `process ${pids.join(', ')} does not end`);
}

/** Those that bear the mark, and who holds the lock: a daemon that systemd started has no mark. */
function keepers(stateFolder: string): readonly number[] {
  const holder = supervisorOf(stateFolder);
  const pids = [...keepersOf(stateFolder).map(({ pid }) => pid), ...(holder ? [holder.pid] : [])];
  return [...new Set(pids)].filter(pid => pid !== process.pid);
}

/** True once none is left; `meanwhile` gets those that are, again and again. */
async function endWithin(
  stateFolder: string,
  deadlineMs: number,
  meanwhile: (pids: readonly number[]) => void,
): Promise<boolean> {
  const endMs = Date.now() + deadlineMs;
  for (;;) {
    const pids = keepers(stateFolder);
    if (pids.length === 0) return true;
    meanwhile(pids);
    if (Date.now() > endMs) return false;
    await delay(lookMs);
  }
}

/** Lock and note of the supervisor, also what one that was killed had only half written. */
function removeNotes(stateFolder: string): void {
  const { supervisorFile, supervisorLock, startFailure } = statePaths(stateFolder);
  const ours = [supervisorFile, supervisorLock, startFailure].map(path => basename(path));
  // A farm that never was has no folder.
  const there = existsSync(stateFolder) ? readdirSync(stateFolder, { encoding: 'utf8' }) : [];
  for (const name of there.filter(one => ours.some(own => one === own || one.startsWith(`${own}.`))))
    rmSync(join(stateFolder, name), { force: true });
}
