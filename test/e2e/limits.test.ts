// What ends by itself: each kind of call that nobody hangs up, with the rule in its record; what belongs to no call goes too.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { CallDetailRecord } from '../../core/calls/call-facts.js';
import { recordOf } from '../harness/call-records.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { leftovers, withAri } from '../harness/leftovers.js';
import { IncomingCall } from '../harness/incoming-call.js';
import { localConfig } from '../harness/local-config.js';
import { makeSession } from '../harness/make-session.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import type { SipCall } from '../harness/sip-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

const limits = `
limits:
  maxSetupSeconds: 5
  maxCallSeconds: 60
  rtpTimeoutSeconds: 4
  rtpTimeoutOnHoldSeconds: 10
`;

const neverAnswered = '70009';

/** The usual farm, with short limits, and a route whose calls are shorter still. */
async function config(): Promise<string> {
  const usual = await localConfig();
  return usual
    .replace('  session-recovery:', '  session-recovery: { patienceSeconds: 3 }')
    .replace(
      '    routes:',
      '    routes:\n      - { dial: 77xxx, to: [{ trunk: lab }], maxCallSeconds: 6 }\n      - { dial: 78xxx, to: [{ trunk: lab }], maxCallSeconds: 15 }',
    )
    .concat(limits);
}

describe('a call that nobody hangs up', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;

  before(async () => {
    farm = await Farm.up({ config: await config() });
    alice = await SipEndpoint.open({ address: farm.host(200), codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    bob.onInvite(async call => {
      call.ring();
      if (call.invite.startLine.includes(neverAnswered)) return;
      await call.answer();
      call.audio.sendTone(660);
    });
  });
  after(async () => {
    await closeAll(alice, bob);
    await farm.down();
  });

  /** Each test has a number of its own, by which the callee's side is found. */
  const talk = async (number: string): Promise<{ caller: OutgoingCall; callee: SipCall }> => {
    const caller = await alice.invite(farm.uri(number));
    await caller.answered();
    caller.audio.sendTone(440);
    await caller.audio.hears(660, 10_000);
    const callee = bob.calls.find(call => call instanceof IncomingCall && call.invite.startLine.includes(number));
    assert.ok(callee);
    return { caller, callee };
  };
  /** Both sides are hung up; the record's word for why. */
  const ended = async ({ caller, callee }: { caller: SipCall; callee: SipCall }): Promise<CallDetailRecord> => {
    for (const side of [caller, callee]) assert.equal((await side.ended(30_000)).by, 'them');
    return recordOf(farm, caller.callId);
  };

  describe('and whose node lives', { concurrency: true }, () => {
    test('is ended at both sides when its callee sends no RTP any more', { timeout: 60_000 }, async () => {
      const call = await talk('70001');
      call.callee.audio.stop();
      const { endedBy, limit, reason, outcome } = await ended(call);
      assert.deepEqual([endedBy, limit, outcome], ['holdfast', 'rtpTimeoutSeconds', 'answered']);
      assert.match(reason, /no RTP from the callee for 4 s,/);
    });

    test('is ended when its caller sends no RTP any more', { timeout: 60_000 }, async () => {
      const call = await talk('70002');
      call.caller.audio.stop();
      const { limit, reason } = await ended(call);
      assert.equal(limit, 'rtpTimeoutSeconds');
      assert.match(reason, /no RTP from the caller/);
    });

    test('goes on while it is on hold and silent, for longer, and not for ever', { timeout: 60_000 }, async () => {
      const call = await talk('70003');
      await call.callee.reinvite({ direction: 'inactive' });
      call.callee.audio.stop();
      const { limit, answeredAt, endedAt } = await ended(call);
      assert.equal(limit, 'rtpTimeoutOnHoldSeconds');
      const lastedMs = Date.parse(endedAt) - Date.parse(answeredAt ?? '');
      assert.ok(lastedMs >= 9_000, `${lastedMs} ms`);
    });

    test('is ended when it has lasted as long as its route allows', { timeout: 60_000 }, async () => {
      const call = await talk('77001');
      const { endedBy, limit, reason, billSeconds } = await ended(call);
      assert.deepEqual([endedBy, limit], ['holdfast', 'maxCallSeconds']);
      assert.ok(billSeconds >= 6, `${billSeconds} s`);
      assert.match(reason, /6 s/);
    });

    test('and was never answered is refused with 408, and its callee rings no more', { timeout: 60_000 }, async () => {
      const caller = await alice.invite(farm.uri(neverAnswered));
      const final = await caller.waitFor('a final response', () => caller.final, 30_000);
      assert.equal(final.status, 408);
      const callee = bob.calls.find(
        call => call instanceof IncomingCall && call.invite.startLine.includes(neverAnswered),
      );
      assert.ok(callee instanceof IncomingCall);
      await callee.cancelled();
      const { endedBy, limit, outcome } = await recordOf(farm, caller.callId);
      assert.deepEqual([endedBy, limit, outcome], ['holdfast', 'maxSetupSeconds', 'no-answer']);
    });

    test('nor a call at all, only a bridge or a channel of nobody’s, is swept', { timeout: 90_000 }, async () => {
      for (const name of ['call-1', 'conference-1']) {
        const address = (await farm.status()).nodes.find(node => node.name === name)?.address ?? '';
        await withAri(farm, name, address, async ari => {
          await ari.bridges.createWithId({ bridgeId: 'stray-conf', type: 'mixing' });
          if (name === 'conference-1') return;
          const local = { endpoint: 'Local/s@echo/n', app: 'holdfast', appArgs: 'stray', channelId: 'stray-1' };
          await ari.channels.originate(local);
          // An originate is answered before its channel is in the application.
          const isIn = async (): Promise<boolean> =>
            ari.bridges.addChannel({ bridgeId: 'stray-conf', channel: 'stray-1' }).then(
              () => true,
              () => false,
            );
          await waitFor('the channel to be in the bridge', isIn);
        });
      }
      const strays = async (): Promise<string[]> => (await leftovers(farm)).filter(one => one.includes('stray-'));
      assert.deepEqual((await strays()).length, 4);
      await waitFor('the strays to be gone', async () => (await strays()).length === 0, {
        deadlineMs: 60_000,
        everyMs: 500,
        describe: async () => (await strays()).join('\n'),
      });
    });

    test('is no stray: its media stay when those of nobody’s are swept', { timeout: 90_000 }, async () => {
      const { caller, callee } = await talk('70006');
      const engines = (await farm.status()).nodes.filter(node => node.farm === 'rtpengine');
      for (const { address } of engines) await makeSession(address, 'of-nobody');
      const sessionsOf = async (...callIds: string[]): Promise<string[]> =>
        (await leftovers(farm)).filter(one => callIds.some(callId => one.endsWith(`: session ${callId}`))).sort();
      const ofCall = await sessionsOf(caller.callId, callee.callId);
      assert.equal(ofCall.length, 2);
      const ofNobody = async (): Promise<string[]> => sessionsOf('of-nobody');
      assert.equal((await ofNobody()).length, engines.length);
      // The engines themselves would keep them for hours.
      await waitFor('the sessions of nobody’s to be gone', async () => (await ofNobody()).length === 0, {
        deadlineMs: 60_000,
        everyMs: 500,
      });
      assert.deepEqual(await sessionsOf(caller.callId, callee.callId), ofCall);
      assert.equal(await caller.hangup(), 200);
    });
  });

  test('and was recovered from the death of its node is ended by the same rules', { timeout: 90_000 }, async () => {
    await farm.idle();
    await farm.json('drain', 'call-2');
    const [silent, long] = [await talk('70004'), await talk('78001')];
    const sides = [silent, long].flatMap(({ caller, callee }) => [caller, callee]);
    await farm.json('undrain', 'call-2');
    await farm.kill('call-1');
    await waitFor('every side to be re-INVITEd', () => sides.every(({ reinvites }) => reinvites.length > 0));
    await Promise.all([silent.callee.audio.hears(440), long.callee.audio.hears(440)]);
    const silentFromMs = Date.now();
    silent.callee.audio.stop();
    const [quiet, lasted] = await Promise.all([ended(silent), ended(long)]);
    assert.deepEqual([quiet.endedBy, quiet.limit, quiet.recoveries], ['holdfast', 'rtpTimeoutSeconds', 1]);
    assert.match(quiet.reason, /no RTP from the callee for 4 s,/);
    assert.ok(Date.parse(quiet.endedAt) - silentFromMs >= 3_000, quiet.endedAt);
    assert.deepEqual([lasted.endedBy, lasted.limit, lasted.recoveries], ['holdfast', 'maxCallSeconds', 1]);
    assert.ok(lasted.billSeconds >= 15, `${lasted.billSeconds} s`);
    assert.match(lasted.reason, /15 s/);
  });
});
