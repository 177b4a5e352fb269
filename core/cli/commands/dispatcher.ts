// `holdfast dispatcher`: the dispatcher lists of the Kamailios, as they are, as they should be, and made so.
import { exitCodes, type Command, type CommandContext } from '../command.js';
import { formatDispatcherDiff, formatDispatcherList, formatDispatcherReload } from '../tables.js';

export const dispatcherCommand: Command = {
  usage: 'dispatcher <action>',
  summary: 'Ask every Kamailio for its lists (list), compare them with what should be (diff), load them again (reload)',
  actions: [
    ['list', 'as each Kamailio has them'],
    ['diff', 'where they differ from what should be; exit code 1 where one does'],
    ['reload', 'write them, load them on one Kamailio after the other, and read them back'],
  ],
  examples: ['holdfast dispatcher list', 'holdfast dispatcher diff', 'holdfast dispatcher reload'],
  run([action], context) {
    if (action === 'list') return list(context);
    return action === 'diff' ? diff(context) : reload(context);
  },
};

async function list(context: CommandContext): Promise<number> {
  const reports = await context.ask('dispatcherList', {});
  context.show(reports, () => formatDispatcherList(reports));
  return reports.every(({ reachable }) => reachable) ? exitCodes.done : exitCodes.failed;
}

async function diff(context: CommandContext): Promise<number> {
  const reports = await context.ask('dispatcherDiff', {});
  context.show(reports, () => formatDispatcherDiff(reports, context.style));
  const equal = reports.every(({ reachable, drift }) => reachable && drift.length === 0);
  return equal ? exitCodes.done : exitCodes.failed;
}

async function reload(context: CommandContext): Promise<number> {
  const reports = await context.ask('dispatcherReload', {});
  context.show(reports, () => formatDispatcherReload(reports, context.style, context.io.columns));
  return reports.every(({ equal }) => equal) ? exitCodes.done : exitCodes.failed;
}
