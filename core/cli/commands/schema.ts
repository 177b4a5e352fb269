// `holdfast schema`: the JSON Schema of a config file, for the editor that it is written in.
import { configJsonSchema } from '../../config/config-json-schema.js';
import { loadConfig } from '../../config/load-config.js';
import { builtInPlugins, loadPlugin } from '../../plugins/plugin-loader.js';
import { exitCodes, type Command } from '../command.js';

export const schemaCommand: Command = {
  usage: 'schema [config]',
  summary: 'Print the JSON Schema of a config file, for editors; with a config also for the plugins that it loads',
  examples: ['holdfast schema > holdfast.schema.json', 'holdfast schema examples/local.yaml'],
  async run([argument], context) {
    const builtIns = await builtInPlugins();
    const plugins = builtIns.map(({ name, config }) => ({ name, config, builtIn: true }));
    const config = argument === undefined ? undefined : loadConfig(argument);
    for (const block of config?.plugins.filter(({ from }) => from !== undefined) ?? []) {
      const { plugin } = await loadPlugin(block, config?.file ?? '');
      plugins.push({ name: plugin.name, config: plugin.config, builtIn: false });
    }
    context.io.out(`${JSON.stringify(configJsonSchema(plugins), null, 2)}\n`);
    return exitCodes.done;
  },
};
