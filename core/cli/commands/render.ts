// `holdfast render --out DIR`: writes all that is generated, for other deployment tools and to read it; starts nothing.
import { resolve } from 'node:path';
import { configPath } from '../config-path.js';
import { exitCodes, usage, type Command } from '../command.js';

export const renderCommand: Command = {
  usage: 'render [config]',
  summary:
    'Write every generated file of every node, the balancer’s rules and an inventory below a folder; starts nothing',
  options: [
    ['--out <folder>', 'where to write'],
    ['--key <file>', 'the key that secrets are derived from (default: secrets.json in the folder, made at first)'],
    ['--at <folder>', 'where the nodes’ folders will be on their machines (default: the folder itself)'],
  ],
  examples: [
    'holdfast render examples/local.yaml --out rendered',
    'holdfast render --out rendered --key /var/lib/holdfast/127.40.0.0/secrets.json --at /var/lib/holdfast/127.40.0.0/nodes',
  ],
  async run([argument], context) {
    const out = context.text('out');
    if (out === undefined) throw usage('render needs --out <folder>', 'for example: holdfast render --out rendered');
    const [key, at] = [context.text('key'), context.text('at')];
    const composition = await context.composition();
    const files = await composition.renderFarm({
      configPath: configPath(argument, context),
      subnet: context.text('subnet'),
      outFolder: resolve(out),
      keyFile: key === undefined ? undefined : resolve(key),
      nodeFolder: at === undefined ? undefined : resolve(at),
    });
    context.show(
      { out: resolve(out), files },
      () => `${files.map(file => `${file}\n`).join('')}${files.length} files below ${out}.\n`,
    );
    return exitCodes.done;
  },
};
