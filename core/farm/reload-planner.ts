// Answers what a reload would change: renders every node for the new config and compares it with what the node holds. Changes nothing.
import type { HoldfastConfig } from '../config/holdfast-config.js';
import type { EdgeState } from '../ports/edge.js';
import type { NodeHost, NodeRenderer } from '../ports/node-host.js';
import type { EdgeSettings } from './edge-sync.js';
import type { FarmName, FarmNode, FarmPlan } from './farm-plan.js';
import { nodeChanges, partChanges, reloadPlan, type NodeFiles, type ReloadPlan } from './reload-plan.js';

export type Renderers = Readonly<Record<FarmName, NodeRenderer>>;

/** What the plugins of a config make of it, from a set that was set up to be asked this and was stopped again. */
export interface TrialSettings {
  readonly settings: EdgeSettings;
  /** Of the running config, under the new one's plugins. */
  readonly underNew: EdgeSettings;
  readonly providers: readonly string[];
}

export interface ReloadPlannerOptions {
  readonly live: () => { readonly config: HoldfastConfig; readonly plan: FarmPlan };
  /** The daemon's own config file anew, or another one. Throws CONFIG_UNREADABLE, CONFIG_INVALID. */
  readonly loadConfig: (path: string | undefined) => HoldfastConfig;
  readonly tryOut: (next: HoldfastConfig) => Promise<TrialSettings>;
  readonly renderers: (config: HoldfastConfig, state: EdgeState) => Renderers;
  readonly host: NodeHost;
  /** What every Kamailio should hold now. */
  readonly edgeState: () => EdgeState;
}

export class ReloadPlanner {
  readonly #options: ReloadPlannerOptions;

  constructor(options: ReloadPlannerOptions) {
    this.#options = options;
  }

  async plan(configPath: string | undefined): Promise<ReloadPlan> {
    const { live, loadConfig, tryOut, edgeState } = this.#options;
    const next = loadConfig(configPath);
    const { settings, underNew, providers } = await tryOut(next);
    const state = edgeState();
    const changes = partChanges(live().config, next, { running: settingsIn(state), underNew, providers });
    const nodes = await this.#nodes(next, state, settings);
    return reloadPlan(next.file, changes, nodeChanges(nodes));
  }

  async #nodes(next: HoldfastConfig, state: EdgeState, settings: EdgeSettings): Promise<readonly NodeFiles[]> {
    const { live, renderers, host } = this.#options;
    const planned = next.farm.plan.nodes;
    const wanted = new Map(planned.map(node => [node.name, node]));
    const there = new Map(live().plan.nodes.map(node => [node.name, node]));
    const before = renderers(live().config, state);
    const after = renderers(next, this.#stateAfter(state, next.farm.plan, settings));
    const names = [...new Set([...there.keys(), ...wanted.keys()])];
    return Promise.all(
      names.map(async node => {
        const [now, then] = [there.get(node), wanted.get(node)];
        return {
          node,
          running: host.process(node) !== undefined,
          held: now && (await this.#held(now, before[now.farm])),
          wanted: then && after[then.farm].setup(then, host.folder(node)).files,
        };
      }),
    );
  }

  /** Lists and tables are held as they were last rendered; of other files the process has what its folder holds. */
  async #held(node: FarmNode, renderer: NodeRenderer): Promise<ReadonlyMap<string, string | undefined>> {
    const { host } = this.#options;
    const files = renderer.setup(node, host.folder(node.name)).files;
    return new Map(
      await Promise.all(
        files.map(async ({ path, content, encoding, reload }) => {
          const held = reload === 'list-reload' ? content : await host.readFile(node.name, path, encoding);
          return [path, held] as const;
        }),
      ),
    );
  }

  /** New nodes are thought of as up, those that leave as draining. */
  #stateAfter(state: EdgeState, plan: FarmPlan, settings: EdgeSettings): EdgeState {
    const planned = new Map(plan.nodes.map(node => [node.name, node]));
    const known = new Set(state.nodes.map(({ name }) => name));
    const nodes = state.nodes.map(node => (planned.has(node.name) ? node : { ...node, state: 'draining' as const }));
    const added = plan.nodes.filter(({ name }) => !known.has(name));
    return {
      ...state,
      ...settings,
      nodes: [...nodes, ...added.map(({ name, farm, address }) => ({ name, farm, address, state: 'up' as const }))],
    };
  }
}

function settingsIn({
  nodes: _nodes,
  engines: _engines,
  fenced: _fenced,
  formerPolicies: _former,
  hosts: _hosts,
  ...settings
}: EdgeState): EdgeSettings {
  return settings;
}
