// What a new config would change of the farm: its parts, and the files of every node by how their process takes them. Pure.
import { isDeepStrictEqual } from 'node:util';
import { allNeeds, changedParts, needs, type ChangedPart, type Need } from '../config/changed-parts.js';
import type { HoldfastConfig } from '../config/holdfast-config.js';
import type { NodeFile } from '../ports/node-host.js';
import type { EdgeSettings } from './edge-sync.js';

export interface FileChange {
  readonly path: string;
  readonly need: Need;
}

export interface NodeChange {
  readonly node: string;
  readonly needs: readonly Need[];
  /** Empty where the node comes or leaves. */
  readonly files: readonly FileChange[];
}

/** One node as it is (undefined: it is not there yet) and as the new config has it (undefined: it has no such node). */
export interface NodeFiles {
  readonly node: string;
  readonly running: boolean;
  /** Path → content. */
  readonly held: ReadonlyMap<string, string | undefined> | undefined;
  readonly wanted: readonly NodeFile[] | undefined;
}

/** Nodes that are as they should be are left out. */
export function nodeChanges(nodes: readonly NodeFiles[]): readonly NodeChange[] {
  return nodes.map(nodeChange).filter(change => change.needs.length > 0);
}

function nodeChange({ node, running, held, wanted }: NodeFiles): NodeChange {
  if (!wanted) return { node, needs: ['node-leave'], files: [] };
  if (!held) return { node, needs: ['node-start'], files: [] };
  // One that does not run gets all its files at its next start, which is under way.
  const files = !running
    ? []
    : wanted
        .filter(({ path, content }) => held.get(path) !== content)
        .map(({ path, reload }) => ({ path, need: reload ?? ('rolling-restart' as const) }));
  return { node, needs: needs.filter(need => files.some(file => file.need === need)), files };
}

/** The edge's settings that come from plugins: with the config and plugins that run, and with that config under the new plugins. */
export interface PolicySettings {
  readonly running: EdgeSettings;
  readonly underNew: EdgeSettings;
  /** Names of the plugins that decide codecs, old and new. */
  readonly providers: readonly string[];
}

/** The parts of the config, where a plugin that decides codecs asks for new tables too. */
export function partChanges(
  before: HoldfastConfig,
  after: HoldfastConfig,
  { running, underNew, providers }: PolicySettings,
): readonly ChangedPart[] {
  const changes = changedParts(before, after);
  if (isDeepStrictEqual(running, underNew)) return changes;
  const parts = new Set(providers.map(name => `plugins.${name}`));
  return changes.map(change => (parts.has(change.part) ? { ...change, needs: ['list-reload'] } : change));
}

export interface ReloadPlan {
  /** The config file that was read. */
  readonly config: string;
  readonly changes: readonly ChangedPart[];
  readonly nodes: readonly NodeChange[];
  /** Of all of it, mildest first. */
  readonly needs: readonly Need[];
}

export function reloadPlan(config: string, changes: readonly ChangedPart[], nodes: readonly NodeChange[]): ReloadPlan {
  return { config, changes, nodes, needs: allNeeds([...changes, ...nodes]) };
}
