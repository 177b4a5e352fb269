// The config in docs/tls.md is one that loads, and its defaults are those of the schema.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../core/config/load-config.js';
import { projectRoot } from '../harness/project-root.js';

test('the example of docs/tls.md loads, with the defaults that it names', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-docs-'));
  try {
    const block = /```yaml\n(.*?)```/s.exec(readFileSync(join(projectRoot, 'docs/tls.md'), 'utf8'))?.[1] ?? '';
    const file = join(folder, 'config.yaml');
    await writeFile(file, block);
    const { farm, edge } = loadConfig(file, { env: { ALICE_SECRET: 'of alice' } });
    assert.deepEqual(farm.plan.streams, { tcp: 5060, tls: 5061, perSource: 200 });
    assert.equal(edge.certificate?.key, join(folder, 'tls/privkey.pem'));
    const plain = loadConfig(file, {
      text: block.replace(/edge:.*?\n\n/s, 'edge: { tls: {} }\n\n'),
      env: { ALICE_SECRET: 'x' },
    });
    assert.deepEqual(plain.farm.plan.streams, { tls: 5061, perSource: 200 });
    assert.equal(plain.edge.mostConnections, edge.mostConnections);
    assert.equal(plain.edge.strangerSilenceSeconds, edge.strangerSilenceSeconds);
  } finally {
    await rm(folder, { recursive: true });
  }
});
