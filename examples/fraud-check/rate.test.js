import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestHost } from 'holdfast/testing';

const options = {
  folder: import.meta.dirname,
  config: `
plugins:
  fraud-check: { from: ., callsPerMinute: 2 }
`,
  now: '2026-01-05T09:00:00Z',
};

test('a caller who calls too often is rejected, until a minute has passed', async t => {
  const host = await TestHost.start(options);
  t.after(() => host.stop());
  assert.equal(await host.route(), undefined);
  await host.advance(30_000);
  assert.equal(await host.route(), undefined);
  assert.deepEqual(await host.route(), { reject: 603, reason: 'lab/+15550100 called too often' });
  host.assertLogged({ level: 'warn', plugin: 'fraud-check', call: 'call-1', caller: 'lab/+15550100' });
  await host.advance(30_000);
  assert.equal(await host.route(), undefined);
});

test('each caller is counted for itself', async t => {
  const host = await TestHost.start(options);
  t.after(() => host.stop());
  const anna = { source: { kind: 'subscriber', subscriber: '1001' } };
  await host.route(anna);
  await host.route(anna);
  assert.deepEqual(await host.route(anna), { reject: 603, reason: '1001 called too often' });
  assert.equal(await host.route({ source: { kind: 'subscriber', subscriber: '1002' } }), undefined);
  assert.equal(await host.route({ callerNumber: '+15550199' }), undefined);
});
