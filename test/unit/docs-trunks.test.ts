// The configs in docs/trunks.md are such that load.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../core/config/load-config.js';
import { ownCertificate } from '../../core/farm/edge-certificate.js';
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
    await writeFile(join(folder, 'provider.secret'), 'of the provider', { mode: 0o600 });
    const config = loadConfig(file, { env: { ALICE_SECRET: 'a', BOB_SECRET: 'b', BRANCH_SECRET: 'c' } });
    assert.deepEqual(config.warnings, []);
    assert.deepEqual(config.numbers.expensive, expensiveByDefault);
    const [carrier, provider, branch, pbx] = config.trunks;
    assert.deepEqual(provider?.register, {
      registrars: [{ address: 'sip.example.org:5060', priority: 1, weight: 1, srv: '_sip._udp.sip.example.org' }],
      ...{ user: '4930901830', domain: 'sip.example.org', expiresSeconds: 600 },
    });
    assert.deepEqual(branch?.login, { username: 'branch', secret: 'c' });
    assert.deepEqual(carrier?.numbers, { format: 'e164', country: 'DE' });
    assert.deepEqual(carrier.limits, { callsAtOnce: 100, callsPerSecond: 10, allow: [], block: [] });
    assert.deepEqual(pbx?.numbers, { format: 'national', country: 'DE' });
    assert.deepEqual(await new PluginHost({ log: silentLogger }).check(config), []);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('its example of gateways on TCP and TLS too', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-docs-'));
  try {
    const blocks = readFileSync(join(projectRoot, 'docs/trunks.md'), 'utf8').matchAll(/```yaml\n(.*?)```/gs);
    const block = [...blocks].map(([, text = '']) => text).find(text => text.includes('transport: tls')) ?? '';
    const file = join(folder, 'config.yaml');
    await writeFile(file, block);
    const broken = join(folder, 'private-ca.pem');
    await writeFile(broken, 'no certificate');
    assert.throws(() => loadConfig(file), /authorities: private-ca\.pem has no certificate in it/);
    const { certificate } = await ownCertificate(join(folder, 'ca'), {
      domain: 'pbx.example.org',
      publicVip: '192.0.2.20',
    });
    await writeFile(broken, certificate);
    const { trunks, warnings } = loadConfig(file);
    assert.deepEqual(warnings, []);
    const addresses = trunks.map(({ gateways }) => gateways.map(({ address }) => address));
    assert.deepEqual(addresses, [
      ['sip.example.net:5061;transport=tls', '192.0.2.10:5060;transport=tcp', 'backup.example.net:5071;transport=tls'],
      ['192.0.2.20:5061;transport=tls'],
      ['192.0.2.30:5061;transport=tls'],
    ]);
    assert.deepEqual(
      trunks.map(({ gateways }) => gateways[0]?.tls),
      [
        { name: 'sip.example.net', verify: true },
        { name: 'pbx.example.org', verify: true, authorities: certificate },
        { name: '192.0.2.30', verify: false },
      ],
    );
    await writeFile(file, block.replace('tls: {} }', '}').replace('tcp: {},', 'tcp: {}'));
    assert.throws(
      () => loadConfig(file),
      /is reached by TLS, which the edge does not take.*add edge: \{ tls: \{\} \}/s,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
