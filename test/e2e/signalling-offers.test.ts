// Media as carriers, PBXs and phones of any make negotiate them, through a whole farm and in both directions: SIPp plays one side.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { firstOffers, inCall, refusedOffers } from '../harness/scenarios/offers.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import type { SipCall } from '../harness/sip-call.js';
import { SippParty } from '../harness/sipp-party.js';
import { audioSdp, SippScenario } from '../harness/sipp-scenario.js';
import { signallingConfig } from '../harness/signalling-config.js';

describe('Offers and answers', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;

  before(async () => {
    farm = await Farm.up({ config: await signallingConfig() });
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
  });
  after(async () => {
    await closeAll(alice, bob);
    await farm.down();
  });
  /** SIPp sends back what it hears: who hears their own tone now has audio both ways. */
  const hearsItself = async (call: SipCall, hz: number): Promise<void> => {
    const before = call.audio.report().packets;
    await call.waitFor('fresh audio', () => call.audio.report().packets > before + 15);
    await call.audio.hears(hz);
  };
  /** The other side of SIPp's call is up, hears itself before and after, and hangs up. */
  const through = async (party: SippParty, call: SipCall, hz: number): Promise<void> => {
    call.audio.sendTone(hz);
    await call.audio.hears(hz);
    await party.reaches('played');
    await hearsItself(call, hz);
    assert.equal(call.reinvites.length, 0, `nothing of it is passed on\n${call.ladder()}`);
    assert.equal(await call.hangup(), 200, call.ladder());
    await party.succeeds();
  };
  const whole = (party: SippScenario, scene: (party: SippScenario) => SippScenario): SippScenario =>
    scene(party.pause(600)).mark('played').isHungUp();
  const asCaller = async (scenario: SippScenario, host = 201): Promise<void> => {
    const arriving = bob.incoming(10_000);
    const party = await SippParty.caller(farm, scenario, '70001', { host });
    const call = await party.during(arriving);
    await party.during(call.answer());
    await through(party, call, 440);
  };
  const asCallee = async (scenario: SippScenario, host = 209): Promise<void> => {
    const party = await SippParty.callee(farm, scenario, { host });
    const call = await alice.invite(farm.uri('60001'));
    await party.during(call.answered());
    await through(party, call, 660);
  };

  for (const [what, scene] of Object.entries(inCall)) {
    test(`a party ${what}`, async () => {
      await Promise.all([
        asCaller(whole(SippScenario.caller(`a caller ${what}`).call(), scene)),
        asCallee(whole(SippScenario.callee(`a callee ${what}`).answer(), scene)),
      ]);
    });
  }

  for (const [what, [offer, answer]] of Object.entries(firstOffers)) {
    test(`of a caller's ${what} one audio stream is taken, the others get port 0`, async () => {
      const scenario = SippScenario.caller(what)
        .send('INVITE', { sdp: offer })
        .expect(200, { body: answer })
        .send('ACK');
      await asCaller(whole(scenario, party => party));
    });
  }

  test('an offer that nothing can be made of is refused with 488 and a reason', async () => {
    for (const [what, offer] of Object.entries(refusedOffers)) {
      const scenario = SippScenario.caller(what)
        .send('INVITE', { sdp: offer })
        .expect(488, { header: ['Warning', '30[24] holdfast'] })
        .send('ACK');
      const party = await SippParty.caller(farm, scenario, '70001', { host: 201 });
      await party.succeeds();
    }
  });

  test('a caller without an offer gets one in the 200, and answers in the ACK', async () => {
    const scenario = SippScenario.caller('delayed offer')
      .send('INVITE')
      .expect(200, { body: 'm=audio [1-9][0-9]* RTP/AVP ' })
      .send('ACK', { sdp: audioSdp() });
    await asCaller(whole(scenario, party => party));
  });

  test('reliable provisional responses: a caller that requires them gets them, its PRACK may bear the answer', async () => {
    const require = ['Require', '100rel'] as const;
    const reliable = { header: ['RSeq', '[0-9]+'] as const };
    const prack = (party: SippScenario, bearing: { sdp?: string } = {}): SippScenario =>
      party.send('PRACK', { headers: [['RAck', '[$rseq] 1 INVITE']], ...bearing }).expect(200);
    const withOffer = SippScenario.caller('100rel with an offer')
      .send('INVITE', { sdp: audioSdp(), headers: [require] })
      .expect(183, { ...reliable, body: 'm=audio [1-9]', keep: { rseq: 'RSeq' } });
    const delayed = SippScenario.caller('100rel without an offer')
      .send('INVITE', { headers: [require] })
      .expect(183, { ...reliable, body: 'm=audio [1-9]', keep: { rseq: 'RSeq' } });
    for (const scenario of [prack(withOffer), prack(delayed, { sdp: audioSdp() })]) {
      const arriving = bob.incoming(10_000);
      const party = await SippParty.caller(
        farm,
        scenario.mark('pracked').expect(200).send('ACK').mark('played').isHungUp(),
        '70001',
        { host: 201 },
      );
      const call = await party.during(arriving);
      call.progress();
      call.audio.sendTone(440);
      await party.reaches('pracked');
      await call.answer();
      await party.reaches('played');
      await hearsItself(call, 440);
      await call.hangup();
      await party.succeeds();
    }
  });

  test('a callee that sends its 183 reliably gets one PRACK, also when it comes again', async () => {
    const reliable = {
      ...{ toInvite: true, sdp: audioSdp() },
      headers: [
        ['Require', '100rel'],
        ['RSeq', '7'],
      ] as const,
    };
    const scenario = SippScenario.callee('reliable 183')
      .respond(183, reliable)
      .expect('PRACK', { header: ['RAck', '7 [0-9]+ INVITE'] })
      .respond(200)
      .respond(183, reliable)
      // A second PRACK would fail the call.
      .pause(600)
      .respond(200, { toInvite: true })
      .expect('ACK');
    await asCallee(whole(scenario, party => party));
  });

  test('a caller that requires what nobody knows hears 420 and what it is', async () => {
    const scenario = SippScenario.caller('Require: teleport')
      .send('INVITE', { sdp: audioSdp(), headers: [['Require', 'teleport']] })
      .expect(420, { header: ['Unsupported', 'teleport'] })
      .send('ACK');
    await (await SippParty.caller(farm, scenario, '70001', { host: 201 })).succeeds();
  });

  test('session timers: an interval that is too short hears 422, one that is not is agreed to', async () => {
    const offer = (seconds: string) => ({
      sdp: audioSdp(),
      headers: [
        ['Supported', 'timer'],
        ['Session-Expires', seconds],
      ] as const,
    });
    const short = SippScenario.caller('60 s')
      .send('INVITE', offer('60'))
      .expect(422, { header: ['Min-SE', '90'] })
      .send('ACK');
    await (await SippParty.caller(farm, short, '70001', { host: 201 })).succeeds();
    for (const refresher of ['uac', 'uas']) {
      const value = `120;refresher=${refresher}`;
      const scenario = SippScenario.caller(value)
        .send('INVITE', offer(value))
        .expect(200, { header: ['Session-Expires', value] })
        .send('ACK');
      await asCaller(whole(scenario, party => party));
    }
  });

  test('nothing is left of all these calls', async () => {
    await nothingLeft(farm);
  });
});
