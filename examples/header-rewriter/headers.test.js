import assert from 'node:assert/strict';
import { test } from 'node:test';
import { incomingCall, TestHost } from 'holdfast/testing';

const options = {
  folder: import.meta.dirname,
  config: `
plugins:
  header-rewriter:
    from: .
    trunks:
      lab: { set: { X-Service: gold }, remove: [Diversion] }
`,
};

test('headers are set and removed on the way to their trunk', async t => {
  const host = await TestHost.start(options);
  t.after(() => host.stop());
  const call = incomingCall({ headers: { diversion: ['<sip:1001@holdfast.test>'], subject: ['lunch'] } });
  const { headers } = await host.dial({ call });
  assert.deepEqual(headers, { subject: ['lunch'], 'x-service': ['gold'] });
});

test('and are as they were on the way to any other place', async t => {
  const host = await TestHost.start(options);
  t.after(() => host.stop());
  const call = incomingCall({ headers: { diversion: ['<sip:1001@holdfast.test>'] } });
  const { headers } = await host.dial({ call, target: { uri: 'sip:anna@192.0.2.7', subscriber: '1001' } });
  assert.deepEqual(headers, call.headers);
});
