// Phones that others make, as Debian has them: baresip and linphone call each other, and a trunk, through the whole farm.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Baresip } from '../harness/baresip.js';
import { recordOf } from '../harness/call-records.js';
import { closeAll, openAll } from '../harness/close-all.js';
import type { DebianPhone, PhoneOptions } from '../harness/debian-phone.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { Linphone } from '../harness/linphone.js';
import { Sipp } from '../harness/sipp.js';
import { waitFor } from '../harness/wait-for.js';

const secrets: Readonly<Record<string, string>> = { 1001: 'alice-secret', 1002: 'bob-secret', 1003: 'carol-secret' };

describe('phones from Debian', () => {
  let farm: Farm;
  let alice: Baresip;
  let bob: Baresip;
  let carol: Linphone;

  const subscriber = (user: string, host: number, hz: number): PhoneOptions => ({
    address: farm.host(host),
    user,
    secret: secrets[user] ?? '',
    domain: 'holdfast.test',
    farm,
    hz,
  });

  before(async () => {
    farm = await Farm.up();
    [alice, bob, carol] = await openAll(
      Baresip.start(subscriber('1001', 211, 440)),
      Baresip.start(subscriber('1002', 212, 660)),
      Linphone.start(subscriber('1003', 213, 880)),
    );
    await waitFor('three bindings', async () => (await farm.json<unknown[]>('registrations')).length === 3);
  });
  after(async () => {
    await closeAll(alice, bob, carol);
    await farm.down();
  });
  afterEach(() => nothingLeft(farm));

  const call = async (caller: DebianPhone, callee: DebianPhone): Promise<string> => {
    await caller.dial(farm.uri(callee.user));
    await callee.is('incoming');
    await callee.accept();
    await caller.is('established');
    await hear(caller, callee);
    const [row] = await farm.calls();
    assert.ok(row);
    return row.legs[0]?.callId ?? '';
  };
  const hear = async (one: DebianPhone, other: DebianPhone): Promise<void> => {
    await Promise.all([one.hears(other.hz), other.hears(one.hz)]);
  };
  const holdAndResume = async (phone: DebianPhone, other: DebianPhone): Promise<void> => {
    await phone.hold();
    await phone.resume();
    await hear(phone, other);
  };
  const sendDigits = async (from: DebianPhone, to: DebianPhone, digits: string): Promise<void> => {
    for (let i = 0; i < digits.length; i++) {
      await from.sendDigit(digits.charAt(i));
      await to.hasDigits(digits.slice(0, i + 1));
    }
  };
  const hangup = async (by: DebianPhone, other: DebianPhone, callId: string, endedBy: string): Promise<void> => {
    await by.hangup();
    await other.is('ended');
    const record = await recordOf(farm, callId);
    assert.deepEqual([record.outcome, record.sipStatus, record.endedBy], ['answered', 200, endedBy]);
    assert.equal(record.sipCallIds.length, 2);
    assert.ok(record.billSeconds >= 1 && record.durationSeconds >= record.billSeconds);
  };

  test('baresip and baresip: sound, hold, digits, and the caller hangs up', { timeout: 60_000 }, async () => {
    const callId = await call(alice, bob);
    assert.equal(callId, alice.callId);
    await holdAndResume(alice, bob);
    await holdAndResume(bob, alice);
    await sendDigits(alice, bob, '17#');
    await sendDigits(bob, alice, '*09');
    await hangup(alice, bob, callId, 'caller');
  });

  test('baresip and linphone: sound, hold, digits, and the callee hangs up', { timeout: 60_000 }, async () => {
    const callId = await call(alice, carol);
    await holdAndResume(alice, carol);
    await holdAndResume(carol, alice);
    await sendDigits(alice, carol, '28#');
    await sendDigits(carol, alice, '*31');
    await hangup(carol, alice, callId, 'callee');
  });

  test('linphone and baresip: sound, hold, and the caller hangs up', { timeout: 60_000 }, async () => {
    const callId = await call(carol, bob);
    await holdAndResume(carol, bob);
    await holdAndResume(bob, carol);
    await hangup(carol, bob, callId, 'caller');
  });

  const refused = async (): Promise<number> => {
    const counts = (await farm.status()).nodes.map(node => node.counters?.['refused.method'] ?? 0);
    return counts.reduce((sum, count) => sum + count, 0);
  };

  // baresip 1.0.0 hangs up whatever the answer to its REFER is.
  test('a transfer is refused, and the call goes on', { timeout: 60_000 }, async () => {
    const callId = await call(alice, carol);
    const before = await refused();
    carol.transfer(farm.uri('1002'));
    await waitFor('the transfer to be refused', async () => (await refused()) > before, { everyMs: 200 });
    await hear(alice, carol);
    await hangup(alice, carol, callId, 'caller');
  });

  test('digits in SIP INFO reach a phone that takes them in its RTP', { timeout: 60_000 }, async () => {
    const dora = await Linphone.start({ ...subscriber('1001', 214, 990), digits: 'info' });
    try {
      const callId = await call(dora, bob);
      await sendDigits(dora, bob, '1#');
      await hangup(dora, bob, callId, 'caller');
    } finally {
      await dora.close();
    }
  });

  test('baresip calls a trunk, and the trunk calls baresip', { timeout: 60_000 }, async () => {
    const callee = await Sipp.uas({ address: farm.host(208) });
    try {
      await alice.dial(farm.uri('70001'));
      await alice.is('established');
      await alice.hangup();
    } finally {
      await callee.stop();
    }
    assert.equal((await recordOf(farm, alice.callId)).endedBy, 'caller');
    const caller = await Sipp.uac({
      ...{ address: farm.host(203), target: { address: farm.host(100), port: 5060 } },
      ...{ service: '1002', calls: 1, rate: 1, holdMs: 500 },
    });
    await bob.is('incoming');
    await bob.accept();
    const { successful, failed, errors } = await caller.finished();
    assert.deepEqual([successful, failed], [1, 0], errors);
    await bob.is('ended');
    assert.equal((await recordOf(farm, bob.callId)).endedBy, 'caller');
  });
});
