// `holdfast schema`: the JSON Schema of a config file, for the editor that it is written in.
import { configJsonSchema } from '../../config/config-json-schema.js';
import { loadConfig } from '../../config/load-config.js';
import { flowActions, noServices } from '../../flows/action-registry.js';
import type { FlowAction } from '../../flows/flow-facts.js';
import { builtInPlugins, loadPlugin } from '../../plugins/plugin-loader.js';
import { exitCodes, type Command } from '../command.js';

export const schemaCommand: Command = {
  usage: 'schema [config]',
  summary: 'Print the JSON Schema of a config file, for editors; with a config also for the plugins that it loads',
  examples: ['holdfast schema > holdfast.schema.json', 'holdfast schema examples/local.yaml'],
  async run([argument], context) {
    const builtIns = await builtInPlugins();
    const plugins = builtIns.map(({ name, config }) => ({ name, config, builtIn: true }));
    const added: FlowAction[] = [];
    const config = argument === undefined ? undefined : loadConfig(argument);
    for (const block of config?.plugins.filter(({ from }) => from !== undefined) ?? []) {
      const { plugin } = await loadPlugin(block, config?.file ?? '');
      added.push(...(plugin.actions ?? []));
      plugins.push({ name: plugin.name, config: plugin.config, builtIn: false });
    }
    context.io.out(
      `${JSON.stringify(configJsonSchema(plugins, [...flowActions(noServices, added).values()]), null, 2)}\n`,
    );
    return exitCodes.done;
  },
};
