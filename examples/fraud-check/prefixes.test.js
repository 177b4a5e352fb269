import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestHost } from 'holdfast/testing';

const options = {
  folder: import.meta.dirname,
  config: `
plugins:
  fraud-check: { from: ., blockedPrefixes: ['+881', '0900'] }
`,
};

test('a blocked number is rejected, however it is written', async t => {
  const host = await TestHost.start(options);
  t.after(() => host.stop());
  assert.deepEqual(await host.route({ dialled: '0900123' }), { reject: 603, reason: '0900 is blocked' });
  assert.deepEqual(await host.route({ dialled: '+8815551' }), { reject: 603, reason: '+881 is blocked' });
  assert.deepEqual(await host.route({ dialled: '008815551' }), { reject: 603, reason: '+881 is blocked' });
});

test('any other number is left to the next plugin', async t => {
  const host = await TestHost.start(options);
  t.after(() => host.stop());
  assert.equal(await host.route({ dialled: '70001' }), undefined);
});

test('a prefix that is none is found before any call is', async () => {
  const config = options.config.replace('0900', 'O9OO');
  await assert.rejects(TestHost.check({ ...options, config }), {
    code: 'CONFIG_INVALID',
    message: /test\.yaml:3:53: plugins\.fraud-check\.blockedPrefixes\[1\]: must be digits/,
  });
});
