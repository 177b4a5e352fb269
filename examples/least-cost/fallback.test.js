import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestHost } from 'holdfast/testing';
import { startRateService } from './rate-service.js';

const folder = import.meta.dirname;
const configFor = url => `
plugins:
  least-cost: { from: ., url: '${url}', prefixes: ['7'], timeoutMs: 300, fallback: [lab] }
`;
const fallback = {
  routeName: 'least-cost',
  flow: [
    {
      action: 'connect',
      strategy: 'in-order',
      targets: [{ uri: 'sip:70001@127.40.0.208:5060', trunk: 'lab' }],
    },
  ],
};

test('a service that is slow costs the caller 300 ms and no more', async t => {
  const service = await startRateService(() => undefined);
  t.after(() => service.stop());
  const host = await TestHost.start({ folder, config: configFor(service.url), now: 0 });
  t.after(() => host.stop());
  const asked = service.nextAsked();
  const routing = host.route();
  await asked;
  await host.advance(300);
  assert.deepEqual(await routing, fallback);
  host.assertLogged({ level: 'warn', plugin: 'least-cost', call: 'call-1', message: /did not answer/ });
});

const wrong = { 'an error': { status: 500, body: {} }, 'something else': { body: { trunk: 'lab' } } };
for (const [what, answer] of Object.entries(wrong)) {
  test(`a service that answers ${what} is done without`, async t => {
    const service = await startRateService(() => answer);
    t.after(() => service.stop());
    const host = await TestHost.start({ folder, config: configFor(service.url) });
    t.after(() => host.stop());
    assert.deepEqual(await host.route(), fallback);
  });
}

test('so is one that is gone', async t => {
  const service = await startRateService(() => undefined);
  service.stop();
  const host = await TestHost.start({ folder, config: configFor(service.url) });
  t.after(() => host.stop());
  assert.deepEqual(await host.route(), fallback);
});

test('a trunk that there is not is named in the log', async t => {
  const service = await startRateService(() => ({ body: { trunks: ['nowhere', 'lab'] } }));
  t.after(() => service.stop());
  const host = await TestHost.start({ folder, config: configFor(service.url) });
  t.after(() => host.stop());
  assert.deepEqual(await host.route(), fallback);
  host.assertLogged({ level: 'warn', plugin: 'least-cost', call: 'call-1', trunk: 'nowhere' });
});

test('a fallback that is no trunk is found before any call is', async () => {
  const config = configFor('http://192.0.2.1/').replace('[lab]', '[lap]');
  await assert.rejects(
    TestHost.check({ folder, config }),
    /plugins\.least-cost\.fallback\[0\]: there is no trunk "lap"/,
  );
});
