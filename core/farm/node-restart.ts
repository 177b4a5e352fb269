// Gives one server a fresh start without losing a call: no new calls, wait until it has none, end its process, take it back.
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeHost } from '../ports/node-host.js';
import type { EdgeSync } from './edge-sync.js';
import type { NodeStates } from './node-states.js';

export interface NodeRestartParts {
  readonly host: NodeHost;
  readonly states: NodeStates;
  readonly sync: EdgeSync;
  readonly callsOn: (node: string) => number;
}

const lookMs = 100;
/** Packets that were under way when lists and balancer changed are still served. */
const lastPacketsMs = 500;

/** Resolves when the node is up again, on files written anew. A node that was drained before stays drained. */
export async function restartNode(
  { host, states, sync, callsOn }: NodeRestartParts,
  node: string,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const drained = states.isDraining(node);
  const setDraining = async (draining: boolean): Promise<void> => {
    states.setDraining(node, draining, draining ? 'about to be restarted' : 'restarted');
    await sync.apply(`${node} ${draining ? 'leaves for a restart' : 'was restarted'}`);
    await sync.balance();
  };
  if (!drained) await setDraining(true);
  try {
    await empty(node, callsOn, progress, signal);
    await delay(lastPacketsMs, undefined, { signal });
    progress(`ending ${node}`);
    const before = host.process(node)?.pid;
    await host.stop(node);
    const isBack = (): boolean => states.state(node) === 'draining' && host.process(node)?.pid !== before;
    while (!isBack()) await delay(lookMs, undefined, { signal });
    progress(`${node} is back`);
  } finally {
    if (!drained) await setDraining(false);
  }
}

async function empty(
  node: string,
  callsOn: (node: string) => number,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let shown = 0;
  for (let left = callsOn(node); left > 0; left = callsOn(node)) {
    if (left !== shown) progress(`${left === 1 ? '1 call is' : `${left} calls are`} still on ${node}`);
    shown = left;
    await delay(lookMs, undefined, { signal });
  }
}
