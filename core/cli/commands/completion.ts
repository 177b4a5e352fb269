// `holdfast completion SHELL`: the script that has a shell complete the commands; `holdfast complete`: what that asks.
import { exitCodes, type Command, type CommandContext } from '../command.js';
import { describeCompletion } from '../completion.js';
import { formatBashCompletion } from '../completion-bash.js';
import { formatZshCompletion } from '../completion-zsh.js';

/** Somebody waits at the prompt. */
const liveDeadlineMs = 1_000;

export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    usage: 'completion <shell>',
    summary:
      'Print the script by which a shell completes commands, options and what the farm has: nodes, calls, rooms, participants',
    actions: [
      ['bash', 'for bash'],
      ['zsh', 'for zsh'],
    ],
    examples: ['source <(holdfast completion bash)', 'holdfast completion zsh > ~/.zfunc/_holdfast'],
    async run([shell], context) {
      const described = describeCompletion(commands());
      context.io.out(shell === 'bash' ? formatBashCompletion(described) : formatZshCompletion(described));
      return exitCodes.done;
    },
  };
}

export const completeCommand: Command = {
  usage: 'complete <what> [room]',
  summary: 'Print the names that the farm has at the moment (asked by the completion script)',
  actions: [
    ['nodes', 'names of nodes'],
    ['calls', 'ids of calls'],
    ['rooms', 'names of rooms'],
    ['participants', 'ids of those who are in a room'],
  ],
  internal: true,
  async run([what = '', room], context) {
    // No farm, no permission: there is nothing to complete, and nothing to be said in the middle of a line.
    const names = await namesOf(what, room, context).catch(() => []);
    context.io.out(names.map(name => `${name}\n`).join(''));
    return exitCodes.done;
  },
};

async function namesOf(what: string, room: string | undefined, context: CommandContext): Promise<readonly string[]> {
  const soon = { timeoutMs: liveDeadlineMs };
  if (what === 'nodes') return (await context.ask('nodes', {}, soon)).map(({ name }) => name);
  if (what === 'calls') return (await context.ask('calls', {}, soon)).map(({ id }) => id);
  const rooms = await context.ask('rooms', room === undefined ? {} : { room }, soon);
  return what === 'rooms' ? rooms.map(one => one.room) : rooms.flatMap(one => one.participants.map(({ id }) => id));
}
