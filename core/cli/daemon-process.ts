// The daemon's process: starts what the composition wires, turns signals into its methods, and notes why a start failed.
import { rmSync, writeFileSync } from 'node:fs';
import { toErrorShape } from '../control/messages.js';
import { messageOf } from '../errors.js';
import { statePaths } from '../host/state-folder.js';
import type { Composition, FarmPlace, RunningDaemon } from './composition.js';

/** Resolves to the exit code: 0 when the daemon was asked to end, 1 when it could not start. */
export async function runDaemon(load: () => Promise<Composition>, place: FarmPlace): Promise<number> {
  const { startFailure } = statePaths(place.stateFolder);
  const end = new AbortController();
  const stop = (): void => end.abort();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, stop);
  // A reload that comes during the start finds the new config anyway.
  process.on('SIGHUP', () => undefined);
  let daemon: RunningDaemon;
  try {
    const composition = await load();
    daemon = await composition.startDaemon(place);
  } catch (error) {
    writeFileSync(startFailure, JSON.stringify(toErrorShape(error)), { mode: 0o640 });
    process.stderr.write(line('error', `the start failed: ${messageOf(error)}`));
    return 1;
  }
  rmSync(startFailure, { force: true });
  process.on('SIGHUP', () => {
    daemon.reload().catch((error: unknown) => {
      process.stderr.write(line('error', `reload refused: ${messageOf(error)}`));
    });
  });
  const close = (): void => {
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

function line(level: string, msg: string): string {
  return `${JSON.stringify({ level, time: new Date().toISOString(), msg })}\n`;
}
