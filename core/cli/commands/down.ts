// `holdfast down`: ends the farm, whether its daemon answers or not.
import { existsSync } from 'node:fs';
import { HoldfastError } from '../../errors.js';
import { bringDown } from '../farm-down.js';
import { exitCodes, type Command } from '../command.js';
import { activeUnit, stopUnit } from '../service-stop.js';

export const downCommand: Command = {
  usage: 'down',
  summary: 'End the farm: calls, daemon, servers and balancer; nothing is left running',
  examples: ['holdfast down', 'holdfast down --subnet 127.41.0.0/24'],
  async run(_args, context) {
    const { stateFolder } = context;
    const subnet = await context.subnet();
    const root = process.getuid?.() === 0;
    if (existsSync(stateFolder) && !root) {
      throw new HoldfastError('HOST_FAILED', 'down needs root: it ends processes of other users', {
        remedy: 'run it as root, for example with sudo',
      });
    }
    const unit = root ? await activeUnit(stateFolder) : undefined;
    if (unit !== undefined) await stopUnit(unit);
    const left = root ? await bringDown({ stateFolder, subnet }, line => context.progress(line)) : [];
    const ended = unit === undefined ? left : [unit, ...left];
    const farm = `The farm on ${subnet ?? stateFolder}`;
    context.show({ ended }, () =>
      ended.length === 0 ? `${farm} is down already.\n` : `${farm} is down: ${ended.join(', ')}.\n`,
    );
    return exitCodes.done;
  },
};
