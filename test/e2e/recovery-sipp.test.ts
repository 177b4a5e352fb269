// SIPp as the phones, by messages alone: every call of a dead node is re-INVITEd at both ends, and hung up in its new dialog.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { PhonePair } from '../harness/phone-pair.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { Sipp } from '../harness/sipp.js';
import { waitFor } from '../harness/wait-for.js';

const calls = 40;

describe('SIPp', () => {
  let farm: Farm;

  before(async () => {
    farm = await Farm.up();
  });
  after(() => farm.down());

  test(`has ${calls} calls on a node that dies, and all of them end well`, { timeout: 120_000 }, async () => {
    // All of them begin on call-1.
    await farm.json('drain', 'call-2');
    const callee = await Sipp.uas({ address: farm.host(208), scenario: 'uas-reinvited', deadlineMs: 100_000 });
    const caller = await Sipp.uac({
      ...{ address: farm.host(200), target: { address: farm.host(100), port: 5060 }, service: '70001' },
      ...{ calls, rate: 20, holdMs: 1_000, scenario: 'uac-reinvited', deadlineMs: 100_000 },
    });
    const up = async (): Promise<boolean> => {
      const all = await farm.calls();
      return all.length === calls && all.every(call => call.state === 'confirmed');
    };
    await waitFor('all calls to be up', up, { deadlineMs: 30_000, everyMs: 200 });
    await farm.json('undrain', 'call-2');
    process.kill(await farm.pid('call-1'), 'SIGKILL');
    const outcome = await caller.finished();
    const other = await callee.stop();
    assert.deepEqual([outcome.successful, outcome.failed], [calls, 0], outcome.errors);
    assert.deepEqual([other.successful, other.failed], [calls, 0], other.errors);
    await nothingLeft(farm);
    const [recovery] = await farm.json<{ sessions: { found: number; recovered: number } }[]>('recoveries');
    assert.deepEqual([recovery?.sessions.found, recovery?.sessions.recovered], [2 * calls, 2 * calls]);
  });

  test('does not answer, and keeps no other phone waiting', { timeout: 120_000 }, async () => {
    await farm.whole();
    await farm.json('drain', 'call-2');
    const alice = await SipEndpoint.open({ address: farm.host(200), codecs: ['PCMA'] });
    const bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    // A scenario that knows of no re-INVITE; more of them than are under way to one node at once.
    const silent = 20;
    const caller = await Sipp.uac({
      ...{ address: farm.host(201), target: { address: farm.host(100), port: 5060 }, service: '9001' },
      ...{ calls: silent, rate: 20, holdMs: 90_000, lenient: true, deadlineMs: 100_000 },
    });
    try {
      const areUp = async (): Promise<boolean> =>
        (await farm.calls()).filter(({ state }) => state === 'confirmed').length === silent;
      await waitFor('the silent calls to be up', areUp, { deadlineMs: 30_000, everyMs: 200 });
      const pair = await PhonePair.call(farm, alice, bob);
      const { reinvites } = pair;
      await farm.json('undrain', 'call-2');
      process.kill(await farm.pid('call-1'), 'SIGKILL');
      await pair.reinvited(reinvites);
      assert.equal((await farm.calls()).length, silent + 1, 'nobody has been given up yet');
      await pair.soundsAgain();
      await pair.hangup('caller');
      await farm.idle(30_000);
    } finally {
      await closeAll(alice, bob);
      await caller.stop();
    }
    await nothingLeft(farm, 45_000);
  });
});
