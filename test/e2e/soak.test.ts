// A small soak: every kind of server and the daemon killed under calls, nothing is left anywhere, and the webhook has what the file has. The large one is a benchmark.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fewFiles, soak } from '../bench/soak/soak.js';
import { localConfig } from '../harness/local-config.js';

test('calls under kills leave nothing behind, and each has one record', { timeout: 400_000 }, async t => {
  const config = await localConfig();
  const options = { calls: 300, rate: 10, pauseMs: 1_000 };
  const report = await soak(config, { ...options, progress: line => t.diagnostic(line) });
  const { accounts, deliveries, kills, left, files } = report;
  t.diagnostic(JSON.stringify({ ...accounts, deliveries, phonesLeft: report.phonesLeft, kills }));
  assert.equal(accounts.placed, options.calls);
  assert.deepEqual(accounts.wrong, []);
  assert.deepEqual(left, []);
  assert.deepEqual(deliveries.wrong, []);
  // Both daemons that were killed had one under way; others were refused or never answered.
  const { refused, unanswered, inherited } = deliveries;
  assert.ok(refused > 0 && unanswered > 0 && inherited >= 2, JSON.stringify(deliveries));
  assert.ok(accounts.answered > options.calls / 2, `${accounts.answered} calls were answered`);
  for (const [name, [before, after]] of files) {
    assert.ok(after <= before + fewFiles, `${name} had ${before} files open, and has ${after}`);
  }
});
