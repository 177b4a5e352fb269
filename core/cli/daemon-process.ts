// The daemon's process: starts what the composition wires, turns signals into its methods, and notes why a start failed.
import { rmSync, writeFileSync } from 'node:fs';
import { toErrorShape } from '../control/messages.js';
import { HoldfastError, messageOf, type ErrorCode } from '../errors.js';
import { statePaths } from '../host/state-folder.js';
import type { Composition, FarmPlace, RunningDaemon } from './composition.js';

/** A config that is refused now is refused at the next start too (EX_CONFIG of sysexits.h): systemd does not start it again. */
export const exitConfig = 78;

const configCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['CONFIG_INVALID', 'CONFIG_UNREADABLE', 'PLUGIN_NOT_FOUND', 'PLUGIN_INVALID'] as const),
  ...(['SERVICE_MISSING', 'FARM_BUSY'] as const),
]);

/** True where another try needs another config, or another farm out of the way, first. */
export function isConfigError(error: unknown): boolean {
  return HoldfastError.is(error) && configCodes.has(error.code);
}

/** Is told of the daemon's life: it is ready, it is about to end. */
export interface DaemonWatcher {
  ready(): void;
  ending(): void;
}

/** Resolves to the exit code: 0 when the daemon was asked to end; 1 when it could not start, 78 where a config is why. */
export async function runDaemon(
  load: () => Promise<Composition>,
  place: FarmPlace,
  watcher?: DaemonWatcher,
): Promise<number> {
  const { startFailure } = statePaths(place.stateFolder);
  const end = new AbortController();
  const stop = (): void => end.abort();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, stop);
  const hangUp = { reload: (): void => void (hangUp.cameEarly = true), cameEarly: false };
  process.on('SIGHUP', () => hangUp.reload());
  // What nobody waits for, as a plugin's forgotten promise, or a write that a full disk refuses, must not end the daemon.
  process.on('unhandledRejection', reason => {
    const stack = reason instanceof Error ? reason.stack : undefined;
    process.stderr.write(line('error', `failed, and nobody waited for it: ${messageOf(reason)}`, stack));
  });
  let daemon: RunningDaemon;
  try {
    const composition = await load();
    daemon = await composition.startDaemon(place);
  } catch (error) {
    writeFileSync(startFailure, JSON.stringify(toErrorShape(error)), { mode: 0o640 });
    process.stderr.write(line('error', `the start failed: ${messageOf(error)}`));
    return isConfigError(error) ? exitConfig : 1;
  }
  rmSync(startFailure, { force: true });
  watcher?.ready();
  hangUp.reload = () => {
    daemon.reload().catch((error: unknown) => {
      process.stderr.write(line('error', `reload refused: ${messageOf(error)}`));
    });
  };
  // The start may have read the file before it was changed.
  if (hangUp.cameEarly) hangUp.reload();
  const close = (): void => {
    watcher?.ending();
    daemon.close().catch((error: unknown) => {
      process.stderr.write(line('error', `the end was not clean: ${messageOf(error)}`));
      process.exit(0);
    });
  };
  if (end.signal.aborted) close();
  else end.signal.addEventListener('abort', close, { once: true });
  await daemon.stopped;
  return 0;
}

function line(level: string, msg: string, stack?: string): string {
  return `${JSON.stringify({ level, time: new Date().toISOString(), msg, stack })}\n`;
}
