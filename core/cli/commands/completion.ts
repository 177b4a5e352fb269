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
    summary: 'Print the script by which a shell completes commands, options, node names and call ids',
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
  usage: 'complete <what>',
  summary: 'Print the names that the farm has at the moment (asked by the completion script)',
  actions: [
    ['nodes', 'names of nodes'],
    ['calls', 'ids of calls'],
  ],
  internal: true,
  async run([what], context) {
    // No farm, no permission: there is nothing to complete, and nothing to be said in the middle of a line.
    const names = await (what === 'nodes' ? nodeNames(context) : callIds(context)).catch(() => []);
    context.io.out(names.map(name => `${name}\n`).join(''));
    return exitCodes.done;
  },
};

async function nodeNames(context: CommandContext): Promise<readonly string[]> {
  return (await context.ask('nodes', {}, { timeoutMs: liveDeadlineMs })).map(({ name }) => name);
}

async function callIds(context: CommandContext): Promise<readonly string[]> {
  return (await context.ask('calls', {}, { timeoutMs: liveDeadlineMs })).map(({ id }) => id);
}
