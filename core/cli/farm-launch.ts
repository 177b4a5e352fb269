// Starts a farm's supervisor and follows the start until the farm is ready.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { callDaemon } from '../control/control-client.js';
import { errorShape, fromErrorShape } from '../control/messages.js';
import type { FarmStatus } from '../control/views.js';
import { HoldfastError } from '../errors.js';
import { logTail } from '../host/bounded-log.js';
import { keeperMark } from '../host/process-mark.js';
import { makeStateFolder, statePaths } from '../host/state-folder.js';
import type { FarmPlace } from './composition.js';
import { selfCommand } from './supervisor.js';
import { supervisorOf } from './supervisor-note.js';

const pollMs = 150;
/** A start takes seconds; a machine under load gets more. */
const readyDeadlineMs = 120_000;

/** Starts the supervisor as a process of its own, which outlives this one. */
export function launchSupervisor(place: FarmPlace & { readonly subnet: string }): void {
  const paths = statePaths(place.stateFolder);
  rmSync(paths.startFailure, { force: true });
  makeStateFolder(place.stateFolder);
  const log = openSync(paths.daemonLog, 'a', 0o640);
  try {
    const { configPath, subnet, stateFolder } = place;
    const [command, script] = selfCommand();
    const args = [script, 'supervise', '--config', configPath, '--subnet', subnet, '--state', stateFolder];
    const env = { ...process.env, ...keeperMark(stateFolder) };
    spawn(command, args, { cwd: '/', env, detached: true, stdio: ['ignore', log, log] }).unref();
  } finally {
    closeSync(log);
  }
}

/** The daemon's status, or undefined while nobody answers. Throws where there is no permission to ask. */
export async function farmStatus(stateFolder: string): Promise<FarmStatus | undefined> {
  try {
    return await callDaemon(statePaths(stateFolder).controlSocket, 'status', {}, { timeoutMs: 3_000 });
  } catch (error) {
    const denied = HoldfastError.is(error) && ['EACCES', 'EPERM'].includes(String(error.details['code']));
    if (denied || !HoldfastError.is(error, 'DAEMON_UNREACHABLE')) throw error;
    return undefined;
  }
}

/** Resolves when the farm is ready, telling of each node that comes up. Throws what the start failed with. */
export async function awaitReady(
  stateFolder: string,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<FarmStatus> {
  const deadline = Date.now() + readyDeadlineMs;
  const launchedAt = Date.now();
  const seen = new Set<string>();
  for (;;) {
    signal.throwIfAborted();
    const status = await farmStatus(stateFolder);
    for (const node of status?.nodes ?? []) {
      if (node.state !== 'up' || seen.has(node.name)) continue;
      seen.add(node.name);
      progress(`${node.name} is up (${seen.size} of ${status?.nodes.length ?? 0})`);
    }
    if (status?.ready === true) return status;
    if (Date.now() > deadline) throw notReady(status);
    if (!status && ended(stateFolder, Date.now() - launchedAt)) throw await startFailure(stateFolder);
    await delay(pollMs, undefined, { signal });
  }
}

/** The supervisor takes its lock within its first seconds; after that its absence is its end. */
function ended(stateFolder: string, sinceMs: number): boolean {
  if (supervisorOf(stateFolder)) return false;
  return sinceMs > 5_000 || existsSync(statePaths(stateFolder).startFailure);
}

/** What the daemon noted when its start failed, else the end of its log. */
async function startFailure(stateFolder: string): Promise<HoldfastError> {
  const paths = statePaths(stateFolder);
  try {
    return fromErrorShape(errorShape.parse(JSON.parse(readFileSync(paths.startFailure, 'utf8'))));
  } catch {
    const tail = await logTail(paths.daemonLog, 5);
    return new HoldfastError('PROCESS_NOT_READY', `the daemon ended during its start. The last it said:\n${tail}`, {
      remedy: `see its log: ${paths.daemonLog}`,
    });
  }
}

function notReady(status: FarmStatus | undefined): HoldfastError {
  const waiting = status?.nodes.filter(node => node.state !== 'up').map(node => node.name) ?? [];
  const what = waiting.length === 0 ? 'the daemon does not answer' : `not up: ${waiting.join(', ')}`;
  return new HoldfastError('PROCESS_NOT_READY', `the farm was not ready within ${readyDeadlineMs / 1000} s (${what})`, {
    remedy: 'see log/daemon.log and nodes/<name>/log/output.log in the state folder; end it with: holdfast down',
  });
}
