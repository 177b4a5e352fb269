// `holdfast supervise`: started by `up`; keeps the daemon running.
import { exitCodes, usage, type Command } from '../command.js';
import { supervise } from '../supervisor.js';

export const superviseCommand: Command = {
  usage: 'supervise',
  summary: 'Keep the daemon of a farm running (started by up)',
  internal: true,
  async run(_args, context) {
    const [configPath, subnet] = [context.text('config'), context.text('subnet')];
    if (configPath === undefined || subnet === undefined) throw usage('supervise needs --config and --subnet');
    const code = await supervise({ configPath, subnet, stateFolder: context.stateFolder });
    return code === 0 ? exitCodes.done : code;
  },
};
