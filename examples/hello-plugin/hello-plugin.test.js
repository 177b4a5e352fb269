import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callDetailRecord, incomingCall, TestHost } from 'holdfast/testing';

const options = {
  folder: import.meta.dirname,
  config: `
plugins:
  hello-plugin: { from: ., barred: ['7666'], echo: '9009', greeting: good day }
`,
};

test('barred numbers are refused, one number echoes, and the others are left to the next plugin', async t => {
  const host = await TestHost.start(options);
  t.after(() => host.stop());
  assert.deepEqual(await host.route({ dialled: '7666' }), { reject: 603, reason: '7666 is barred' });
  assert.deepEqual(await host.route({ dialled: '9009' }), { flow: [{ action: 'echo' }], routeName: 'hello' });
  assert.equal(await host.route({ dialled: '70001' }), undefined);
});

test('every call is greeted in the log', async t => {
  const host = await TestHost.start(options);
  t.after(() => host.stop());
  await host.emit('call.started', incomingCall({ id: 'c1', callerNumber: '1001' }));
  await host.emit('call.ended', callDetailRecord({ callId: 'c1', durationSeconds: 62 }));
  host.assertLogged({ plugin: 'hello-plugin', call: 'c1', message: 'good day, 1001' });
  host.assertLogged({ plugin: 'hello-plugin', call: 'c1', message: 'goodbye after 62 s' });
});
