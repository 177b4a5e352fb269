import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestHost } from 'holdfast/testing';

const folder = import.meta.dirname;
const check = `  fraud-check: { from: ., blockedPrefixes: ['0900'] }\n`;
const routing = `  routing: { routes: [{ dial: X., reject: 486, reason: routed }] }\n`;

test('above routing it is asked first', async t => {
  const host = await TestHost.start({ folder, config: `plugins:\n${check}${routing}` });
  t.after(() => host.stop());
  assert.deepEqual(await host.route({ dialled: '0900123' }), { reject: 603, reason: '0900 is blocked' });
  assert.deepEqual(await host.route({ dialled: '70001' }), { reject: 486, reason: 'routed', routeName: 'X.' });
});

test('below routing it is asked only about what routing has no route for', async t => {
  const host = await TestHost.start({ folder, config: `plugins:\n${routing}${check}` });
  t.after(() => host.stop());
  assert.deepEqual(await host.route({ dialled: '0900123' }), { reject: 486, reason: 'routed', routeName: 'X.' });
});
