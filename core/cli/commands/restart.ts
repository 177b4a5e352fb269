// `holdfast restart NODE`: a server gets a fresh start, on files written anew, without losing a call.
import { exitCodes, type Command } from '../command.js';

export const restartCommand: Command = {
  usage: 'restart <node>',
  summary: 'Restart one server without losing a call: drain it, end it when it has no calls, take it back',
  examples: ['holdfast restart kamailio-1', 'for n in 1 2 3; do holdfast restart kamailio-$n; done'],
  async run([node = ''], context) {
    const result = await context.ask('restart', { node });
    context.show(result, () => `${result.node} was restarted and is ${result.state}.\n`);
    return exitCodes.done;
  },
};
