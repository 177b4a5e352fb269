// What becomes of a call when the recovery of one of its sessions meets a phone that says something else than 200.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { IncomingCall } from '../harness/incoming-call.js';
import { PhonePair } from '../harness/phone-pair.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import type { LadderRow } from '../harness/sip-ladder.js';
import type { SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

describe('a call node dies, and', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;

  before(async () => {
    farm = await Farm.up();
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
  });
  after(async () => {
    await Promise.allSettled([alice.close(), bob.close()]);
    await farm.down();
  });
  afterEach(async () => {
    await farm.idle(20_000);
    await farm.whole();
    // What a phone ended that we could not tell of, the sweep finds at its second look.
    await nothingLeft(farm);
  });

  const kill = async (pair: PhonePair): Promise<void> => {
    const pid = await farm.pid(await pair.node(farm));
    process.kill(pid, 'SIGKILL');
  };
  const lastCdr = async (pair: PhonePair): Promise<{ outcome: string; recoveries: number }> =>
    waitFor('the record', async () => {
      const lines = (await readFile(join(farm.state, 'cdr.jsonl'), 'utf8')).split('\n').filter(line => line !== '');
      const all = lines.map(line => JSON.parse(line) as { sipCallIds: string[]; outcome: string; recoveries: number });
      return all.find(one => one.sipCallIds.includes(pair.caller.callId));
    });

  test('the record of a recovered call says so', { timeout: 60_000 }, async () => {
    const pair = await PhonePair.call(farm, alice, bob);
    const { reinvites } = pair;
    await kill(pair);
    await pair.reinvited(reinvites);
    await pair.soundsAgain();
    await pair.hangup('caller');
    const cdr = await lastCdr(pair);
    assert.deepEqual([cdr.outcome, cdr.recoveries], ['answered', 1]);
  });

  test('a phone that hangs up in the gap gets its 200, and the other side ends', { timeout: 60_000 }, async () => {
    const pair = await PhonePair.call(farm, alice, bob);
    await kill(pair);
    assert.equal(await pair.caller.hangup(), 200, pair.caller.ladder());
    assert.equal((await pair.callee.ended(10_000)).by, 'them');
  });

  for (const status of [481, 488]) {
    test(`a phone answers ${status}: the other side ends with a BYE`, { timeout: 60_000 }, async () => {
      const pair = await PhonePair.call(farm, alice, bob);
      pair.callee.onReinvite = status;
      await kill(pair);
      assert.equal((await pair.caller.ended(10_000)).by, 'them', pair.caller.ladder());
      // One that refused the offer still has its dialog: it is ended, too.
      if (status === 488) assert.equal((await pair.callee.ended(10_000)).by, 'them', pair.callee.ladder());
    });
  }

  test(
    'a phone answers 488, and the other side 200 after that: it gets a BYE, and nothing is left',
    { timeout: 60_000 },
    async () => {
      const pair = await PhonePair.call(farm, alice, bob);
      pair.callee.onReinvite = 488;
      alice.loseNext(({ direction, message }) => direction === 'received' && message.method === 'INVITE');
      await kill(pair);
      assert.equal((await pair.caller.ended(10_000)).by, 'them', pair.caller.ladder());
      assert.equal(pair.caller.reinvites.length, 1);
    },
  );

  test('a phone does not answer at all: the other side ends with a BYE', { timeout: 60_000 }, async () => {
    const pair = await PhonePair.call(farm, alice, bob);
    pair.callee.onReinvite = 'ignore';
    await kill(pair);
    assert.equal((await pair.caller.ended(15_000)).by, 'them', pair.caller.ladder());
  });

  test('a phone whose own re-INVITE is under way comes back when it is done', { timeout: 60_000 }, async t => {
    const pair = await PhonePair.call(farm, alice, bob);
    const { reinvites } = pair;
    pair.calls.forEach(call => call.audio.resetReport());
    await kill(pair);
    const held = pair.caller.reinvite({ direction: 'sendrecv' });
    await pair.reinvited(reinvites, 15_000);
    const { status } = await held;
    t.diagnostic(`the phone's own re-INVITE was answered ${status}`);
    assert.ok([200, 491, 500].includes(status), pair.caller.ladder());
    await pair.soundsAgain();
    await pair.holdAndResume();
    await pair.hangup('caller');
  });

  const losses: readonly (readonly [string, (row: Pick<LadderRow, 'direction' | 'message'>) => boolean])[] = [
    [
      'our re-INVITE',
      ({ direction, message }) => direction === 'received' && message.isRequest && message.method === 'INVITE',
    ],
    ["the phone's 200", ({ direction, message }) => direction === 'sent' && message.status === 200],
    ['our ACK', ({ direction, message }) => direction === 'received' && message.method === 'ACK'],
  ];
  for (const [what, isLost] of losses) {
    test(`${what} is lost: it comes again, and the call goes on`, { timeout: 60_000 }, async t => {
      const pair = await PhonePair.call(farm, alice, bob);
      const { reinvites } = pair;
      const lost: string[] = [];
      bob.loseNext(row => isLost(row) && lost.push(row.message.startLine) > 0);
      pair.calls.forEach(call => call.audio.resetReport());
      await kill(pair);
      await pair.reinvited(reinvites);
      const cseq = pair.callee.reinvites.at(-1)?.cseq;
      const isAck = (one: SipMessage): boolean =>
        one.isRequest && one.method === 'ACK' && one.callId === pair.callee.callId && one.cseq === cseq;
      await bob.received('the ACK', isAck, 10_000);
      await pair.soundsAgain();
      t.diagnostic(`silences ${pair.calls.map(call => call.audio.report().largestGapMs).join(', ')} ms`);
      assert.equal(lost.length, 1);
      assert.deepEqual(pair.reinvites, [1, 1]);
      await pair.holdAndResume();
      await pair.hangup('callee');
      assert.equal((await lastCdr(pair)).recoveries, 1);
    });
  }

  test('a held call stays held, and can be resumed', { timeout: 60_000 }, async () => {
    const pair = await PhonePair.call(farm, alice, bob);
    assert.equal((await pair.callee.reinvite({ direction: 'sendonly' })).status, 200);
    await sleep(300);
    const { reinvites } = pair;
    await kill(pair);
    await pair.reinvited(reinvites);
    const offer = pair.callee.reinvites.at(-1)?.body ?? '';
    assert.match(offer, /a=recvonly/, 'our offer leaves the stream held');
    assert.equal(pair.callee.media.direction, 'sendonly');
    await sleep(300);
    const resumed = async (): Promise<boolean> =>
      (await pair.callee.reinvite({ direction: 'sendrecv' })).status === 200;
    await waitFor('the call to be resumed', resumed, { everyMs: 100 });
    await pair.hear();
    await pair.hangup('callee');
  });

  test('a ringing call: the caller gets a final response, and the callee a CANCEL', { timeout: 60_000 }, async () => {
    const arriving = bob.incoming(10_000);
    const caller = await alice.invite(farm.uri('70001'));
    const callee = await arriving;
    callee.ring();
    await caller.ringing();
    const node = await waitFor('the call', async () => (await farm.calls())[0]?.legs[0]?.node);
    process.kill(await farm.pid(node), 'SIGKILL');
    assert.equal(await caller.rejected(10_000), 503, caller.ladder());
    await callee.cancelled(10_000);
    assert.ok(callee instanceof IncomingCall);
  });

  test('a callee who answers in the gap is hung up, not left alone', { timeout: 60_000 }, async () => {
    const arriving = bob.incoming(10_000);
    const caller = await alice.invite(farm.uri('70001'));
    const callee = await arriving;
    callee.ring();
    callee.onCancel = 'ignore';
    await caller.ringing();
    const node = await waitFor('the call', async () => (await farm.calls())[0]?.legs[0]?.node);
    process.kill(await farm.pid(node), 'SIGKILL');
    void callee.answer().catch(() => undefined);
    assert.equal(await caller.rejected(10_000), 503, caller.ladder());
    await callee.ended(15_000);
  });
});
