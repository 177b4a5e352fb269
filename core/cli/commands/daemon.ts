// `holdfast daemon`: the daemon itself, in the foreground; started by the supervisor.
import { usage, type Command } from '../command.js';
import { runDaemon } from '../daemon-process.js';

export const daemonCommand: Command = {
  usage: 'daemon',
  summary: 'Run the daemon in the foreground (started by the supervisor)',
  internal: true,
  async run(_args, context) {
    const configPath = context.text('config');
    if (configPath === undefined) throw usage('daemon needs --config');
    const place = { configPath, subnet: context.text('subnet'), stateFolder: context.stateFolder };
    return runDaemon(() => context.composition(), place);
  },
};
