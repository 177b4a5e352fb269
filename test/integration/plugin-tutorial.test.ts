// docs/plugin-tutorial.md, done as it says: its files are written, its commands are run, and what comes of it are the examples.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { projectRoot } from '../harness/project-root.js';
import { readTutorial, type TutorialBlock } from '../harness/plugin-tutorial.js';

const run = promisify(execFile);
const blocks = await readTutorial();
const files = blocks.filter(block => 'path' in block);
const plugins = ['fraud-check', 'least-cost', 'header-rewriter'];

describe('the plugin tutorial', () => {
  let work: string;
  let folder: string;
  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'holdfast-tutorial-'));
    folder = join(work, 'tutorial');
    // As in a checkout: the packages of the one that this is, and its command.
    await mkdir(join(work, 'node_modules'));
    await symlink(projectRoot, join(work, 'node_modules', 'holdfast'));
    const command = `#!/bin/sh\nexec '${process.execPath}' '${join(projectRoot, 'dist/core/cli/main.js')}' "$@"\n`;
    await writeFile(join(work, 'holdfast'), command);
    await chmod(join(work, 'holdfast'), 0o755);
  });
  after(() => rm(work, { recursive: true, force: true }));

  const inShell = async (command: string, cwd: string): Promise<string> => {
    // The runner marks its children as such; a `node --test` among them would report to it and not to the reader.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const options = { cwd, env: { ...env, PATH: `${work}:${env['PATH'] ?? ''}` } };
    const { stdout } = await run('bash', ['-euc', command], options).catch((error: unknown) => {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      throw new Error(`${command}failed\n${stdout}\n${stderr}`, { cause: error });
    });
    return stdout;
  };
  const follow = async (block: TutorialBlock, first: boolean): Promise<void> => {
    if ('path' in block) {
      await mkdir(dirname(join(folder, block.path)), { recursive: true });
      await writeFile(join(folder, block.path), block.text);
      return;
    }
    const stdout = await inShell(block.command, first ? work : folder);
    if (block.command.includes('--test')) assert.match(stdout, /^# pass [1-9]/m);
  };

  const commands = blocks.filter(block => 'command' in block);
  let at = 0;
  for (const [i, command] of commands.entries()) {
    test(
      `step ${i + 1}, ${command.heading}: ${command.command.split('\n')[0] ?? ''}`,
      { timeout: 60_000 },
      async () => {
        for (; blocks[at] !== command; at++) await follow(blocks[at]!, false);
        await follow(blocks[at++]!, i === 0);
      },
    );
  }

  test('ends with a command, so that no file in it is unseen', () => assert.equal(at, blocks.length));

  for (const plugin of plugins) {
    test(`ends with examples/${plugin}, file by file`, async () => {
      const example = join(projectRoot, 'examples', plugin);
      const written = new Map(files.map(({ path, text }) => [path, text]));
      for (const name of await readdir(example)) {
        if (name === 'package.json' || name === 'README.md') continue;
        assert.equal(written.get(`${plugin}/${name}`), await readFile(join(example, name), 'utf8'), name);
      }
    });
  }

  test('ends with examples/plugins.yaml', async () => {
    const config = files.find(({ path }) => path === 'farm.yaml');
    assert.equal(config?.text, await readFile(join(projectRoot, 'examples/plugins.yaml'), 'utf8'));
  });
});
