// The configs in docs/trunks.md are such that load.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../core/config/load-config.js';
import { silentLogger } from '../../core/log.js';
import { expensiveByDefault } from '../../core/numbers/destinations.js';
import { PluginHost } from '../../core/plugins/plugin-host.js';
import { projectRoot } from '../harness/project-root.js';

test('the example of docs/trunks.md loads, and means what is said beside it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-docs-'));
  try {
    const block = /```yaml\n(.*?)```/s.exec(readFileSync(join(projectRoot, 'docs/trunks.md'), 'utf8'))?.[1] ?? '';
    const file = join(folder, 'config.yaml');
    await writeFile(file, block);
    await writeFile(join(folder, 'carrier.secret'), 'of the carrier', { mode: 0o600 });
    const config = loadConfig(file, { env: { ALICE_SECRET: 'a', BOB_SECRET: 'b' } });
    assert.deepEqual(config.warnings, []);
    assert.deepEqual(config.numbers.expensive, expensiveByDefault);
    const [carrier, pbx] = config.trunks;
    assert.deepEqual(carrier?.numbers, { format: 'e164', country: 'DE' });
    assert.deepEqual(carrier.limits, { callsAtOnce: 100, callsPerSecond: 10, allow: [], block: [] });
    assert.deepEqual(pbx?.numbers, { format: 'national', country: 'DE' });
    assert.deepEqual(await new PluginHost({ log: silentLogger }).check(config), []);
  } finally {
    await rm(folder, { recursive: true });
  }
});
