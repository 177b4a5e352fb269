// `holdfast conferences`: where calls are mixed.
import { exitCodes, type Command } from '../command.js';
import { formatConferences } from '../tables.js';

export const conferencesCommand: Command = {
  usage: 'conferences',
  summary: 'List the conferences; a call of two has one, too',
  examples: ['holdfast conferences', 'holdfast conferences --json'],
  async run(_args, context) {
    const result = await context.ask('conferences', {});
    context.show(result, () => formatConferences(result, context.io.columns));
    return exitCodes.done;
  },
};
