// Ends a farm from its state folder alone, for when no daemon does it: processes, then the balancer's table.
import { existsSync, rmSync } from 'node:fs';
import { planFarm } from '../farm/farm-plan.js';
import { LocalHost } from '../host/local-host.js';
import { NftBalancer } from '../host/nft-balancer.js';
import { statePaths } from '../host/state-folder.js';

const graceMs = 5_000;

/**
 * Returns what was ended, for telling; empty where nothing was left. Without a subnet no balancer is looked for. Throws
 * HOST_FAILED or BALANCER_FAILED.
 */
export async function endFarm(stateFolder: string, subnet: string | undefined): Promise<readonly string[]> {
  // The VIPs first: nobody is sent to a server that is being stopped.
  const ended = subnet === undefined ? [] : await removeBalancer(subnet);
  if (!existsSync(statePaths(stateFolder).processFolder)) return ended;
  const host = new LocalHost(stateFolder);
  try {
    const nodes = host.running();
    await Promise.all(nodes.map(node => host.stop(node, graceMs)));
    ended.push(...nodes);
  } finally {
    host.close();
  }
  rmSync(statePaths(stateFolder).controlSocket, { force: true });
  return ended;
}

async function removeBalancer(subnet: string): Promise<string[]> {
  const anyPlan = planFarm(subnet, { kamailio: 1, call: 0, conference: 0, registrar: 0, rtpengine: 0 });
  const balancer = new NftBalancer(anyPlan);
  // Where nft cannot list tables it has made none.
  if (!(await balancer.present().catch(() => false))) return [];
  await balancer.remove();
  return ['balancer'];
}
