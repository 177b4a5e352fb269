// The recipes of docs/flow-cookbook.md load, and do what the cookbook says; the reference is what the schemas say.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { runCli } from '../../core/cli/cli.js';
import { commands } from '../../core/cli/commands.js';
import { projectRoot } from '../harness/project-root.js';
import { formatWav } from '../harness/wav.js';

const surroundings = `
domain: holdfast.test
subscribers: { '1001': { secret: a }, '1002': { secret: b }, '1003': { secret: c } }
trunks: { lab: { sources: [.200], gateways: [.208] } }
plugins: { routing: {}, registrar: {} }
`;

interface Recipe {
  readonly title: string;
  readonly config: string;
  /** What is typed, and what comes of it. */
  readonly runs: readonly { readonly typed: string; readonly printed: string }[];
}

function recipes(file: string): readonly Recipe[] {
  const text = readFileSync(join(projectRoot, 'docs', file), 'utf8');
  // The guide has one example, from its beginning to its end.
  const sections = file === 'flows.md' ? [text] : text.split(/^## /m).slice(1);
  return sections.flatMap(section => {
    const config = /```yaml\n(.*?)```/s.exec(section)?.[1];
    const console = /```console\n(.*?)```/s.exec(section)?.[1] ?? '';
    const runs = console
      .split(/^\$ /m)
      .slice(1)
      .map(text => {
        const [typed = '', ...printed] = text.split('\n');
        return { typed, printed: printed.join('\n') };
      });
    return config === undefined || runs.length === 0 ? [] : [{ title: section.split('\n')[0] ?? '', config, runs }];
  });
}

/** Words as a shell makes them of a line. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

async function simulate(typed: string, config: string): Promise<string> {
  let [out, err] = ['', ''];
  const io = {
    ...{ out: (text: string) => (out += text), err: (text: string) => (err += text) },
    ...{ colours: false, interactive: false },
  };
  const [, ...args] = words(typed);
  const parts = { commands, loadComposition: () => Promise.reject(new Error('not needed')) };
  const code = await runCli([...args, '--config', config], { ...io, env: {} } as never, parts as never);
  assert.equal(code, 0, err);
  return out;
}

for (const file of ['flow-cookbook.md', 'flows.md']) {
  describe(`docs/${file}`, () => {
    let folder: string;
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'holdfast-cookbook-'));
      await mkdir(join(folder, 'sounds'));
      const silence = formatWav(new Int16Array(80));
      const names = recipes(file).flatMap(({ config }) =>
        [...config.matchAll(/[a-z0-9]+(?:-[a-z0-9]+)*/g)].map(([name]) => name),
      );
      for (const name of new Set(names)) await writeFile(join(folder, 'sounds', `${name}.wav`), silence);
    });
    after(() => rm(folder, { recursive: true, force: true }));

    for (const { title, config, runs } of recipes(file)) {
      test(title, async () => {
        const path = join(folder, 'holdfast.yaml');
        const more = surroundings.split('\n').filter(line => !config.includes(`${line.split(':')[0] ?? ''}:\n`));
        await writeFile(path, config + more.join('\n'));
        for (const { typed, printed } of runs) assert.equal(await simulate(typed, path), printed, typed);
      });
    }
  });
}

test('the reference of actions is in step with their schemas', async () => {
  const script = join(projectRoot, 'scripts/generate-flow-actions.mjs');
  await assert.doesNotReject(promisify(execFile)(process.execPath, [script, '--check']));
});
