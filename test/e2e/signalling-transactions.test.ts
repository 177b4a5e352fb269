// Requests that come twice, answers and ACKs that are lost, and changes that meet each other (RFC 3261 §14, §17), from either side of a call.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { PhonePair } from '../harness/phone-pair.js';
import { signallingConfig } from '../harness/signalling-config.js';
import type { ReinviteAnswer, ReinviteBehaviour, SipCall } from '../harness/sip-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import type { LadderRow } from '../harness/sip-ladder.js';
import type { Header, SipMessage } from '../harness/sip-message.js';

/** Who asks what in which call, and how. */
type Asking = readonly [phone: SipEndpoint, call: SipCall, method: string, ask: () => Promise<unknown>];

describe('Transactions', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;
  /** Refused, and none of its ACKs arrives: from the start of all on, as it takes its time. */
  let unheard: OutgoingCall;
  let cancelled: OutgoingCall;

  before(async () => {
    farm = await Farm.up({ config: await signallingConfig() });
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    unheard = await alice.invite(farm.uri('12345'));
    losesAcks(unheard, 20);
  });
  after(async () => {
    await closeAll(alice, bob);
    await farm.down();
  });

  const losesAcks = ({ callId }: SipCall, count: number): void => {
    for (let i = 0; i < count; i++) {
      alice.loseNext(
        ({ direction, message }) => direction === 'sent' && message.method === 'ACK' && message.callId === callId,
      );
    }
  };
  const received = (phone: SipEndpoint, { callId }: SipCall): readonly LadderRow[] =>
    phone.ladder.rows(callId).filter(({ direction }) => direction === 'received');
  const requests = (phone: SipEndpoint, call: SipCall): readonly SipMessage[] =>
    received(phone, call).flatMap(({ message }) => (message.isRequest ? [message] : []));
  const responses = (phone: SipEndpoint, call: SipCall, status: number): readonly LadderRow[] =>
    received(phone, call).filter(({ message }) => message.status === status);
  const typed = (phone: SipEndpoint, type = 'application/sdp'): readonly Header[] => [
    ['Contact', phone.contact],
    ['Content-Type', type],
  ];

  /** The first answer to what this asks is lost, so that the phone asks again. Gives both. */
  const asksTwice = async (
    ...[phone, call, method, ask]: Asking
  ): Promise<readonly [first: SipMessage, again: SipMessage]> => {
    const isAnswer = ({ method: of, status }: SipMessage): boolean => of === method && status >= 200;
    const lost: SipMessage[] = [];
    phone.loseNext(({ direction, message }) => {
      const isLost = direction === 'received' && message.callId === call.callId && isAnswer(message);
      if (isLost) lost.push(message);
      return isLost;
    });
    const before = phone.ladder.rows(call.callId).length;
    const since = (): readonly LadderRow[] => phone.ladder.rows(call.callId).slice(before);
    await ask();
    const again = await call.waitFor(`another answer to ${method}`, () => since().find(row => isAnswer(row.message)));
    const isAgain = ({ message, retransmission }: LadderRow): boolean => message.method === method && retransmission;
    assert.ok(since().some(isAgain), call.ladder());
    return [lost[0] ?? assert.fail('no answer was lost'), again.message];
  };
  /** And it is answered as it was. */
  const isAnsweredAlike = async (...asking: Asking): Promise<void> => {
    const [first, again] = await asksTwice(...asking);
    assert.equal(first.status, 200, asking[1].ladder());
    assert.equal(again.toString(), first.toString(), asking[1].ladder());
  };

  test('a request in a call that comes twice is answered alike, and done once, of a caller and of a callee', async () => {
    for (const role of ['caller', 'callee'] as const) {
      const pair = await PhonePair.call(farm, alice, bob);
      const [phone, other] = role === 'caller' ? [alice, bob] : [bob, alice];
      const [call, heard] = role === 'caller' ? [pair.caller, pair.callee] : [pair.callee, pair.caller];
      const offer = call.media.offer({ direction: 'sendonly' });
      await isAnsweredAlike(phone, call, 'UPDATE', () => call.request('UPDATE', typed(phone), offer));
      await isAnsweredAlike(phone, call, 'INVITE', () => call.reinvite({ direction: 'sendrecv' }));
      await pair.hear();
      const [relay, digit] = [typed(phone, 'application/dtmf-relay'), 'Signal=5\r\nDuration=160\r\n'];
      await isAnsweredAlike(phone, call, 'INFO', () => call.request('INFO', relay, digit));
      await isAnsweredAlike(phone, call, 'OPTIONS', () => call.request('OPTIONS'));
      await isAnsweredAlike(phone, call, 'BYE', () => call.hangup());
      await heard.ended();
      assert.equal(heard.audio.report().digits, '5');
      const passed = requests(other, heard).filter(({ method, toTag }) => toTag !== '' && method !== 'ACK');
      assert.deepEqual(
        passed.map(({ method }) => method),
        ['BYE'],
        heard.ladder(),
      );
    }
  });

  test('PRACK that comes twice is answered alike, and an UPDATE before the answer too', async () => {
    const arriving = bob.incoming();
    const caller = await alice.invite(farm.uri('70001'), { headers: [['Require', '100rel']] });
    const callee = await caller.reaches(arriving);
    callee.progress();
    const reliable = await caller.earlyMedia();
    const prack: Header = ['RAck', `${reliable.get('RSeq')} ${caller.invite.cseq} INVITE`];
    await isAnsweredAlike(alice, caller, 'PRACK', () => caller.request('PRACK', [prack]));
    await isAnsweredAlike(alice, caller, 'UPDATE', () => caller.request('UPDATE', [['Contact', alice.contact]]));
    const pair = await PhonePair.answer(caller, callee);
    assert.equal(responses(alice, caller, 183).length, 1, 'it was acknowledged');
    await pair.hangup('caller');
  });

  test('of phones whose network brings each datagram twice every call is one', async t => {
    t.after(() => (alice.doubles = bob.doubles = false));
    alice.doubles = bob.doubles = true;
    const before = bob.calls.length;
    const callers: OutgoingCall[] = [];
    for (const who of ['caller', 'callee'] as const) {
      const pair = await PhonePair.call(farm, alice, bob);
      callers.push(pair.caller);
      await pair.holdAndResume();
      await pair.hangup(who);
    }
    const { caller, callee } = await PhonePair.ring(alice, bob, farm.uri('70001'));
    callers.push(caller);
    callee.ring();
    await caller.ringing();
    await caller.cancel();
    await callee.cancelled();
    const refused = await alice.invite(farm.uri('12345'));
    assert.equal(await refused.rejected(), 404, refused.ladder());
    assert.equal(bob.calls.length - before, callers.length);
    for (const call of [...callers, refused]) {
      const answers = received(alice, call).flatMap(({ message }) => (message.status > 100 ? [message] : []));
      const isFirst = (one: SipMessage): boolean =>
        answers.find(({ cseq, method, status }) => cseq === one.cseq && method === one.method && status > 199) === one;
      // An INVITE that comes again when its ACK has is refused: nobody waits for that any more.
      const finals = answers.filter(one => one.status > 199 && isFirst(one));
      const wrong = finals.filter(({ status }) => status !== 200 && status !== call.final?.status);
      assert.deepEqual(wrong, [], call.ladder());
      const first = answers.filter(({ method, cseq }) => method === 'INVITE' && cseq === call.invite.cseq);
      const accepted = first.filter(({ status }) => status !== 500);
      assert.equal(new Set(accepted.map(({ toTag }) => toTag)).size, 1, call.ladder());
    }
  });

  test('an INVITE that overtakes the ACK to the one before is answered, and that ACK does no harm when it comes', async () => {
    const late: { readonly from: SipEndpoint; readonly row: Omit<LadderRow, 'atMs'> }[] = [];
    const overtakesAck = (from: SipEndpoint, { callId }: SipCall): void => {
      from.loseNext(row => {
        const { direction, message } = row;
        const isIt = direction === 'sent' && message.method === 'ACK' && message.callId === callId;
        if (isIt) late.push({ from, row });
        return isIt;
      });
    };
    const { caller, callee } = await PhonePair.ring(alice, bob, farm.uri('70001'));
    overtakesAck(alice, caller);
    const [pair] = await Promise.all([
      PhonePair.answer(caller, callee),
      // Right behind the answer, when nobody has sent anything again.
      caller.answered().then(async () => {
        overtakesAck(alice, caller);
        assert.equal((await caller.reinvite({ direction: 'sendrecv' })).status, 200, caller.ladder());
        assert.equal((await caller.reinvite({ direction: 'sendrecv' })).status, 200, caller.ladder());
      }),
    ]);
    overtakesAck(bob, callee);
    for (const direction of ['sendonly', 'sendrecv'] as const)
      assert.equal((await callee.reinvite({ direction })).status, 200, callee.ladder());
    assert.equal(late.length, 3);
    for (const { from, row } of late) await from.sendRaw(row.message.toString(), row.peer);
    await pair.holdAndResume();
    await pair.hangup('callee');
    for (const [phone, call] of [
      [alice, caller],
      [bob, callee],
    ] as const) {
      const refused = received(phone, call).filter(({ message }) => message.status > 299);
      assert.deepEqual(refused, [], call.ladder());
    }
  });

  test('CANCEL that comes twice cancels once, and a 487 is sent again until its ACK comes', async () => {
    const { caller, callee } = await PhonePair.ring(alice, bob, farm.uri('70001'));
    callee.ring();
    await caller.ringing();
    losesAcks(caller, 2);
    bob.loseNext(({ direction, message }) => direction === 'received' && message.method === 'ACK');
    const answers = await asksTwice(alice, caller, 'CANCEL', () => caller.cancel());
    // The second time there is no dialog any more: the call has ended with the 487.
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200],
    );
    assert.equal(caller.final?.status, 487);
    const isSent = ({ direction, message }: LadderRow): boolean => direction === 'sent' && message.method === 'ACK';
    await caller.waitFor('an ACK that is not lost', () => alice.ladder.rows(caller.callId).some(isSent));
    assert.equal(responses(alice, caller, 487).length, 3, caller.ladder());
    const ofCallee = (): string[] => requests(bob, callee).map(({ method }) => method);
    await callee.waitFor('another ACK to the 487 of the callee', () => ofCallee().includes('ACK'));
    assert.deepEqual(ofCallee(), ['INVITE', 'CANCEL', 'ACK'], callee.ladder());
    cancelled = caller;
  });

  /** Calls whose media are on an engine that dies: both phones of each are re-INVITEd by us. */
  const bereaved = async (count: number, onReinvite: (call: SipCall) => ReinviteBehaviour): Promise<PhonePair[]> => {
    await farm.json('drain', 'rtpengine-2');
    const pairs: PhonePair[] = [];
    while (pairs.length < count) pairs.push(await PhonePair.call(farm, alice, bob));
    for (const call of pairs.flatMap(pair => pair.calls)) call.onReinvite = onReinvite(call);
    await farm.json('undrain', 'rtpengine-2');
    await farm.kill('rtpengine-1');
    return pairs;
  };

  test('a re-INVITE of ours that meets one of theirs comes again when RFC 3261 §14.1 says', async () => {
    const pairs = await bereaved(4, call => () => (call.reinvites.length === 1 ? 491 : 'answer'));
    const pauseOf = (phone: SipEndpoint, call: SipCall): number => {
      const [refused] = phone.ladder.rows(call.callId).filter(({ message }) => message.status === 491);
      const again = phone.ladder.rows(call.callId).find(({ message }) => message === call.reinvites[1]);
      return Number(again?.atMs) - Number(refused?.atMs);
    };
    for (const pair of pairs) {
      await pair.reinvited([1, 1]);
      await pair.hear();
    }
    // We made the Call-ID of the callee's dialog, not of the caller's. A machine that stands still makes one later, and none earlier.
    const toCallees = pairs.map(({ callee }) => pauseOf(bob, callee));
    const earliest = Math.min(...toCallees);
    assert.ok(earliest > 2_050 && earliest < 4_100, `to callees after ${toCallees.join()} ms`);
    const toCallers = pairs.map(({ caller }) => pauseOf(alice, caller));
    assert.ok(Math.min(...toCallers) < 2_050, `to callers after ${toCallers.join()} ms`);
    for (const pair of pairs) await pair.hangup('callee');
    await farm.whole();
  });

  test('a change of theirs that meets a re-INVITE of ours is refused with 491, and may come when ours is done', async () => {
    let answer: (answer: ReinviteAnswer) => void = () => undefined;
    const decided = new Promise<ReinviteAnswer>(resolve => (answer = resolve));
    const [pair = assert.fail('no call')] = await bereaved(1, () => () => decided);
    await pair.reinvited([0, 0]);
    for (const [phone, call] of [
      [alice, pair.caller],
      [bob, pair.callee],
    ] as const) {
      assert.equal((await call.reinvite()).status, 491, call.ladder());
      assert.equal((await call.request('UPDATE', typed(phone), call.media.offer())).status, 491, call.ladder());
    }
    answer('answer');
    await pair.hear();
    await pair.holdAndResume();
    await pair.hangup('caller');
    await farm.whole();
  });

  test('a refusal whose ACK never comes is sent again for 32 s and no longer, one with an ACK not at all', async () => {
    assert.equal(await unheard.rejected(), 404);
    const refusals = (): readonly LadderRow[] => responses(alice, unheard, 404);
    const [first] = refusals();
    const sinceFirst = (atMs = performance.now()): number => atMs - Number(first?.atMs);
    // Timer H ends it after 64 × T1; the next one would be due 3.5 s later.
    await unheard.waitFor('another refusal, had there been one', () => sinceFirst() > 38_000, 45_000);
    const lastMs = sinceFirst(refusals().at(-1)?.atMs);
    assert.ok(lastMs > 27_000 && lastMs < 36_000, unheard.ladder());
    assert.equal(new Set(refusals().map(({ message }) => message.toString())).size, 1, unheard.ladder());
    assert.equal(responses(alice, cancelled, 487).length, 3, cancelled.ladder());
  });

  test('nothing is left of all these calls', async () => {
    await nothingLeft(farm);
  });
});
