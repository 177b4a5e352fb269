// `holdfast trunks`: the calls of each trunk, and which of its gateways live.
import { exitCodes, type Command } from '../command.js';
import { formatTrunks } from '../tables.js';

export const trunksCommand: Command = {
  usage: 'trunks',
  summary: 'List the trunks, their calls and their gateways',
  examples: ['holdfast trunks', 'holdfast trunks --json'],
  async run(_args, context) {
    const result = await context.ask('trunks', {});
    context.show(result, () => formatTrunks(result, context.style, context.io.columns));
    return exitCodes.done;
  },
};
