// `holdfast dispatcher`: the dispatcher lists of the Kamailios, as they are, as they should be, and made so.
import { exitCodes, usage, type Command, type CommandContext } from '../command.js';
import { suggest } from '../suggest.js';
import { formatDispatcherDiff, formatDispatcherList, formatDispatcherReload } from '../tables.js';

const actions: Readonly<Record<string, (context: CommandContext) => Promise<number>>> = {
  async list(context) {
    const reports = await context.ask('dispatcherList', {});
    context.show(reports, () => formatDispatcherList(reports));
    return reports.every(({ reachable }) => reachable) ? exitCodes.done : exitCodes.failed;
  },
  async diff(context) {
    const reports = await context.ask('dispatcherDiff', {});
    context.show(reports, () => formatDispatcherDiff(reports, context.style));
    const equal = reports.every(({ reachable, drift }) => reachable && drift.length === 0);
    return equal ? exitCodes.done : exitCodes.failed;
  },
  async reload(context) {
    const reports = await context.ask('dispatcherReload', {});
    context.show(reports, () => formatDispatcherReload(reports, context.style));
    return reports.every(({ equal }) => equal) ? exitCodes.done : exitCodes.failed;
  },
};

export const dispatcherCommand: Command = {
  usage: 'dispatcher <action>',
  summary: 'Ask every Kamailio for its lists (list), compare them with what should be (diff), load them again (reload)',
  examples: [
    'holdfast dispatcher list',
    'holdfast dispatcher diff   # exit code 1 where one differs',
    'holdfast dispatcher reload',
  ],
  async run([action = ''], context) {
    const run = Object.hasOwn(actions, action) ? actions[action] : undefined;
    if (run) return run(context);
    const near = suggest(action, Object.keys(actions));
    const hint = near === undefined ? 'list, diff or reload' : `did you mean "${near}"?`;
    throw usage(`unknown action "${action}" of dispatcher: ${hint}`, 'see: holdfast dispatcher --help');
  },
};
