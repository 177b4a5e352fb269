// `holdfast undrain NODE`: a drained node gets calls again.
import { exitCodes, type Command } from '../command.js';

export const undrainCommand: Command = {
  usage: 'undrain <node>',
  summary: 'Give a drained node calls again',
  examples: ['holdfast undrain call-1'],
  async run([node = ''], context) {
    const result = await context.ask('undrain', { node });
    context.show(result, () => `${result.node} is ${result.state}.\n`);
    return exitCodes.done;
  },
};
