// Keeps a farm's daemon running: starts it again when it dies, and leaves the farm's processes alone meanwhile.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { boundLog } from '../host/bounded-log.js';
import { serversRun } from '../host/local-host.js';
import { readProcess, thisProcess } from '../host/process-table.js';
import { makeStateFolder, statePaths } from '../host/state-folder.js';
import { endFarm } from './farm-end.js';
import type { FarmPlace } from './composition.js';
import { releaseSupervisorLock, takeSupervisorLock, writeSupervisorNote } from './supervisor-note.js';

/** Another supervisor has this farm. */
export const exitHeld = 3;

const firstBackoffMs = 100;
const mostBackoffMs = 10_000;
/** A daemon that ran this long had nothing wrong with its start. */
const soundAfterMs = 60_000;
const logCheckMs = 60_000;

/** Where this program is, to start itself again. */
export function selfCommand(): readonly [command: string, script: string] {
  return [process.execPath, process.argv[1] ?? ''];
}

/** Runs until the daemon ends on purpose; resolves to the exit code. */
export async function supervise(place: FarmPlace & { readonly subnet: string }): Promise<number> {
  const { stateFolder } = place;
  const paths = statePaths(stateFolder);
  makeStateFolder(stateFolder);
  if (!takeSupervisorLock(stateFolder)) return exitHeld;
  rmSync(paths.startFailure, { force: true });
  const stopping = new AbortController();
  const stopped = (): boolean => stopping.signal.aborted;
  let daemon: ChildProcess | undefined;
  const stop = (): void => {
    stopping.abort();
    daemon?.kill('SIGTERM');
  };
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, stop);
  process.on('SIGHUP', () => daemon?.kill('SIGHUP'));
  const logCheck = setInterval(() => void boundLog(paths.daemonLog).catch(() => undefined), logCheckMs);
  try {
    // Calls may be up on the processes of a farm whose daemon and supervisor died: a failed start must not end them.
    const tookUp = serversRun(stateFolder);
    let everReady = false;
    let backoffMs = firstBackoffMs;
    for (;;) {
      const startedAt = Date.now();
      await boundLog(paths.daemonLog);
      daemon = spawnDaemon(place, paths.daemonLog);
      noteDaemon(place, daemon);
      const code = await exitOf(daemon);
      if (code === 0 || stopped()) return 0;
      everReady ||= !existsSync(paths.startFailure);
      if (!everReady) {
        if (!tookUp) await endFarm(stateFolder, place.subnet);
        return 1;
      }
      backoffMs = Date.now() - startedAt > soundAfterMs ? firstBackoffMs : backoffMs;
      log(`the daemon ended with ${code}: starting it again in ${backoffMs} ms; calls go on`);
      await delay(backoffMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopped()) return 0;
      backoffMs = Math.min(backoffMs * 2, mostBackoffMs);
    }
  } finally {
    clearInterval(logCheck);
    releaseSupervisorLock(stateFolder);
  }
}

/**
 * A recovery is a burst of code that has hardly run before, on cores that it needs itself: V8's baseline compiler makes it fast at
 * once, a young generation of 64 MB holds what it allocates without collections in between, and what has not run for long is not compiled anew.
 */
export const nodeFlags = [
  '--always-sparkplug',
  '--no-flush-bytecode',
  '--min-semi-space-size=64',
  '--max-semi-space-size=64',
];

function spawnDaemon(place: FarmPlace & { readonly subnet: string }, logPath: string): ChildProcess {
  const [command, script] = selfCommand();
  const log = openSync(logPath, 'a', 0o640);
  try {
    const { configPath, subnet, stateFolder } = place;
    const args = [script, 'daemon', '--config', configPath, '--subnet', subnet, '--state', stateFolder];
    return spawn(command, [...nodeFlags, ...args], { stdio: ['ignore', log, log] });
  } finally {
    closeSync(log);
  }
}

function noteDaemon({ configPath, subnet, stateFolder }: FarmPlace & { subnet: string }, daemon: ChildProcess): void {
  const entry = daemon.pid === undefined ? undefined : readProcess(daemon.pid);
  const process = entry ? { pid: entry.pid, startTicks: entry.startTicks } : null;
  writeSupervisorNote(stateFolder, { configPath, subnet, supervisor: thisProcess(), daemon: process });
}

/** The exit code, or the signal's name. */
function exitOf(child: ChildProcess): Promise<number | string> {
  return new Promise(resolve => {
    child.once('error', error => resolve(error.message));
    child.once('exit', (code, name) => resolve(code ?? name ?? 'nothing'));
  });
}

/** In the form of the daemon's log, which our output goes to. */
function log(message: string): void {
  process.stdout.write(`${JSON.stringify({ level: 'warn', time: new Date().toISOString(), msg: message })}\n`);
}
