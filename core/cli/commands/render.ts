// `holdfast render --out DIR`: writes the files of every node, to read them; starts nothing.
import { resolve } from 'node:path';
import { configPath } from '../config-path.js';
import { exitCodes, usage, type Command } from '../command.js';

export const renderCommand: Command = {
  usage: 'render [config]',
  summary: 'Write every generated file of every node below a folder; starts nothing',
  options: [['--out <folder>', 'where to write']],
  examples: ['holdfast render examples/local.yaml --out rendered'],
  async run([argument], context) {
    const out = context.text('out');
    if (out === undefined) throw usage('render needs --out <folder>', 'for example: holdfast render --out rendered');
    const path = configPath(argument, context);
    const composition = await context.composition();
    const files = await composition.renderFarm(path, context.text('subnet'), resolve(out));
    context.show(
      { out: resolve(out), files },
      () => `${files.map(file => `${file}\n`).join('')}${files.length} files below ${out}.\n`,
    );
    return exitCodes.done;
  },
};
