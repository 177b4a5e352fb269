// Tells the service manager that the daemon is well, for as long as its event loop turns and its control socket answers.
import { setTimeout as delay } from 'node:timers/promises';
import { callDaemon } from '../control/control-client.js';
import type { ResultOf } from '../control/operations.js';
import type { ServiceManager } from '../host/service-manager.js';

/** Three chances within the manager's patience. */
const beatsPerPatience = 3;
/** How often the status line is renewed where nobody watches. */
const statusEveryMs = 30_000;

/** Runs until `signal` aborts. A socket that does not answer in time is not told of: then the manager acts. */
export async function beat(manager: ServiceManager, controlSocket: string, signal: AbortSignal): Promise<void> {
  const everyMs = Math.ceil((manager.watchdogMs ?? beatsPerPatience * statusEveryMs) / beatsPerPatience);
  const ended = (): boolean => signal.aborted;
  while (!ended()) {
    const health = await callDaemon(controlSocket, 'health', {}, { timeoutMs: everyMs }).catch(() => undefined);
    if (health && !ended()) await manager.well(healthLine(health));
    await delay(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

/** For `systemctl status`. */
export function healthLine({ ready, nodes, calls }: ResultOf<'health'>): string {
  return `${ready ? 'ready' : 'not ready'}: ${nodes.up} of ${nodes.all} servers up, ${calls} ${calls === 1 ? 'call' : 'calls'}`;
}
