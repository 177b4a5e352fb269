// `holdfast reload`: the daemon reads its config again, without touching calls in progress.
import { exitCodes, type Command } from '../command.js';

export const reloadCommand: Command = {
  usage: 'reload',
  summary: 'Have the daemon read its config again; calls in progress are not touched',
  async run(_args, context) {
    const result = await context.ask('reload', {});
    context.show(result, () =>
      result.changes.length === 0
        ? 'Nothing has changed.\n'
        : `Reloaded.\n${result.changes.map(c => `  ${c}\n`).join('')}`,
    );
    return exitCodes.done;
  },
};
