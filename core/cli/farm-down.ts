// Brings a farm down: by its daemon where that answers, by force where it does not, so that nothing is left running.
import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { callDaemon } from '../control/control-client.js';
import { HoldfastError, messageOf } from '../errors.js';
import { isRunning, signal } from '../host/process-table.js';
import { statePaths } from '../host/state-folder.js';
import type { NodeProcess } from '../ports/node-host.js';
import { endFarm } from './farm-end.js';
import { readSupervisorNote, supervisorOf } from './supervisor-note.js';

/** A daemon that has not ended its farm by then is ended with it. */
const daemonDeadlineMs = 30_000;
const exitDeadlineMs = 5_000;

/** Returns what was ended; empty where the farm was down. Throws where there is no permission, or something resists. */
export async function bringDown(
  place: { readonly stateFolder: string; readonly subnet: string | undefined },
  progress: (line: string) => void,
): Promise<readonly string[]> {
  const { stateFolder, subnet } = place;
  const byDaemon = await askDaemon(stateFolder, progress);
  const note = await readSupervisorNote(stateFolder);
  const supervisor = supervisorOf(stateFolder);
  const daemon = note?.daemon && isRunning(note.daemon) ? note.daemon : undefined;
  const forced = await endProcesses([supervisor, daemon], byDaemon === undefined, progress);
  const left = await endFarm(stateFolder, subnet);
  const paths = statePaths(stateFolder);
  for (const path of [paths.supervisorFile, paths.supervisorLock, paths.startFailure]) rmSync(path, { force: true });
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
 * Waits for supervisor and daemon to end; where they were not asked (`force`) or do not, kills them: the supervisor first,
 * so that it starts no other daemon.
 */
async function endProcesses(
  processes: readonly (NodeProcess | undefined)[],
  force: boolean,
  progress: (line: string) => void,
): Promise<readonly string[]> {
  const running = (): readonly NodeProcess[] => processes.filter(process => process !== undefined).filter(isRunning);
  const deadline = Date.now() + exitDeadlineMs;
  while (!force && running().length > 0 && Date.now() < deadline) await delay(20);
  const left = running();
  if (left.length === 0) return [];
  progress('Ending the daemon by force.');
  for (const { pid } of left) signal(pid, 'SIGKILL');
  const killDeadline = Date.now() + exitDeadlineMs;
  while (running().length > 0) {
    if (Date.now() > killDeadline) {
      throw new HoldfastError(
        'HOST_FAILED',
        `process ${running()
          .map(({ pid }) => pid)
          .join(', ')} does not end`,
      );
    }
    await delay(20);
  }
  return ['daemon'];
}
