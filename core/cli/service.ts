// The daemon as a systemd service: systemd is its supervisor. It starts it again, watches it, and is told how it is.
import { rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { serversRun } from '../host/local-host.js';
import { thisProcess } from '../host/process-table.js';
import { ServiceManager, unitOf } from '../host/service-manager.js';
import { makeStateFolder, serviceFarm, statePaths } from '../host/state-folder.js';
import type { Composition, FarmPlace } from './composition.js';
import { runDaemon, type DaemonWatcher } from './daemon-process.js';
import { endFarm } from './farm-end.js';
import { exitHeld } from './supervisor.js';
import { releaseSupervisorLock, takeSupervisorLock, writeSupervisorNote } from './supervisor-note.js';
import { beat } from './watchdog.js';

/** Runs the daemon in this process; resolves to the exit code. */
export async function runService(
  load: () => Promise<Composition>,
  place: FarmPlace & { readonly subnet: string },
): Promise<number> {
  const { stateFolder, configPath, subnet } = place;
  makeStateFolder(stateFolder);
  if (!takeSupervisorLock(stateFolder)) return exitHeld;
  const self = thisProcess();
  const unit = unitOf();
  writeSupervisorNote(stateFolder, {
    ...{ configPath, subnet, supervisor: self, daemon: self },
    ...(unit === undefined ? {} : { unit }),
  });
  pointTo(stateFolder);
  const ended = new AbortController();
  try {
    const tookUp = serversRun(stateFolder);
    const code = await runDaemon(load, place, watcher(stateFolder, ended.signal));
    // Servers that were there before may have calls: a failed start leaves them alone.
    if (code !== 0 && !tookUp) await endFarm(stateFolder, subnet);
    return code;
  } finally {
    ended.abort();
    releaseSupervisorLock(stateFolder);
  }
}

function watcher(stateFolder: string, ended: AbortSignal): DaemonWatcher | undefined {
  const manager = ServiceManager.of(process.env);
  if (!manager) return undefined;
  const { controlSocket } = statePaths(stateFolder);
  return {
    ready: () => void manager.ready('ready').then(() => beat(manager, controlSocket, ended)),
    ending: () => void manager.stopping(),
  };
}

/** The farm of the unit that has this runtime folder is the one that commands are about where none is named. */
function pointTo(stateFolder: string): void {
  const folder = process.env['RUNTIME_DIRECTORY'];
  if (folder === undefined) return;
  const link = join(folder, basename(serviceFarm));
  rmSync(link, { force: true });
  symlinkSync(stateFolder, link);
}
