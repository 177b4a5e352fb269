// Where things are in a farm's state folder: one folder per farm, named after its subnet.
import { mkdirSync, readlinkSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { HoldfastError } from '../errors.js';
import { subnetAddress } from '../farm/farm-plan.js';

export const defaultSubnet = '127.40.0.0/24';

/** The folder below which each farm has its state folder. */
export const stateRoot = '/var/lib/holdfast';

/** Leads to the state folder of the farm that the systemd service started, until that is down. */
export const serviceFarm = '/run/holdfast/farm';

/** State folder of the service's farm; undefined where it has none. */
export function serviceStateFolder(): string | undefined {
  try {
    return readlinkSync(serviceFarm);
  } catch {
    return undefined;
  }
}

/** The service's farm was brought down: commands are about the default one again. */
export function forgetServiceFarm(stateFolder: string): void {
  if (serviceStateFolder() === stateFolder) rmSync(serviceFarm, { force: true });
}

/** `/var/lib/holdfast/127.40.0.0`. Throws CONFIG_INVALID for what is no /24. */
export function defaultStateFolder(subnet: string): string {
  return join(stateRoot, subnetAddress(subnet, 0));
}

export interface StatePaths {
  readonly controlSocket: string;
  readonly eventSocket: string;
  /** Who supervises the daemon, which daemon runs, and on which config. */
  readonly supervisorFile: string;
  readonly supervisorLock: string;
  /** Why the last start of the daemon failed. */
  readonly startFailure: string;
  readonly daemonLog: string;
  /** Owned by root, not by the nodes' users: what is in there decides which processes are signalled. */
  readonly processFolder: string;
  readonly nodeFolder: string;
  /** The farm's own certificate for TLS, and the last one that worked. */
  readonly certificateFolder: string;
}

export function statePaths(stateFolder: string): StatePaths {
  return {
    controlSocket: join(stateFolder, 'control.sock'),
    eventSocket: join(stateFolder, 'events.sock'),
    supervisorFile: join(stateFolder, 'supervisor.json'),
    supervisorLock: join(stateFolder, 'supervisor.lock'),
    startFailure: join(stateFolder, 'start-failure.json'),
    daemonLog: join(stateFolder, 'log', 'daemon.log'),
    processFolder: join(stateFolder, 'processes'),
    nodeFolder: join(stateFolder, 'nodes'),
    certificateFolder: join(stateFolder, 'certificate'),
  };
}

/** Makes a farm's state folder and its log folder. The nodes' users must pass through it, and cannot list it. */
export function makeStateFolder(stateFolder: string): void {
  mkdirSync(stateFolder, { recursive: true, mode: 0o711 });
  mkdirSync(dirname(statePaths(stateFolder).daemonLog), { recursive: true, mode: 0o750 });
}

/** Joins a relative path below `folder`. Throws HOST_FAILED for one that would leave it. */
export function pathBelow(folder: string, path: string): string {
  const parts = path.split('/');
  if (path.startsWith('/') || parts.some(part => part === '..' || part.includes('\0'))) {
    throw new HoldfastError('HOST_FAILED', `"${path}" is not a path below ${folder}`, { details: { path } });
  }
  return join(folder, path);
}
