// Call nodes drained and taken back under load: nothing fails, and what belongs to a call in set-up finds its node.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { Sipp } from '../harness/sipp.js';
import { waitFor } from '../harness/wait-for.js';

describe('call nodes drained and taken back', () => {
  let farm: Farm;
  before(async () => {
    farm = await Farm.up();
  });
  after(() => farm.down());

  const log = (): Promise<string> => readFile(join(farm.state, 'log/daemon.log'), 'utf8');

  test('under load with calls ringing: 0 failed', { timeout: 120_000 }, async t => {
    // Half of what two cores carry: what fails here, failed by draining. More calls than four rounds take.
    const [calls, rate] = [700, 25];
    const callee = await Sipp.uas({ address: farm.host(208), ringMs: 400 });
    const caller = await Sipp.uac({
      address: farm.host(201),
      target: { address: farm.host(100), port: 5060 },
      service: '70001',
      calls,
      rate,
      holdMs: 500,
      deadlineMs: 90_000,
    });
    try {
      for (const node of ['call-1', 'call-2', 'call-1', 'call-2']) {
        await waitFor('calls to ring', async () => (await farm.calls()).some(call => call.state === 'proceeding'));
        const drained = await farm.json<{ state: string }>('drain', node);
        assert.equal(drained.state, 'draining');
        const seen = (await caller.progress()).total;
        await waitFor('calls to go on', async () => (await caller.progress()).total >= Math.min(seen + 60, calls), {
          deadlineMs: 20_000,
          everyMs: 200,
        });
        assert.equal((await farm.json<{ state: string }>('undrain', node)).state, 'up');
      }
      const result = await caller.finished();
      t.diagnostic(`${result.successful} of ${result.total} calls, ${result.retransmissions} retransmissions`);
      assert.deepEqual([result.total, result.failed], [calls, 0], JSON.stringify(result.failures));
    } finally {
      await Promise.all([caller.stop(), callee.stop()]);
    }
    await farm.idle();
    assert.ok(!(await log()).includes('a second INVITE with the Call-ID'), 'no INVITE became two calls');
  });

  test('a CANCEL and a retransmitted INVITE find the node that has the call', { timeout: 60_000 }, async () => {
    const alice = await SipEndpoint.open({ address: farm.host(200), codecs: ['PCMA'] });
    const bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    bob.onInvite(call => call.ring());
    try {
      for (let i = 0; i < 6; i++) {
        const call = await alice.invite(farm.uri('70001'));
        await call.ringing();
        const own = (await farm.calls()).find(one => one.legs[0]?.callId === call.callId);
        const node = own?.legs[0]?.node ?? '';
        await farm.json('drain', node);
        const invite =
          alice.ladder
            .rows(call.callId)
            .find(row => row.direction === 'sent')
            ?.message.toString() ?? '';
        assert.match(invite, /^INVITE /);
        const vip = { address: farm.host(100), port: 5060 };
        await alice.sendRaw(invite, vip);
        await alice.sendRaw(invite, vip);
        await call.cancel();
        await farm.idle();
        await farm.json('undrain', node);
      }
    } finally {
      await closeAll(alice, bob);
    }
    assert.ok(!(await log()).includes('a second INVITE with the Call-ID'));
    assert.equal(bob.calls.length, 6, 'the callee got each call once');
  });
});
