// `holdfast events`: what happens to calls, rooms and nodes, one JSON object a line, also from an earlier number on.
import { setTimeout as sleep } from 'node:timers/promises';
import { followEvents, type Followed } from '../../events/event-client.js';
import { HoldfastError } from '../../errors.js';
import { statePaths } from '../../host/state-folder.js';
import { exitCodes, usage, type Command, type CommandContext } from '../command.js';

const againMs = 500;

export const eventsCommand: Command = {
  usage: 'events',
  summary: 'Print the events that are kept, one JSON object a line, or follow them (--follow)',
  options: [
    ['--since <number>', 'those after this number (`seq`); default: all that are kept, with --follow those to come'],
    ['--follow', 'go on with what happens, over restarts of the daemon too'],
  ],
  examples: ['holdfast events', 'holdfast events --follow', 'holdfast events --since 4711 --follow'],
  async run(_args, context) {
    const since = sinceOf(context);
    if (!context.flag('follow')) {
      await print(context, since ?? 0, false);
      return exitCodes.done;
    }
    let from = since;
    for (;;) {
      try {
        ({ last: from } = await print(context, from, true));
      } catch (error) {
        // It starts anew: what happens meanwhile is kept. Where there was none at all, that is said.
        if (from === undefined || !HoldfastError.is(error, 'DAEMON_UNREACHABLE')) throw error;
      }
      await sleep(againMs);
    }
  },
};

function sinceOf(context: CommandContext): number | undefined {
  const text = context.text('since');
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw usage(`--since ${text}: the number of an event is needed, a whole one from 0 on`);
}

async function print(context: CommandContext, since: number | undefined, follow: boolean): Promise<Followed> {
  return followEvents(statePaths(context.stateFolder).eventSocket, {
    ...(since === undefined ? {} : { since }),
    follow,
    event: line => context.io.out(`${line}\n`),
    missed: count => context.io.err(`${count} events are not kept any more\n`),
  });
}
