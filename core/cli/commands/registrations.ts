// `holdfast registrations`: who is registered where.
import { exitCodes, type Command } from '../command.js';
import { formatRegistrations } from '../tables.js';

export const registrationsCommand: Command = {
  usage: 'registrations',
  summary: 'List the registered contacts',
  examples: ['holdfast registrations', 'holdfast registrations --json'],
  async run(_args, context) {
    const result = await context.ask('registrations', {});
    context.show(result, () => formatRegistrations(result, context.io.columns));
    return exitCodes.done;
  },
};
