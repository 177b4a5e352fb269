import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestHost } from 'holdfast/testing';
import { AnswerCache } from './answer-cache.js';
import { startRateService } from './rate-service.js';

test('the service is asked once a minute about a number, and its last answer outlives it', async t => {
  const service = await startRateService(() => ({ body: { trunks: ['lab'] } }));
  t.after(() => service.stop());
  const config = `plugins: { least-cost: { from: ., url: '${service.url}', prefixes: ['7'], cacheSeconds: 60 } }`;
  const host = await TestHost.start({ folder: import.meta.dirname, config, now: 0 });
  t.after(() => host.stop());

  const first = await host.route({ dialled: '70001' });
  await host.advance(59_000);
  assert.deepEqual(await host.route({ dialled: '70001' }), first);
  assert.deepEqual(service.asked, ['70001']);

  await host.advance(1_000);
  await host.route({ dialled: '70001' });
  assert.deepEqual(service.asked, ['70001', '70001']);

  service.stop();
  await host.advance(3_600_000);
  assert.deepEqual(await host.route({ dialled: '70001' }), first);
});

test('of too many numbers the oldest is forgotten', () => {
  const answers = new AnswerCache(60_000, 2);
  for (const number of ['1', '2', '1', '3']) answers.put(number, ['lab']);
  assert.deepEqual(
    ['1', '2', '3'].map(number => answers.last(number)),
    [['lab'], undefined, ['lab']],
  );
});
