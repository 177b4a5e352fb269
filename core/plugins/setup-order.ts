// In which order plugins are set up: providers before those that use their services, else as the config has them.
import { HoldfastError } from '../errors.js';
import { pluginError } from './plugin-loader.js';
import type { CheckedPlugin } from './running-plugin.js';

/**
 * Pure. `given` are names of services that are there without a plugin. Throws SERVICE_MISSING for a need that nobody
 * provides, PLUGIN_INVALID for two providers of one service and for plugins that need each other in a circle.
 */
export function setupOrder(plugins: readonly CheckedPlugin[], given: ReadonlySet<string>): readonly CheckedPlugin[] {
  const providers = providersOf(plugins, given);
  for (const { plugin, block } of plugins) {
    for (const { name } of plugin.needs ?? []) {
      if (given.has(name) || providers.has(name)) continue;
      throw pluginError('SERVICE_MISSING', block, `it needs the service ${name}, which no configured plugin provides`);
    }
  }
  const order: CheckedPlugin[] = [];
  const path: CheckedPlugin[] = [];
  const visit = (checked: CheckedPlugin): void => {
    if (order.includes(checked)) return;
    const { needs = [], wants = [] } = checked.plugin;
    if (path.includes(checked)) throw circle([...path.slice(path.indexOf(checked)), checked]);
    path.push(checked);
    for (const { name } of [...needs, ...wants]) {
      const provider = providers.get(name);
      if (provider !== undefined) visit(provider);
    }
    path.pop();
    order.push(checked);
  };
  for (const checked of plugins) visit(checked);
  return order;
}

function providersOf(
  plugins: readonly CheckedPlugin[],
  given: ReadonlySet<string>,
): ReadonlyMap<string, CheckedPlugin> {
  const providers = new Map<string, CheckedPlugin>();
  for (const checked of plugins) {
    for (const { name } of checked.plugin.provides ?? []) {
      const other = given.has(name) ? 'Holdfast itself' : providers.get(name)?.plugin.name;
      if (other !== undefined) {
        throw pluginError(
          'PLUGIN_INVALID',
          checked.block,
          `it provides the service ${name}, which ${other} provides too`,
        );
      }
      providers.set(name, checked);
    }
  }
  return providers;
}

function circle(plugins: readonly CheckedPlugin[]): HoldfastError {
  const names = plugins.map(({ plugin }) => plugin.name).join(' → ');
  const [first] = plugins;
  const message = `plugins need each other in a circle: ${names}`;
  return first === undefined
    ? new HoldfastError('PLUGIN_INVALID', message)
    : pluginError('PLUGIN_INVALID', first.block, message);
}
