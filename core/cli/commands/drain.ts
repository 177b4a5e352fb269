// `holdfast drain NODE`: no new calls on a node; those it has go on.
import { exitCodes, type Command } from '../command.js';

export const drainCommand: Command = {
  usage: 'drain <node>',
  summary: 'Give a node no new calls; the ones it has go on',
  options: [['--wait', 'return when no call is left on it']],
  examples: ['holdfast drain call-1 --wait', 'holdfast drain kamailio-2'],
  async run([node = ''], context) {
    const result = await context.ask('drain', { node, wait: context.flag('wait') });
    const left = result.calls === 1 ? '1 call is' : `${result.calls} calls are`;
    context.show(result, () => `${result.node} is ${result.state}; ${left} on it.\n`);
    return exitCodes.done;
  },
};
