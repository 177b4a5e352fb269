// The config block in each plugin's README is one that loads.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../core/config/load-config.js';
import { silentLogger } from '../../core/log.js';
import { PluginHost } from '../../core/plugins/plugin-host.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const folders = ['plugins', 'examples'].flatMap(folder =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry =>
    entry.isDirectory() ? [`${folder}/${entry.name}`] : [],
  ),
);

const surroundings = `domain: holdfast.test
subscribers: {"1001": {secret: a}, "1002": {secret: b}}
trunks: {lab: {sources: [.200], gateways: [.208]}}
flows: {reception: [{action: answer}]}
plugins:
`;
/** Providers of what the plugins need. */
const providers = 'registrar:\n';

describe('the config block of', () => {
  let folder: string;
  before(async () => void (folder = await mkdtemp(join(tmpdir(), 'holdfast-readme-'))));
  after(() => rm(folder, { recursive: true, force: true }));

  for (const path of folders) {
    test(`${path}/README.md loads and starts`, async () => {
      const block = /```yaml\n(.*?)```/s.exec(readFileSync(join(root, path, 'README.md'), 'utf8'))?.[1];
      assert.ok(block, 'has a yaml block');
      const more = path === 'plugins/registrar' ? '' : providers;
      const text =
        surroundings + (more + block).replace(/^(?=.)/gm, '  ').replace('from: ./', `from: ${join(root, 'examples')}/`);
      const file = join(folder, 'config.yaml');
      await writeFile(file, text);
      const host = new PluginHost({ log: silentLogger });
      await host.start(loadConfig(file, { env: {} }));
      assert.ok(host.plugins.includes(path.split('/')[1]!));
      await host.stop();
    });
  }
});
