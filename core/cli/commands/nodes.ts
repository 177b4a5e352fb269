// `holdfast nodes`: the servers of the farm.
import { exitCodes, type Command } from '../command.js';
import { formatNodes } from '../tables.js';

export const nodesCommand: Command = {
  usage: 'nodes',
  summary: 'List the nodes: state, process, addresses',
  examples: ['holdfast nodes', 'holdfast nodes --json'],
  async run(_args, context) {
    const result = await context.ask('nodes', {});
    context.show(result, () => formatNodes(result, context.style, context.io.columns));
    return exitCodes.done;
  },
};
