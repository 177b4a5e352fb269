// Blind transfers by REFER: SIPp asks for them as caller and as callee, stays or leaves, and is refused.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { recordOf } from '../harness/call-records.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import type { IncomingCall } from '../harness/incoming-call.js';
import { PhonePair } from '../harness/phone-pair.js';
import { transfers, transfersAndLeaves, transfersAttended } from '../harness/scenarios/transfers.js';
import type { SipCall } from '../harness/sip-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import type { SippParty } from '../harness/sipp-party.js';
import { hearsItself, SippSides } from '../harness/sipp-sides.js';
import { SippScenario } from '../harness/sipp-scenario.js';
import { signallingConfig } from '../harness/signalling-config.js';

describe('Transfers', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;
  let sides: SippSides;

  before(async () => {
    farm = await Farm.up({ config: await signallingConfig() });
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    sides = new SippSides(farm, alice, bob);
  });
  after(async () => {
    await closeAll(alice, bob);
    await farm.down();
  });

  /** A party that the call is transferred to answers, hears the other one and is heard. */
  const takesOver = async (arriving: Promise<IncomingCall>, other: SipCall): Promise<IncomingCall> => {
    const call = await arriving;
    call.ring();
    await call.answer();
    call.audio.sendTone(880);
    other.audio.sendTone(440);
    await Promise.all([other.audio.hears(880), call.audio.hears(440)]);
    return call;
  };

  /** The wish was accepted, followed, and its outcome is known to whoever asked. */
  const hasBeenTold = async (party: SippParty, outcome: number): Promise<void> => {
    for (const mark of ['accepted', 'told SIP/2.0 100', `told SIP/2.0 ${outcome}`]) await party.reaches(mark);
  };

  for (const who of ['callee', 'caller'] as const) {
    test(`whoever is called takes the place of the ${who} that asked`, async t => {
      const carol = await SipEndpoint.open({ address: farm.host(215), codecs: ['PCMA'] });
      t.after(() => carol.close());
      const arriving = (who === 'callee' ? bob : carol).incoming(20_000);
      const { party, call } =
        who === 'callee'
          ? await sides.asCallee(
              transfers(SippScenario.callee('a callee transfers').answer(), { to: '70002' }).isHungUp(),
              { lenient: true },
            )
          : await sides.asCaller(
              transfers(SippScenario.caller('a caller transfers').call(), { to: '66001' }).isHungUp(),
              { lenient: true, number: '75001' },
            );
      const third = await party.during(takesOver(arriving, call));
      await hasBeenTold(party, 200);
      await party.succeeds();
      const shown = who === 'callee' ? '<sip:100@' : '<sip:75001@';
      assert.ok(third.invite.get('From').startsWith(shown), `whoever is transferred calls\n${third.ladder()}`);
      assert.equal(await third.hangup(), 200);
      await call.ended();
    });
  }

  const inVain = [
    ['that fails', (party: SippScenario) => transfers(party, { to: '70002' })],
    ['to where no call may go', (party: SippScenario) => transfers(party, { to: '8001' })],
    ['to a dialog that is not there', transfersAttended],
  ] as const;
  for (const [what, scene] of inVain) {
    test(`a transfer ${what} leaves the call as it was`, async () => {
      bob.onInvite(call => call.reject(603));
      const callee = scene(SippScenario.callee(`a callee asks for a transfer ${what}`).answer());
      const { party, call } = await sides.asCallee(callee.isHungUp());
      await hasBeenTold(party, 603);
      await hearsItself(call);
      assert.equal(await call.hangup(), 200);
      await party.succeeds();
    });
  }

  // What they are told afterwards comes again and again to whoever has their address next: strict ones come before.
  const leaving = (isTold = true): SippScenario =>
    transfersAndLeaves(SippScenario.callee('a callee transfers and leaves').answer(), { to: '70002' }, isTold);

  for (const [when, isTold] of [
    ['as it is told that its wish is being followed', true],
    ['before it is told anything', false],
  ] as const) {
    test(`a transfer whose asker leaves ${when} goes on`, async () => {
      const arriving = bob.incoming(20_000);
      const { party, call } = await sides.asCallee(leaving(isTold), { lenient: true });
      const third = await party.during(takesOver(arriving, call));
      await party.succeeds();
      assert.equal(await call.hangup(), 200);
      await third.ended();
    });
  }

  test('a transfer whose asker has left ends the call where nobody answers, and the record says why', async () => {
    const arriving = bob.incoming(20_000);
    const { party, call } = await sides.asCallee(leaving(), { lenient: true });
    const refused = await party.during(arriving);
    refused.ring();
    await party.succeeds();
    await refused.reject(486);
    await call.ended();
    assert.equal((await recordOf(farm, call.callId)).reason, 'transfer to 70002 failed: 486');
  });

  for (const instead of ['callee', 'caller'] as const) {
    test(`by command another party takes the place of the ${instead}`, async t => {
      const carol = await SipEndpoint.open({ address: farm.host(215), codecs: ['PCMA'] });
      t.after(() => carol.close());
      const pair = await PhonePair.call(farm, alice, bob);
      const [gone, stays] = instead === 'callee' ? [pair.callee, pair.caller] : [pair.caller, pair.callee];
      const arriving = carol.incoming(20_000);
      const command = farm.json('call', 'transfer', pair.caller.callId, '66001', '--replace', instead);
      const third = await takesOver(arriving, stays);
      const done = (await command) as { readonly to: string };
      assert.equal(done.to, '66001');
      await gone.ended();
      assert.equal(await third.hangup(), 200);
      await stays.ended();
    });
  }

  test('by command to whom nobody may call, and who does not answer, leaves the call as it was', async t => {
    const pair = await PhonePair.call(farm, alice, bob);
    const carol = await SipEndpoint.open({ address: farm.host(215), codecs: ['PCMA'] });
    t.after(() => carol.close());
    carol.onInvite(call => call.reject(486));
    await assert.rejects(farm.json('call', 'transfer', pair.caller.callId, '66001'), /nobody answered: 486/);
    await assert.rejects(farm.json('call', 'transfer', pair.caller.callId, 'nobody'), /no route for whoever/);
    await pair.hear();
    await pair.hangup('caller');
  });

  test('nothing is left of all these calls', async () => {
    await nothingLeft(farm);
  });
});
