// The plugin host: loads and checks plugins, sets them up in order, asks their hooks, and swaps all of them at a reload.
import { configInvalid } from '../config/config-problem.js';
import { directoryOf, type HoldfastConfig } from '../config/holdfast-config.js';
import { HoldfastError, messageOf } from '../errors.js';
import { Emitter } from '../events/emitter.js';
import type { ConnectStep, IncomingCall, RejectAnswer } from '../calls/call-facts.js';
import { connectSteps } from '../calls/connect-steps.js';
import { flowActions, noServices, type FlowActions, type FlowServices } from '../flows/action-registry.js';
import type { FlowAction } from '../flows/flow-facts.js';
import type { NamedFlows } from '../flows/flows.js';
import { foundRoute } from '../flows/flow-routes.js';
import { readFlows, unusedFlows } from '../flows/read-flows.js';
import type { Logger } from '../log.js';
import {
  directory,
  location,
  trunkGateways,
  type Directory,
  type Events,
  type Location,
  type ServiceToken,
  type TrunkGateways,
} from '../plugin-api.js';
import { formatDeprecation, modernAnswer, type Deprecation } from './api-versions.js';
import { withDeadline } from './deadline.js';
import { readAnswer, type HookAnswer, type HookName, type HookQuestion } from './hook-answers.js';
import { builtInFolder, loadPlugin, pluginError } from './plugin-loader.js';
import { RunningPlugin, type CheckedPlugin } from './running-plugin.js';
import { setupOrder } from './setup-order.js';

export interface PluginHostOptions {
  readonly log: Logger;
  /** How long one plugin may think about one question. Default 2000. */
  readonly hookTimeoutMs?: number;
  /** How long one clean-up may take. Default 2000. */
  readonly stopTimeoutMs?: number;
  /** Services that Holdfast itself provides, by token name, beside the directory. */
  readonly services?: ReadonlyMap<string, unknown>;
  /** How flows ask the outside. Default: not at all, as a check does. */
  readonly flowServices?: FlowSurroundings;
  /** Folder of the built-in plugins. */
  readonly builtIns?: URL;
}

/** Plugins that were started together. Calls that asked one set are not touched when another takes its place. */
interface PluginSet {
  /** In config order, in which hooks are asked. */
  readonly plugins: readonly RunningPlugin[];
  /** In the order in which they were set up. */
  readonly started: readonly RunningPlugin[];
  readonly services: ReadonlyMap<string, unknown>;
  readonly events: Emitter<Events>;
  /** Questions that are being asked now. */
  readonly asked: Set<Promise<unknown>>;
  /** What flows may have, and the flows of the config. */
  readonly actions: FlowActions;
  readonly flows: NamedFlows;
}

/** A config's plugins and flows, checked. */
interface CheckedSet {
  /** In config order, and in that in which they are set up. */
  readonly checked: readonly CheckedPlugin[];
  readonly ordered: readonly CheckedPlugin[];
  readonly flows: NamedFlows;
}

/** What flows need beside what plugins know. */
export interface FlowSurroundings extends Omit<FlowServices, 'findTargets' | 'findRoute'> {
  /** Those of these steps that the call may have, or why it may have none. Default: all. */
  readonly admit?: (call: IncomingCall, steps: readonly ConnectStep[]) => readonly ConnectStep[] | RejectAnswer;
}

export class PluginHost {
  readonly #log: Logger;
  readonly #hookTimeoutMs: number;
  readonly #stopTimeoutMs: number;
  readonly #builtIns: URL;
  readonly #flowServices: FlowSurroundings;
  readonly #services: ReadonlyMap<string, unknown>;
  readonly #warned = new Set<string>();
  #current: PluginSet;

  constructor(options: PluginHostOptions) {
    this.#log = options.log;
    this.#services = options.services ?? new Map();
    this.#hookTimeoutMs = options.hookTimeoutMs ?? 2000;
    this.#stopTimeoutMs = options.stopTimeoutMs ?? 2000;
    this.#builtIns = options.builtIns ?? builtInFolder;
    this.#flowServices = options.flowServices ?? noServices;
    this.#current = this.#emptySet();
  }

  /** Names of the running plugins, in config order. */
  get plugins(): readonly string[] {
    return this.#current.plugins.map(({ name }) => name);
  }

  /** Actions of flows: the built-in ones, and those of the running plugins. */
  get actions(): FlowActions {
    return this.#current.actions;
  }

  /** Flows of the config that the plugins run with. */
  get flows(): NamedFlows {
    return this.#current.flows;
  }

  /**
   * Loads every plugin of `config` and checks contract, config block and order, without running any setup. Throws
   * PLUGIN_NOT_FOUND, PLUGIN_INVALID, SERVICE_MISSING, or CONFIG_INVALID with every problem of every block. Gives what is
   * deprecated or not used, a sentence each.
   */
  async check(config: HoldfastConfig): Promise<readonly string[]> {
    const { checked } = await this.#checked(config);
    const deprecated = checked.flatMap(({ plugin, deprecations }) =>
      deprecations.map(one => formatDeprecation(plugin.name, one)),
    );
    return [...deprecated, ...unusedFlows(config)];
  }

  /** The flows of `config` and the actions that they may have, checked as `check` does. */
  async readFlows(config: HoldfastConfig): Promise<{ readonly actions: FlowActions; readonly named: NamedFlows }> {
    const { checked, flows } = await this.#checked(config);
    return { actions: flowActions(noServices, actionsOf(checked)), named: flows };
  }

  /** Starts the plugins of `config`. When one fails, those before it are cleaned up again, and nothing runs. */
  async start(config: HoldfastConfig): Promise<void> {
    await this.reload(config);
  }

  /** Starts a new set beside the running one, and swaps only when all of it is up; else throws and leaves it as it was. */
  async reload(config: HoldfastConfig): Promise<void> {
    const checked = await this.#checked(config);
    const next = await this.#startSet(checked, directoryOf(config));
    const before = this.#current;
    this.#current = next;
    for (const { name, deprecations } of next.plugins) this.#warn(name, deprecations);
    this.#log.info({ plugins: this.plugins }, before.plugins.length === 0 ? 'plugins started' : 'plugins reloaded');
    await this.#stopSet(before);
  }

  async stop(): Promise<void> {
    const before = this.#current;
    this.#current = this.#emptySet();
    await this.#stopSet(before);
  }

  /**
   * Asks a hook: the first answer in config order, or undefined. Throws PLUGIN_FAILED or PLUGIN_TIMEOUT naming plugin and
   * hook. `call` is the id of the call that asks, for the log.
   */
  async ask<Name extends HookName>(
    name: Name,
    question: HookQuestion<Name>,
    call?: string,
  ): Promise<HookAnswer<Name> | undefined> {
    const [first] = await this.#asking(set => this.#answers(set, name, question, call, 1));
    return first;
  }

  /** Asks a hook of every plugin: all answers, in config order. Throws as `ask` does. */
  async askAll<Name extends HookName>(
    name: Name,
    question: HookQuestion<Name>,
    call?: string,
  ): Promise<readonly HookAnswer<Name>[]> {
    return this.#asking(set => this.#answers(set, name, question, call, Infinity));
  }

  /** True where some plugin answers this hook. */
  answers(name: HookName): boolean {
    return this.#current.plugins.some(({ hooks }) => hooks[name] !== undefined);
  }

  /** Tells plugins a fact. Returns at once; a listener that throws is logged under its plugin's name. */
  emit<Name extends keyof Events>(name: Name, ...facts: Events[Name]): void {
    this.#current.events.emit(name, ...facts);
  }

  /** A service that a running plugin provides now; ask again for each use, because a reload may replace it. */
  service<T>(token: ServiceToken<T>): T | undefined {
    return this.#current.services.get(token.name) as T | undefined;
  }

  /** Has the present set wait with its stop until the question is answered. */
  async #asking<T>(ask: (set: PluginSet) => Promise<T>): Promise<T> {
    const set = this.#current;
    const asking = ask(set);
    set.asked.add(asking);
    try {
      return await asking;
    } finally {
      set.asked.delete(asking);
    }
  }

  /** Name of the running plugin that provides a service. */
  providerOf(token: ServiceToken<unknown>): string | undefined {
    return this.#current.started.find(plugin => plugin.provides(token))?.name;
  }

  async #answers<Name extends HookName>(
    set: PluginSet,
    name: Name,
    question: HookQuestion<Name>,
    call: string | undefined,
    most: number,
  ): Promise<readonly HookAnswer<Name>[]> {
    const answers: HookAnswer<Name>[] = [];
    for (const plugin of set.plugins) {
      if (plugin.hooks[name] === undefined) continue;
      const answer = await this.#askOne(plugin, name, question);
      if (answer === undefined) continue;
      this.#log.debug({ ...(call === undefined ? {} : { call }), plugin: plugin.name, hook: name }, 'hook answered');
      answers.push(answer);
      if (answers.length === most) break;
    }
    return answers;
  }

  async #askOne<Name extends HookName>(
    plugin: RunningPlugin,
    name: Name,
    question: HookQuestion<Name>,
  ): Promise<HookAnswer<Name> | undefined> {
    const hook = plugin.hooks[name] as
      ((question: HookQuestion<Name>, signal: AbortSignal) => Promise<unknown> | undefined) | undefined;
    if (hook === undefined) return undefined;
    const outcome = await withDeadline<unknown>(this.#hookTimeoutMs, signal => hook(question, signal));
    const details = { plugin: plugin.name, hook: name };
    if (outcome.kind === 'late') {
      const message = `plugin ${plugin.name}: no answer to the hook ${name} after ${this.#hookTimeoutMs} ms`;
      throw new HoldfastError('PLUGIN_TIMEOUT', message, { details });
    }
    if (outcome.kind === 'threw') {
      const message = `plugin ${plugin.name}: the hook ${name} failed: ${messageOf(outcome.error)}`;
      throw new HoldfastError('PLUGIN_FAILED', message, { cause: outcome.error, details });
    }
    if (outcome.value === undefined) return undefined;
    const { value, deprecations } = modernAnswer(name, outcome.value, plugin.apiVersion);
    this.#warn(plugin.name, deprecations);
    const answer = readAnswer(name, value);
    if ('value' in answer) return answer.value;
    const message = `plugin ${plugin.name}: its answer to the hook ${name} is not one: ${answer.wrong}`;
    throw new HoldfastError('PLUGIN_FAILED', message, { details });
  }

  /** Each deprecation once for each plugin as long as the daemon lives, whatever it does how often. */
  #warn(plugin: string, deprecations: readonly Deprecation[]): void {
    for (const deprecation of deprecations) {
      const sentence = formatDeprecation(plugin, deprecation);
      if (this.#warned.has(sentence)) continue;
      this.#warned.add(sentence);
      this.#log.warn({ plugin, deprecated: deprecation.what }, sentence);
    }
  }

  async #checked(config: HoldfastConfig): Promise<CheckedSet> {
    const checked: CheckedPlugin[] = [];
    const problems = [];
    const facts = directoryOf(config);
    for (const block of config.plugins) {
      const { plugin, deprecations } = await loadPlugin(block, config.file, this.#builtIns);
      const parsed = plugin.config.safeParse(block.config);
      if (!parsed.success) {
        problems.push(...block.schemaProblems(parsed.error.issues, plugin.config));
        continue;
      }
      const one = { block, plugin, deprecations, config: parsed.data };
      checked.push(one);
      problems.push(...this.#ownCheck(one, facts));
    }
    const flows = readFlows(config, flowActions(noServices, actionsOf(checked)), facts);
    problems.push(...flows.problems);
    if (problems.length > 0) throw configInvalid(problems);
    return {
      checked,
      flows: flows.named,
      ordered: setupOrder(checked, new Set([directory.name, ...this.#services.keys()])),
    };
  }

  #ownCheck({ block, plugin, config }: CheckedPlugin, facts: Directory): ReturnType<typeof block.problem>[] {
    try {
      const found = plugin.check?.(config, facts) ?? [];
      return found.map(({ path, message, hint }) => block.problem(path, message, hint));
    } catch (error) {
      throw pluginError('PLUGIN_FAILED', block, `its check of the config failed: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  async #startSet({ ordered, checked, flows }: CheckedSet, facts: Directory): Promise<PluginSet> {
    const services = new Map<string, unknown>([...this.#services, [directory.name, facts]]);
    const events = new Emitter<Events>(this.#log);
    const around = { log: this.#log, events, services, stopTimeoutMs: this.#stopTimeoutMs };
    const started: RunningPlugin[] = [];
    const contacts = (): Location | undefined => services.get(location.name) as Location | undefined;
    const gateways = services.get(trunkGateways.name) as TrunkGateways | undefined;
    const admit = (call: IncomingCall, steps: readonly ConnectStep[]): readonly ConnectStep[] | RejectAnswer =>
      this.#flowServices.admit?.(call, steps) ?? steps;
    const actions = flowActions(
      {
        ...this.#flowServices,
        findTargets: (wish, call) => {
          const found = connectSteps(wish, call.dialled, { directory: facts, location: contacts(), gateways });
          return admit(call, found);
        },
        findRoute: async (call, dialled) => {
          const asked = { ...call, dialled };
          const answer = await this.ask('route', asked, call.id);
          return foundRoute(answer, dialled, { flows, admit: steps => admit(asked, steps) });
        },
      },
      actionsOf(checked),
    );
    const set = { services, events, started, actions, flows, asked: new Set<Promise<unknown>>() };
    try {
      for (const one of ordered) {
        const plugin = new RunningPlugin(one, around);
        started.push(plugin);
        await plugin.start();
      }
    } catch (error) {
      await this.#stopSet({ ...set, plugins: [] });
      throw error;
    }
    const byName = new Map(started.map(plugin => [plugin.name, plugin]));
    const plugins = checked.flatMap(({ plugin }) => byName.get(plugin.name) ?? []);
    return { ...set, plugins };
  }

  /** Last started first, after the questions that are being asked: each has a deadline, so this ends. */
  async #stopSet(set: PluginSet): Promise<void> {
    await Promise.allSettled(set.asked);
    for (const plugin of [...set.started].reverse()) await plugin.stop();
    set.events.removeAll();
  }

  #emptySet(): PluginSet {
    const none = { plugins: [], started: [], services: new Map(), asked: new Set<Promise<unknown>>() };
    return { ...none, events: new Emitter<Events>(this.#log), actions: flowActions(noServices), flows: new Map() };
  }
}

/** Actions that plugins add to flows. */
function actionsOf(plugins: readonly CheckedPlugin[]): readonly FlowAction[] {
  return plugins.flatMap(({ plugin }) => plugin.actions ?? []);
}
