import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestHost } from 'holdfast/testing';
import { startRateService } from './rate-service.js';

test('a call goes to the trunks that the service names, cheapest first', async t => {
  const service = await startRateService(() => ({ body: { trunks: ['west', 'nowhere', 'lab'] } }));
  t.after(() => service.stop());
  const host = await TestHost.start({
    folder: import.meta.dirname,
    config: `
trunks: { lab: { gateways: [192.0.2.1] }, west: { gateways: [192.0.2.7, '192.0.2.8:5080'] } }
plugins:
  least-cost: { from: ., url: '${service.url}', prefixes: ['+', '7'] }
`,
  });
  t.after(() => host.stop());

  assert.deepEqual(await host.route({ dialled: '+4930123' }), {
    routeName: 'least-cost',
    flow: [
      {
        action: 'connect',
        strategy: 'in-order',
        targets: [
          { uri: 'sip:+4930123@192.0.2.7:5060', trunk: 'west' },
          { uri: 'sip:+4930123@192.0.2.8:5080', trunk: 'west' },
          { uri: 'sip:+4930123@192.0.2.1:5060', trunk: 'lab' },
        ],
      },
    ],
  });
  assert.deepEqual(service.asked, ['+4930123']);
});

test('a call that the service knows no trunk for is left to the next plugin', async t => {
  const service = await startRateService(() => ({ body: { trunks: [] } }));
  t.after(() => service.stop());
  const config = `plugins: { least-cost: { from: ., url: '${service.url}', prefixes: ['7'] } }`;
  const host = await TestHost.start({ folder: import.meta.dirname, config });
  t.after(() => host.stop());
  assert.equal(await host.route(), undefined);
  assert.deepEqual(service.asked, ['70001']);
});

test('so is a number that it is not for, without asking', async t => {
  const service = await startRateService(() => ({ body: { trunks: ['lab'] } }));
  t.after(() => service.stop());
  const config = `plugins: { least-cost: { from: ., url: '${service.url}', prefixes: ['7'] } }`;
  const host = await TestHost.start({ folder: import.meta.dirname, config });
  t.after(() => host.stop());
  assert.equal(await host.route({ dialled: '9001' }), undefined);
  assert.deepEqual(service.asked, []);
});
