// The config in docs/subscribers.md is one that loads, and its defaults are those of the schema.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { plainRegistration } from '../../core/config/subscriber-schema.js';
import { loadConfig } from '../../core/config/load-config.js';
import { silentLogger } from '../../core/log.js';
import { PluginHost } from '../../core/plugins/plugin-host.js';
import { projectRoot } from '../harness/project-root.js';

test('the example of docs/subscribers.md loads', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-docs-'));
  try {
    const block = /```yaml\n(.*?)```/s.exec(readFileSync(join(projectRoot, 'docs/subscribers.md'), 'utf8'))?.[1] ?? '';
    const file = join(folder, 'config.yaml');
    await writeFile(file, block);
    await writeFile(join(folder, 'bob.secret'), 'of bob', { mode: 0o600 });
    const config = loadConfig(file, { env: { ALICE_SECRET: 'of alice' } });
    assert.deepEqual(config.warnings, []);
    assert.deepEqual(config.registration, plainRegistration);
    assert.deepEqual(
      config.subscribers.map(({ name, secret, identities }) => [name, secret, identities.length]),
      [
        ['1001', 'of alice', 0],
        ['1002', 'of bob', 0],
        ['support', 'a-long-one', 2],
      ],
    );
    assert.deepEqual(await new PluginHost({ log: silentLogger }).check(config), []);
  } finally {
    await rm(folder, { recursive: true });
  }
});
