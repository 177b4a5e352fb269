// `holdfast calls`: the calls that are up or being set up.
import { exitCodes, type Command } from '../command.js';
import { formatCalls } from '../tables.js';

export const callsCommand: Command = {
  usage: 'calls',
  summary: 'List the calls with their legs',
  examples: ['holdfast calls', 'holdfast calls --json'],
  async run(_args, context) {
    const result = await context.ask('calls', {});
    context.show(result, () => formatCalls(result, context.style, context.io.columns));
    return exitCodes.done;
  },
};
