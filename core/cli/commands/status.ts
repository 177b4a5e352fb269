// `holdfast status`: is the farm ready, and what is in which state.
import { exitCodes, type Command } from '../command.js';
import { formatStatus } from '../tables.js';

export const statusCommand: Command = {
  usage: 'status',
  summary: 'Show whether the farm is ready, its nodes and its calls',
  examples: ['holdfast status', 'holdfast status --json'],
  async run(_args, context) {
    const result = await context.ask('status', {});
    context.show(result, () => formatStatus(result, context.style, context.io.columns));
    return exitCodes.done;
  },
};
