// `holdfast service`: the daemon as systemd starts it; `holdfast service stop`: what systemd runs to stop it.
import { resolve } from 'node:path';
import { HoldfastError } from '../../errors.js';
import { defaultStateFolder } from '../../host/state-folder.js';
import { unitOf } from '../../host/service-manager.js';
import { configPath } from '../config-path.js';
import { exitCodes, type Command, type CommandContext } from '../command.js';
import type { FarmPlace } from '../composition.js';
import { exitConfig, isConfigError } from '../daemon-process.js';
import { formatError } from '../error-report.js';
import { runService } from '../service.js';
import { foldersIn, stopService } from '../service-stop.js';

export const serviceCommand: Command = {
  usage: 'service [action]',
  summary: 'Run the daemon as a systemd service (started by systemd), or stop it (stop)',
  actions: [['stop', 'end the farm where the unit is being stopped; where it is restarted, nothing']],
  internal: true,
  async run([action], context) {
    if (action === 'stop') {
      await stopService(context.stateFolder, line => context.progress(line));
      return exitCodes.done;
    }
    try {
      return await runService(() => context.composition(), await servicePlace(context));
    } catch (error) {
      if (!isConfigError(error)) throw error;
      context.io.err(formatError(error, context.style));
      return exitConfig;
    }
  },
};

async function servicePlace(context: CommandContext): Promise<FarmPlace & { readonly subnet: string }> {
  const path = configPath(undefined, context);
  const { subnet, stateFolder: named } = await (
    await context.composition()
  ).checkConfig(path, context.text('subnet'), true);
  const stateFolder = resolve(context.text('state') ?? named ?? defaultStateFolder(subnet));
  refuseOtherFarm(stateFolder, path);
  return { configPath: path, subnet, stateFolder };
}

/** A config that names another farm than the one that still runs: its calls would be nobody's. */
function refuseOtherFarm(stateFolder: string, config: string): void {
  const others = foldersIn(unitOf()).filter(folder => folder !== stateFolder);
  if (others.length === 0) return;
  throw new HoldfastError(
    'FARM_BUSY',
    `servers of the farm in ${others.join(', ')} run, and the config names another`,
    {
      details: { stateFolder, config },
      remedy: 'put farm.subnet and farm.state back, and calls go on; or end the farm first: systemctl stop holdfast',
    },
  );
}
