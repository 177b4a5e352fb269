// One plugin that was set up: what it registered, and its undoing.
import type { PluginBlock } from '../config/holdfast-config.js';
import { HoldfastError, messageOf } from '../errors.js';
import type { Emitter } from '../events/emitter.js';
import type { Logger } from '../log.js';
import type { Events, Hooks, Plugin, PluginContext, ServiceToken } from '../plugin-api.js';
import type { Deprecation } from './api-versions.js';
import { withDeadline } from './deadline.js';
import { hookNames, type HookName } from './hook-answers.js';
import { pluginError } from './plugin-loader.js';

/** A plugin whose contract and config are checked, ready to be set up. */
export interface CheckedPlugin {
  readonly block: PluginBlock;
  readonly plugin: Plugin;
  /** What it uses that the next version of the API will not have. */
  readonly deprecations: readonly Deprecation[];
  /** What the plugin's schema made of its block. */
  readonly config: unknown;
}

export interface PluginSurroundings {
  readonly log: Logger;
  readonly events: Emitter<Events>;
  /** Services by token name: the daemon's own, and those of plugins set up before. */
  readonly services: Map<string, unknown>;
  readonly stopTimeoutMs: number;
}

type HookTable = { [Name in HookName]?: Hooks[Name] };

export class RunningPlugin {
  readonly name: string;
  readonly hooks: HookTable = {};
  readonly #checked: CheckedPlugin;
  readonly #around: PluginSurroundings;
  readonly #log: Logger;
  readonly #undo: { readonly what: string; readonly run: () => Promise<void> | void }[] = [];
  #stopped = false;

  constructor(checked: CheckedPlugin, around: PluginSurroundings) {
    this.name = checked.plugin.name;
    this.#checked = checked;
    this.#around = around;
    this.#log = around.log.child({ plugin: this.name });
  }

  /** The version of the API that it was written for. */
  get apiVersion(): number {
    return this.#checked.plugin.apiVersion;
  }

  get deprecations(): readonly Deprecation[] {
    return this.#checked.deprecations;
  }

  provides(token: ServiceToken<unknown>): boolean {
    return (this.#checked.plugin.provides ?? []).some(({ name }) => name === token.name);
  }

  /** Runs its setup. Throws PLUGIN_FAILED or PLUGIN_TIMEOUT, naming it; `stop()` must follow then too. */
  async start(): Promise<void> {
    const { plugin, block } = this.#checked;
    const deadlineMs = plugin.setupTimeoutMs ?? 5000;
    const outcome = await withDeadline(deadlineMs, () => plugin.setup(this.#context()));
    if (outcome.kind === 'late') {
      throw pluginError('PLUGIN_TIMEOUT', block, `its setup was not done after ${deadlineMs} ms`);
    }
    if (outcome.kind === 'threw') {
      const { error } = outcome;
      if (HoldfastError.is(error, 'SERVICE_MISSING')) throw error;
      throw pluginError('PLUGIN_FAILED', block, `its setup failed: ${messageOf(error)}`, { cause: error });
    }
    for (const { name } of plugin.provides ?? []) {
      if (!this.#around.services.has(name)) {
        throw pluginError('PLUGIN_INVALID', block, `it promised the service ${name} and did not provide it`);
      }
    }
  }

  /** Undoes what it registered, last first, each with a deadline. Failures are logged; never throws. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) await this.#run(undo);
  }

  async #run({ what, run }: { what: string; run: () => Promise<void> | void }): Promise<void> {
    const outcome = await withDeadline(this.#around.stopTimeoutMs, run);
    if (outcome.kind === 'late')
      this.#log.error({ ms: this.#around.stopTimeoutMs }, `${what} of ${this.name} was late`);
    if (outcome.kind === 'threw') this.#log.error({ error: outcome.error }, `${what} of ${this.name} failed`);
  }

  #context(): PluginContext<unknown> {
    const { config } = this.#checked;
    return {
      config,
      log: this.#log,
      hook: (name, answer) => this.#hook(name, answer),
      on: (name, listener) => {
        this.#mustRun(`listen to ${name}`);
        this.#undo.push({ what: 'listening', run: this.#around.events.on(name, `plugin ${this.name}`, listener) });
      },
      provide: (token, service) => this.#provide(token, service),
      use: token => this.#use(token),
      find: token => this.#find(token),
      onStop: cleanUp => {
        const undo = { what: 'clean-up', run: cleanUp };
        // A setup that went on after its deadline opened something that nobody else will close.
        if (this.#stopped) void this.#run(undo);
        else this.#undo.push(undo);
      },
    };
  }

  #hook<Name extends HookName>(name: Name, answer: Hooks[Name]): void {
    this.#mustRun(`answer ${name}`);
    if (!hookNames.has(name)) throw this.#invalid(`there is no hook "${name}": ${[...hookNames].join(', ')}`);
    if (this.hooks[name] !== undefined) throw this.#invalid(`it answers the hook ${name} twice`);
    if (typeof answer !== 'function') throw this.#invalid(`its answer to the hook ${name} is not a function`);
    this.hooks[name] = answer;
  }

  #provide<T>(token: ServiceToken<T>, service: T): void {
    this.#mustRun(`provide ${token.name}`);
    const declared = this.#checked.plugin.provides?.some(({ name }) => name === token.name) ?? false;
    if (!declared) throw this.#invalid(`it provides ${token.name} without naming it in "provides"`);
    this.#around.services.set(token.name, service);
  }

  #use<T>(token: ServiceToken<T>): T {
    const declared = this.#checked.plugin.needs?.some(({ name }) => name === token.name) ?? false;
    const service = declared ? this.#around.services.get(token.name) : undefined;
    if (service === undefined) {
      const message = declared ? `nobody provides ${token.name}` : `it uses ${token.name} without naming it in "needs"`;
      throw pluginError('SERVICE_MISSING', this.#checked.block, message);
    }
    return service as T;
  }

  #find<T>(token: ServiceToken<T>): T | undefined {
    const { needs = [], wants = [] } = this.#checked.plugin;
    if (![...needs, ...wants].some(({ name }) => name === token.name)) {
      throw this.#invalid(`it looks for ${token.name} without naming it in "wants" or "needs"`);
    }
    return this.#around.services.get(token.name) as T | undefined;
  }

  #mustRun(what: string): void {
    if (this.#stopped)
      throw new HoldfastError('PLUGIN_FAILED', `plugin ${this.name} was stopped: it cannot ${what} now`);
  }

  #invalid(message: string): HoldfastError {
    return pluginError('PLUGIN_INVALID', this.#checked.block, message);
  }
}
