// Finds the config file that a command means.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { usage, type CommandContext } from './command.js';

/** The example that comes with the program (this file is dist/core/cli/config-path.js in it). */
const bundledExample = fileURLToPath(new URL('../../../examples/local.yaml', import.meta.url));

/** Of the system service. */
const systemConfig = '/etc/holdfast/holdfast.yaml';

/** The argument or `--config`, $HOLDFAST_CONFIG, ./holdfast.yaml, the system's, or the bundled example. Throws USAGE for two of them. */
export function configPath(argument: string | undefined, context: CommandContext): string {
  const option = context.text('config');
  if (argument !== undefined && option !== undefined) throw usage(`two config files: ${argument} and ${option}`);
  const named = argument ?? option ?? context.io.env['HOLDFAST_CONFIG'];
  if (named !== undefined) return resolve(named);
  const places = [resolve('holdfast.yaml'), systemConfig];
  return places.find(path => existsSync(path)) ?? bundledExample;
}
