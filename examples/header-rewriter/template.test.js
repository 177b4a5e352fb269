import assert from 'node:assert/strict';
import { test } from 'node:test';
import { incomingCall, TestHost } from 'holdfast/testing';

const folder = import.meta.dirname;
const configFor = rule => `
plugins:
  header-rewriter:
    from: .
    trunks:
      lab: ${rule}
`;

test('a header says what the call says', async t => {
  const rule = `{ callerNumber: '+1{callerNumber}', set: { X-From: '{callerNumber} {callerName}, {header X-Desk}', X-Dialled: '{dialled}' } }`;
  const host = await TestHost.start({ folder, config: configFor(rule) });
  t.after(() => host.stop());
  const call = incomingCall({ callerNumber: '555', callerName: 'Anna', headers: { 'x-desk': ['4'] } });
  assert.deepEqual(await host.dial({ call }), {
    callerNumber: '+1555',
    callerName: 'Anna',
    headers: { 'x-desk': ['4'], 'x-from': ['555 Anna, 4'], 'x-dialled': ['70001'] },
  });
});

test('a placeholder that means nothing, and a trunk that there is not, are found before any call is', async () => {
  const misspelt = configFor(`{ set: { X-From: '{calerNumber}' } }`);
  await assert.rejects(
    TestHost.check({ folder, config: misspelt }),
    /6:\d+: .*trunks\.lab\.set\.X-From: there is no \{calerNumber\}/,
  );
  const elsewhere = configFor('{}').replace('lab', 'lap');
  await assert.rejects(TestHost.check({ folder, config: elsewhere }), /6:\d+: .*trunks\.lap: there is no trunk "lap"/);
});

test('so is a header that no plugin may change', async () => {
  const config = configFor(`{ set: { Contact: '<sip:me@192.0.2.7>' } }`);
  await assert.rejects(TestHost.check({ folder, config }), /trunks\.lab\.set\.Contact: Contact is Holdfast's own/);
});
