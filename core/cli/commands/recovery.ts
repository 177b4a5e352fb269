// `holdfast recovery plan NODE`: what would be recovered if this node died now. A dry run.
import { exitCodes, type Command } from '../command.js';
import { formatRecoveryPlan } from '../tables.js';

export const recoveryCommand: Command = {
  usage: 'recovery <action> <node>',
  summary: 'Say what would be recovered if a node died now, what not, and why (plan); changes nothing',
  actions: [['plan', 'a dry run, on the state of this moment']],
  examples: ['holdfast recovery plan call-1'],
  async run([, node = ''], context) {
    const plan = await context.ask('recoveryPlan', { node });
    context.show(plan, () => formatRecoveryPlan(plan, context.io.columns));
    return exitCodes.done;
  },
};
