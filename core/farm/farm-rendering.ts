// Writes every generated file of a farm to a folder, for other deployment tools and for reading. Starts nothing.
import { mkdirSync, statSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../errors.js';
import { writeOwnedFile } from '../host/owned-files.js';
import { formatRuleset } from '../host/nft-ruleset.js';
import { pathBelow } from '../host/state-folder.js';
import type { EdgeState } from '../ports/edge.js';
import type { NodeFile, NodeRenderer } from '../ports/node-host.js';
import type { EdgeSettings } from './edge-sync.js';
import type { FarmName, FarmPlan } from './farm-plan.js';

/** What is in the folder, and what a deployment tool must know beside the files. */
export const inventoryFile = 'farm.json';
/** The balancer's rules with every Kamailio behind the VIPs, for `nft -f`. */
export const balancerFile = 'balancer.nft';

/** The edge's state when all of the farm is up and nothing has happened yet. */
export function untouchedState(plan: FarmPlan, settings: EdgeSettings): EdgeState {
  const nodes = plan.nodes.map(({ name, farm, address }) => ({ name, farm, address, state: 'up' as const }));
  const engines = nodes
    .filter(node => node.farm === 'rtpengine')
    .map((node, i) => ({ id: `e${i + 1}-1`, node: node.name, state: 'up' as const }));
  return { ...settings, nodes, engines, fenced: [] };
}

/**
 * Every file of a farm, relative to one folder, in the order of the plan; `nodeFolder` is where the nodes' folders will be on
 * the machines they are for. Pure: the same plan and renderers give the same files.
 */
export function renderFiles(
  plan: FarmPlan,
  renderers: Readonly<Record<FarmName, NodeRenderer>>,
  nodeFolder: string,
): readonly NodeFile[] {
  const setups = plan.nodes.map(node => {
    const folder = join(nodeFolder, node.name);
    return { node, folder, setup: renderers[node.farm].setup(node, folder) };
  });
  const nodes = setups.map(({ node: { name, farm, address, external }, folder, setup }) => ({
    ...{ name, farm, address, ...(external === undefined ? {} : { external }), folder },
    ...setup.process,
    folders: setup.folders,
    files: setup.files.map(({ path, mode, reload }) => ({
      path,
      mode: mode.toString(8).padStart(4, '0'),
      ...(reload === undefined ? {} : { reload }),
    })),
  }));
  const { subnet, publicVip, privateVip, daemonAddress } = plan;
  const inventory = { subnet, publicVip, privateVip, daemonAddress, balancer: balancerFile, nodes };
  const kamailios = plan.nodes.filter(node => node.farm === 'kamailio');
  const own = (path: string, content: string): NodeFile => ({ path, content, mode: 0o600 });
  return [
    ...setups.flatMap(({ node, setup }) => setup.files.map(file => ({ ...file, path: join(node.name, file.path) }))),
    own(balancerFile, formatRuleset(plan, kamailios)),
    own(inventoryFile, `${JSON.stringify(inventory, null, 2)}\n`),
  ];
}

/** Throws HOST_FAILED. */
export function makePrivateFolder(folder: string): void {
  try {
    makeFolders(folder);
  } catch (error) {
    throw new HoldfastError('HOST_FAILED', `cannot make ${folder}: ${messageOf(error)}`, {
      cause: error,
      remedy: 'name a folder that you may write to',
    });
  }
}

/** One by one: Node's recursive mkdir never ends where a folder is refused with ENOENT though its parent is there, as below /proc. */
function makeFolders(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
  makeFolders(dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
}

/**
 * Makes `folder` hold these files: what is the same already is not written again, and what an earlier rendering left of nodes
 * that are gone is removed; other files are not touched. Everything is the caller's own, folders closed to others.
 */
export async function writeRendering(folder: string, files: readonly NodeFile[]): Promise<void> {
  const earlier = await earlierFiles(folder);
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  for (const { path, ...file } of files) {
    const target = pathBelow(folder, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    const held = await readFile(target, file.encoding ?? 'utf8').catch(() => undefined);
    if (held === file.content) await chmod(target, file.mode);
    else await writeOwnedFile(target, file, owner);
  }
  const kept = new Set(files.map(({ path }) => path));
  for (const path of earlier.filter(one => !kept.has(one))) await removeFile(folder, path);
}

const inventoryShape = z.looseObject({
  nodes: z.array(z.looseObject({ name: z.string(), files: z.array(z.looseObject({ path: z.string() })) })),
});

/** What the inventory in the folder says that it holds; nothing where there is none that we can read. */
async function earlierFiles(folder: string): Promise<readonly string[]> {
  try {
    const { nodes } = inventoryShape.parse(JSON.parse(await readFile(join(folder, inventoryFile), 'utf8')));
    return nodes.flatMap(({ name, files }) => files.map(({ path }) => join(name, path)));
  } catch {
    return [];
  }
}

/** And its folders, once they are empty. */
async function removeFile(folder: string, path: string): Promise<void> {
  await rm(pathBelow(folder, path), { force: true });
  for (let parent = dirname(path); parent !== '.'; parent = dirname(parent)) {
    if (
      !(await rmdir(join(folder, parent)).then(
        () => true,
        () => false,
      ))
    )
      return;
  }
}
