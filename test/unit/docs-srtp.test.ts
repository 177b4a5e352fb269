// The config in docs/srtp.md is one that loads, and says of each leg what the page says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../core/config/load-config.js';
import { silentLogger } from '../../core/log.js';
import { PluginHost } from '../../core/plugins/plugin-host.js';
import { projectRoot } from '../harness/project-root.js';

const page = readFileSync(join(projectRoot, 'docs/srtp.md'), 'utf8');
const example = /```yaml\n(.*?)```/s.exec(page)?.[1] ?? '';

/** What `check` says of the example with a change; throws what it refuses. */
async function checked(from = '', to = ''): Promise<readonly unknown[]> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-docs-'));
  try {
    const file = join(folder, 'config.yaml');
    await writeFile(file, example.replace(from, to));
    const config = loadConfig(file, { env: { ALICE_SECRET: 'a', BOB_SECRET: 'b' } });
    assert.deepEqual(config.warnings, []);
    return await new PluginHost({ log: silentLogger }).check(config);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('the example of docs/srtp.md loads', async () => {
  assert.deepEqual(await checked(), []);
});

test('a use of SRTP that there is not, and a trunk that there is not, are named with their place', async () => {
  await assert.rejects(
    checked('pbx: required', 'pbx: mandatory'),
    /transcoding-policy\.srtp\.trunks\.pbx: must be one of off, optional, required/,
  );
  await assert.rejects(
    checked('pbx: required', 'pbxx: required'),
    /transcoding-policy\.srtp\.trunks\.pbxx: there is no trunk "pbxx"/,
  );
});
