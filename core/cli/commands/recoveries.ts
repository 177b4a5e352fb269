// `holdfast recoveries`: deaths of nodes and what became of their calls.
import { exitCodes, type Command } from '../command.js';
import { formatRecoveries } from '../tables.js';

export const recoveriesCommand: Command = {
  usage: 'recoveries',
  summary: 'List the recoveries: what was found, recovered, ended, failed',
  examples: ['holdfast recoveries', 'holdfast recoveries --json'],
  async run(_args, context) {
    const result = await context.ask('recoveries', {});
    context.show(result, () => formatRecoveries(result, context.io.columns));
    return exitCodes.done;
  },
};
