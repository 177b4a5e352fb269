// `holdfast check CONFIG`: is this config, with its plugins, valid? Opens no socket.
import { configPath } from '../config-path.js';
import { exitCodes, type Command } from '../command.js';

export const checkCommand: Command = {
  usage: 'check [config]',
  summary: 'Check a config and its plugins; opens no socket and changes nothing',
  examples: ['holdfast check examples/local.yaml'],
  async run([argument], context) {
    const path = configPath(argument, context);
    const composition = await context.composition();
    const summary = await composition.checkConfig(path, context.text('subnet'));
    for (const warning of summary.warnings) context.io.err(`${context.style('yellow', 'warning')}: ${warning}\n`);
    context.show({ ok: true, config: path, ...summary }, () =>
      [
        `${path} is valid.\n`,
        `  subnet ${summary.subnet}, SIP at ${summary.edge}\n`,
        `  ${summary.nodes.length} nodes: ${summary.nodes.join(', ')}\n`,
        `  plugins: ${summary.plugins.join(', ')}\n`,
      ].join(''),
    );
    return exitCodes.done;
  },
};
