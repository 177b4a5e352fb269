// Writes every generated file of a farm to a folder, for other deployment tools and for reading. Starts nothing.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathBelow } from '../host/state-folder.js';
import type { EdgeState } from '../ports/edge.js';
import type { NodeRenderer } from '../ports/node-host.js';
import type { EdgeSettings } from './edge-sync.js';
import type { FarmName, FarmPlan } from './farm-plan.js';

/** The edge's state when all of the farm is up and nothing has happened yet. */
export function untouchedState(plan: FarmPlan, settings: EdgeSettings): EdgeState {
  const nodes = plan.nodes.map(({ name, farm, address }) => ({ name, farm, address, state: 'up' as const }));
  const engines = nodes
    .filter(node => node.farm === 'rtpengine')
    .map((node, i) => ({ id: `e${i + 1}-1`, node: node.name, state: 'up' as const }));
  return { ...settings, nodes, engines, fenced: [] };
}

/** Resolves with the paths of all files, relative to `outFolder`. */
export async function writeFarm(
  plan: FarmPlan,
  renderers: Readonly<Record<FarmName, NodeRenderer>>,
  outFolder: string,
): Promise<readonly string[]> {
  const written: string[] = [];
  for (const node of plan.nodes) {
    const folder = join(outFolder, node.name);
    for (const file of renderers[node.farm].setup(node, folder).files) {
      const path = pathBelow(folder, file.path);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, file.content, { mode: file.mode });
      written.push(join(node.name, file.path));
    }
  }
  return written;
}
