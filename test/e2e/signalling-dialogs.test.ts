// Calls whose messages are lost, come again, fork, or meet each other on their way: SIPp plays one side, in both directions.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { recordOf } from '../harness/call-records.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { PhonePair } from '../harness/phone-pair.js';
import { deafCaller, hangingUpTwice, repeatingCallee, repeatingCaller } from '../harness/scenarios/lost-messages.js';
import {
  patientCallee,
  recoveredParty,
  refreshes,
  timedParties,
  type TimedParty,
} from '../harness/scenarios/session-timers.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { SippParty } from '../harness/sipp-party.js';
import { hearsItself, SippSides, type Side } from '../harness/sipp-sides.js';
import { audioSdp, SippScenario } from '../harness/sipp-scenario.js';
import { signallingConfig } from '../harness/signalling-config.js';

describe('Dialogs', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;
  /** Calls that take their time, from the start of all on. */
  let deaf: Side;
  const timed: Promise<void>[] = [];
  let sides: SippSides;

  before(async () => {
    farm = await Farm.up({ config: await signallingConfig() });
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    sides = new SippSides(farm, alice, bob);
    deaf = await sides.asCaller(deafCaller(), { host: 202, retransmits: false, deadlineMs: 60_000 });
    for (const [i, party] of timedParties('caller').entries())
      follows({ ...party, ...(await sides.asCaller(party.scenario, { host: 203 + i, deadlineMs: 120_000 })) });
    for (const [i, party] of timedParties('callee').entries()) {
      const options = { host: 210 + i, number: `6${i + 1}001`, deadlineMs: 120_000 };
      follows({ ...party, ...(await sides.asCallee(party.scenario, options)) });
    }
  });
  after(async () => {
    await closeAll(alice, bob);
    await farm.down();
  });

  test('what comes twice is one message, what is lost comes again, and there is one call with audio', async () => {
    const options = { retransmits: false };
    const before = bob.calls.length;
    const asked = alice.calls.length;
    const up = await Promise.all([
      sides.asCaller(repeatingCaller(), options),
      sides.asCallee(repeatingCallee(), options),
    ]);
    for (const { party, call } of up) {
      await party.reaches('played');
      await hearsItself(call);
      assert.equal(await call.hangup(), 200, call.ladder());
      await party.succeeds();
    }
    const ends = await Promise.all([
      sides.asCaller(hangingUpTwice(SippScenario.caller('a caller hangs up twice').call()), options),
      sides.asCallee(hangingUpTwice(SippScenario.callee('a callee hangs up twice').answer()), options),
    ]);
    for (const { party, call } of ends) {
      await call.ended();
      await party.succeeds();
    }
    assert.deepEqual([bob.calls.length - before, alice.calls.length - asked], [2, 2]);
  });

  /** Alice calls, and hears two callees of one INVITE one after the other; neither has answered, nor has a third. */
  const forked = async () => {
    const arriving = bob.incoming(10_000);
    const call = await alice.invite(farm.uri('70001'));
    const first = await call.reaches(arriving);
    const [second, third] = [await bob.fork(first), await bob.fork(first)];
    first.progress();
    first.audio.sendTone(440);
    await call.audio.hears(440);
    first.audio.stop();
    second.progress();
    second.audio.sendTone(550);
    await call.audio.hears(550);
    second.audio.stop();
    return { call, first, second, third };
  };

  test('of several early dialogs the caller hears the latest, and whoever answers has the call', async () => {
    for (const winner of ['first', 'second', 'third'] as const) {
      const { call, ...callees } = await forked();
      const pair = await PhonePair.answer(call, callees[winner]);
      const descriptions = new Set(call.provisional.map(({ body }) => body).filter(body => body !== ''));
      assert.equal(descriptions.size, 1, `whoever is heard, the caller's own media stay\n${call.ladder()}`);
      await pair.hangup(winner === 'first' ? 'caller' : 'callee');
    }
  });

  test('a proxy that forks: whoever answers gets the ACK and the BYE', async () => {
    const scenario = SippScenario.callee('a callee behind a proxy that forks')
      .respond(183, { toInvite: true, tag: 'left', sdp: audioSdp({ portOffset: 2 }) })
      .pause(50)
      .respond(183, { toInvite: true, sdp: audioSdp() })
      .pause(50)
      .respond(180, { toInvite: true, tag: 'right' })
      .pause(50)
      .respond(200, { toInvite: true })
      .expect('ACK')
      .pause(600)
      .mark('played')
      .isHungUp();
    const { party, call } = await sides.asCallee(scenario);
    await party.reaches('played');
    await hearsItself(call);
    assert.equal(await call.hangup(), 200, call.ladder());
    await party.succeeds();
  });

  test('181, 182 and 199 of a callee are not passed', async () => {
    const scenario = [181, 182, 199, 180]
      .reduce(
        (party, status) => party.respond(status, { toInvite: true }).pause(30),
        SippScenario.callee('a callee that is forwarded and queued'),
      )
      .respond(200, { toInvite: true, sdp: audioSdp() })
      .expect('ACK')
      .isHungUp();
    const { party, call } = await sides.asCallee(scenario);
    const passed = call.provisional.map(({ status }) => status).filter(status => status !== 100);
    assert.deepEqual(passed, [180], call.ladder());
    await call.hangup();
    await party.succeeds();
  });

  test('an UPDATE before the answer is answered by us, of a caller and of a callee', async () => {
    const caller = SippScenario.caller('a caller that UPDATEs early')
      .send('INVITE', { sdp: audioSdp(), headers: [['Require', '100rel']] })
      .expect(183, { header: ['RSeq', '[0-9]+'], keep: { rseq: 'RSeq' } })
      .send('PRACK', { headers: [['RAck', '[$rseq] 1 INVITE']] })
      .expect(200)
      .send('UPDATE', { sdp: audioSdp({ portOffset: 2, version: 2 }) })
      .expect(200, { body: 'm=audio [1-9]' })
      .mark('updated')
      .expect(200)
      .send('ACK')
      .pause(600)
      .mark('played')
      .isHungUp();
    const arriving = bob.incoming(10_000);
    const party = await SippParty.caller(farm, caller, '70001', { host: 201 });
    const call = await party.during(arriving);
    call.progress();
    await party.reaches('updated');
    await hearsItself(call);
    await call.answer();
    await party.reaches('played');
    await hearsItself(call);
    await call.hangup();
    await party.succeeds();

    const callee = SippScenario.callee('a callee that UPDATEs early')
      .respond(183, {
        ...{ toInvite: true, sdp: audioSdp() },
        headers: [
          ['Require', '100rel'],
          ['RSeq', '7'],
        ],
      })
      .expect('PRACK')
      .respond(200)
      .send('UPDATE', { sdp: audioSdp({ portOffset: 2, version: 2 }) })
      .expect(200, { body: 'm=audio [1-9]' })
      .respond(200, { toInvite: true })
      .expect('ACK')
      .pause(600)
      .mark('played')
      .isHungUp();
    const other = await sides.asCallee(callee);
    await other.party.reaches('played');
    await hearsItself(other.call);
    await other.call.hangup();
    await other.party.succeeds();
  });

  test('a caller that never acknowledges the answer is hung up after 32 s, and the record says why', async () => {
    const { party, call } = deaf;
    const { bye } = await call.ended(45_000);
    assert.equal(bye.get('Reason'), 'SIP;cause=408;text="No ACK"');
    await party.succeeds();
    const { endedBy, reason } = await recordOf(farm, call.callId);
    assert.deepEqual([endedBy, reason], ['holdfast', 'the caller never acknowledged the answer']);
  });

  test('a session is refreshed by whoever is to do it, and a callee that wants a longer one is obeyed', async () => {
    const up: Side[] = await Promise.all([
      sides.asCaller(refreshes(SippScenario.caller('a caller refreshes').call()).isHungUp()),
      sides.asCallee(refreshes(SippScenario.callee('a callee refreshes').answer()).isHungUp()),
    ]);
    up.push(await sides.asCallee(patientCallee().isHungUp(), { host: 214, number: '65001', lenient: true }));
    for (const { party, call } of up) {
      await hearsItself(call);
      await call.hangup();
      await party.succeeds();
    }
  });

  /** Each as its time comes, whichever test is on then: one that was refreshed would be again. */
  const follows = (side: Side & TimedParty): void => {
    const seen = comesToItsEnd(side);
    seen.catch(() => undefined);
    timed.push(seen);
  };
  const comesToItsEnd = async ({ party, call, reason }: Side & TimedParty): Promise<void> => {
    if (reason === undefined) {
      await party.reaches('refreshed', 80_000);
      await hearsItself(call);
      assert.equal(await call.hangup(), 200);
    } else {
      const { bye } = await call.ended(90_000);
      assert.equal(bye.get('Reason'), 'SIP;cause=408;text="Session expired"');
      const record = await recordOf(farm, call.callId);
      assert.deepEqual([record.endedBy, record.reason], ['holdfast', reason]);
    }
    await party.succeeds();
  };

  test('sessions that are ours to refresh go on, those of silent parties end, and the record says why', async () => {
    await Promise.all(timed);
  });

  test('a call that was forked is recovered in the dialog that was answered, and in no other', async () => {
    const { call, first, second } = await forked();
    const pair = await PhonePair.answer(call, first);
    const before = pair.reinvites;
    process.kill(await farm.pid(await pair.node(farm)), 'SIGKILL');
    await pair.reinvited(before);
    await pair.hear();
    assert.equal(second.reinvites.length, 0);
    await pair.hangup('callee');
  });

  test('a session that is recovered keeps its interval and its refresher', async () => {
    const longer = { deadlineMs: 40_000 };
    await farm.whole();
    // All of them are on call-1.
    await farm.json('drain', 'call-2');
    const up: Side[] = await Promise.all([
      sides.asCaller(recoveredParty('caller', 'us'), longer),
      sides.asCallee(recoveredParty('callee', 'them'), longer),
    ]);
    up.push(await sides.asCaller(recoveredParty('caller', 'them'), { host: 202, ...longer }));
    up.push(await sides.asCallee(recoveredParty('callee', 'us'), { host: 210, ...longer, number: '61001' }));
    await farm.json('undrain', 'call-2');
    process.kill(await farm.pid('call-1'), 'SIGKILL');
    for (const { party, call } of up) {
      await party.reaches('recovered');
      assert.equal(await call.hangup(), 200, call.ladder());
      await party.succeeds();
    }
  });

  test('nothing is left of all these calls', async () => {
    await nothingLeft(farm);
  });
});
