// `holdfast diff [CONFIG]`: what a reload would change, and what each change asks of the farm. Changes nothing.
import { resolve } from 'node:path';
import { exitCodes, type Command } from '../command.js';
import { formatReloadPlan } from '../reload-plan-text.js';

/** Beyond a reload: a restart of servers, of the daemon or of the farm, or one that an earlier reload left due. */
const beyondReload = ['rolling-restart', 'daemon-restart', 'full-restart'] as const;

/** Differences are no failure: scripts tell them apart by numbers of their own. */
const differs = { byReload: 3, byRestart: 4 } as const;

export const diffCommand: Command = {
  usage: 'diff [config]',
  summary: 'Show what a reload would change, and whether it needs lists, endpoints or servers started anew',
  exitCodes: [
    [differs.byReload, 'a reload would change something, or try again what could not be done'],
    [differs.byRestart, 'something needs a restart'],
  ],
  examples: ['holdfast diff', 'holdfast diff new.yaml', 'holdfast diff --json'],
  async run([argument], context) {
    const path = argument ?? context.text('config');
    const plan = await context.ask('diff', path === undefined ? {} : { config: resolve(path) });
    context.show(plan, () => formatReloadPlan(plan, context.style, context.io.columns));
    if (plan.changes.length === 0 && plan.nodes.length === 0 && plan.untaken.length === 0) return exitCodes.done;
    return beyondReload.some(need => plan.needs.includes(need)) ? differs.byRestart : differs.byReload;
  },
};
