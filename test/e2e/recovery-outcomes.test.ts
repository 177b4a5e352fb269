// What becomes of a call when the recovery of one of its sessions meets a phone that says something else than 200. All of them are on one node, which dies once.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { callDaemon } from '../../core/control/control-client.js';
import { statePaths } from '../../core/host/state-folder.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import type { IncomingCall } from '../harness/incoming-call.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { PhonePair } from '../harness/phone-pair.js';
import { RecordRoutingProxy } from '../harness/record-routing-proxy.js';
import { SharedDeath } from '../harness/shared-death.js';
import { signallingConfig } from '../harness/signalling-config.js';
import type { SipCall } from '../harness/sip-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import type { LadderRow } from '../harness/sip-ladder.js';
import { uriOf, type SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

let farm: Farm;
let alice: SipEndpoint;
let bob: SipEndpoint;
/** Where a phone of each is that has moved. */
let moved: Record<'caller' | 'callee', SipEndpoint>;
/** Behind its proxy, at an address that the farm has no way to but that one. */
let carol: SipEndpoint;
let proxy: RecordRoutingProxy;

/** A phone, and the other one. */
const roles = [
  ['callee', 'caller'],
  ['caller', 'callee'],
] as const;

const ipv6Contact = 'sip:carol@[2001:db8::7]:5062';

interface Outcome {
  readonly outcome: string;
  readonly recoveries: number;
}

/** Of the node that has all calls, then of the engine that has their media. */
const deaths = [
  ['call-2', 'call-1'],
  ['rtpengine-2', 'rtpengine-1'],
] as const;

const shared = new SharedDeath(async count => {
  const [spare, victim] = deaths[count] ?? assert.fail('there are two deaths');
  await farm.json('undrain', spare);
  process.kill(await farm.pid(victim), 'SIGKILL');
});

describe('a call node dies, and', { concurrency: true }, () => {
  before(async () => {
    farm = await Farm.up({ config: await signallingConfig() });
    for (const [spare] of deaths) await farm.json('drain', spare);
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
    moved = {
      caller: await SipEndpoint.open({ address: farm.host(217), user: '100', codecs: ['PCMA'] }),
      callee: await SipEndpoint.open({ address: farm.host(218), codecs: ['PCMU'] }),
    };
    carol = await SipEndpoint.open({
      address: farm.host(219),
      codecs: ['PCMU'],
      writes: text => text.replace(/^Contact: .*$/m, `Contact: <${ipv6Contact}>`),
    });
    proxy = await RecordRoutingProxy.open(farm.host(209), carol);
  });
  after(async () => {
    try {
      await farm.idle();
      await farm.whole();
      // What a phone ended that we could not tell of, the sweep finds at its second look.
      await nothingLeft(farm, 45_000);
    } finally {
      await closeAll(alice, bob, moved.caller, moved.callee, carol, proxy);
      await farm.down();
    }
  });

  const call = (): Promise<PhonePair> => shared.inTurn(() => PhonePair.call(farm, alice, bob));
  /** A call that rings. */
  const ring = (): Promise<{ caller: OutgoingCall; callee: IncomingCall }> =>
    shared.inTurn(async () => {
      const { caller, callee } = await PhonePair.ring(alice, bob, farm.uri('70001'));
      callee.ring();
      await caller.ringing();
      return { caller, callee };
    });
  /** Our ledger knows the ACK to this phone's last re-INVITE: the trace shows it, and has them from the same messages. */
  const hasReached = ({ callId, dialog }: SipCall): Promise<unknown> =>
    waitFor('the ACK to be traced', async () => {
      const { messages } = await callDaemon(statePaths(farm.state).controlSocket, 'callShow', {
        id: callId,
        whole: false,
      });
      return messages.some(
        one =>
          one.callId === callId && one.method === 'ACK' && one.direction === 'out' && one.cseq === dialog.localCseq,
      );
    });
  /** The phone is at another address, sounds there, and our ledger knows. */
  const move = async (pair: PhonePair, role: 'caller' | 'callee'): Promise<void> => {
    const { status } = await moved[role].takeOver(pair[role], { caller: alice, callee: bob }[role]);
    assert.equal(status, 200, pair[role].ladder());
    await pair.soundsAgain();
    await hasReached(pair[role]);
  };
  /** What it was sent at the address that it has left. */
  const sentToOld = (pair: PhonePair, role: 'caller' | 'callee'): readonly string[] => {
    const [old, call] = [{ caller: alice, callee: bob }[role], pair[role]];
    const since = moved[role].ladder.rows(call.callId)[0]?.atMs ?? 0;
    return old.ladder
      .rows(call.callId)
      .filter(({ direction, atMs, message }) => direction === 'received' && atMs > since && message.method !== 'ACK')
      .map(({ message }) => message.startLine);
  };
  /** Both phones' answers to their last re-INVITE are acknowledged. */
  const acknowledged = async ({ caller, callee }: PhonePair): Promise<void> => {
    const ackTo =
      ({ callId, reinvites }: SipCall) =>
      (one: SipMessage) =>
        isAck(one, callId, reinvites.at(-1)?.cseq);
    await Promise.all([alice.received('the ACK', ackTo(caller)), bob.received('the ACK', ackTo(callee))]);
  };
  const lastCdr = async (pair: PhonePair): Promise<Outcome> =>
    waitFor('the record', async () => {
      const lines = (await readFile(join(farm.state, 'cdr.jsonl'), 'utf8')).split('\n').filter(line => line !== '');
      const all = lines.map(line => JSON.parse(line) as Outcome & { sipCallIds: string[] });
      return all.find(one => one.sipCallIds.includes(pair.caller.callId));
    });

  test(
    'the record of a recovered call says so',
    { timeout: 180_000 },
    shared.scene(async death => {
      const pair = await call();
      const { reinvites } = pair;
      await death();
      await pair.reinvited(reinvites);
      await pair.soundsAgain();
      await pair.hangup('caller');
      assert.deepEqual(outcomeOf(await lastCdr(pair)), ['answered', 1]);
    }),
  );

  test(
    'a phone that hangs up in the gap gets its 200, and the other side ends',
    { timeout: 180_000 },
    shared.scene(async death => {
      const pair = await call();
      await death();
      assert.equal(await pair.caller.hangup(), 200, pair.caller.ladder());
      assert.equal((await pair.callee.ended(10_000)).by, 'them');
    }),
  );

  for (const nth of ['first', 'second', 'third']) {
    test(
      `a phone hangs up right behind its 200, the ${nth} of three: the other side ends with a BYE`,
      { timeout: 180_000 },
      shared.scene(async death => {
        const pair = await call();
        const [, before = 0] = pair.reinvites;
        await death();
        await waitFor('the re-INVITE', () => pair.callee.reinvites.length > before, { everyMs: 1 });
        assert.equal(await pair.callee.hangup(), 200, pair.callee.ladder());
        assert.equal((await pair.caller.ended(10_000)).by, 'them', pair.caller.ladder());
      }),
    );
  }

  test(
    'a phone hangs up, and its BYE overtakes its 200: it gets its 200, and the other side ends with a BYE',
    { timeout: 180_000 },
    shared.scene(async death => {
      const pair = await call();
      const { callId, reinvites } = pair.callee;
      const before = reinvites.length;
      // Sent again after the BYE.
      bob.loseNext(
        ({ direction, message }) =>
          direction === 'sent' && message.callId === callId && message.status === 200 && message.method === 'INVITE',
      );
      await death();
      await waitFor('the re-INVITE', () => pair.callee.reinvites.length > before, { everyMs: 1 });
      assert.equal(await pair.callee.hangup(), 200, pair.callee.ladder());
      assert.equal((await pair.caller.ended(10_000)).by, 'them', pair.caller.ladder());
      await bob.received('the ACK', one => isAck(one, callId, pair.callee.reinvites.at(-1)?.cseq), 10_000);
    }),
  );

  for (const [role, other] of roles) {
    for (const status of [491, 500, 503]) {
      test(
        `the ${role}'s phone answers ${status}, and 200 when it is asked again: the call goes on`,
        { timeout: 180_000 },
        shared.scene(async death => {
          const pair = await call();
          const phone = pair[role];
          phone.onReinvite = () => (phone.reinvites.length === 1 ? status : 'answer');
          await death();
          await waitFor('another re-INVITE', () => phone.reinvites.length > 1, { describe: () => phone.ladder() });
          await pair.reinvited([0, 0]);
          await pair.soundsAgain();
          assert.deepEqual([phone.reinvites.length, pair[other].reinvites.length], [2, 1], phone.ladder());
          const [first, second] = phone.reinvites.map(one => one.cseq);
          assert.ok(Number(first) < Number(second), phone.ladder());
          await pair.holdAndResume();
          await pair.hangup(other);
          assert.deepEqual(outcomeOf(await lastCdr(pair)), ['answered', 1]);
        }),
      );
    }

    for (const status of [481, 488]) {
      test(
        `the ${role}'s phone answers ${status}: the other side ends with a BYE`,
        { timeout: 180_000 },
        shared.scene(async death => {
          const pair = await call();
          const phone = pair[role];
          phone.onReinvite = status;
          await death();
          assert.equal((await pair[other].ended(10_000)).by, 'them', pair[other].ladder());
          assert.equal(phone.reinvites.length, 1, phone.ladder());
          // One that refused the offer still has its dialog: it is ended, too.
          if (status === 488) assert.equal((await phone.ended(10_000)).by, 'them', phone.ladder());
        }),
      );
    }

    test(
      `the ${role}'s phone does not answer at all: the other side ends with a BYE`,
      { timeout: 180_000 },
      shared.scene(async death => {
        const pair = await call();
        pair[role].onReinvite = 'ignore';
        await death();
        assert.equal((await pair[other].ended(15_000)).by, 'them', pair[other].ladder());
        assert.equal((await pair[role].ended(15_000)).by, 'them', pair[role].ladder());
        assert.equal(pair[role].reinvites.length, 1, pair[role].ladder());
      }),
    );
  }

  test(
    'a phone answers 488, and the other side 200 after that: it gets a BYE, and nothing is left',
    { timeout: 180_000 },
    shared.scene(async death => {
      const pair = await call();
      pair.callee.onReinvite = 488;
      const { callId } = pair.caller;
      alice.loseNext(({ direction, message }) => direction === 'received' && isReinvite(message, callId));
      await death();
      assert.equal((await pair.caller.ended(10_000)).by, 'them', pair.caller.ladder());
      assert.equal(pair.caller.reinvites.length, 1);
    }),
  );

  test(
    'a phone whose own re-INVITE is under way comes back when it is done',
    { timeout: 180_000 },
    shared.scene(async (death, t) => {
      const pair = await call();
      const { reinvites } = pair;
      pair.calls.forEach(call => call.audio.resetReport());
      await death();
      const held = pair.caller.reinvite({ direction: 'sendrecv' });
      await pair.reinvited(reinvites, 15_000);
      const { status } = await held;
      t.diagnostic(`the phone's own re-INVITE was answered ${status}`);
      assert.ok([200, 491, 500].includes(status), pair.caller.ladder());
      await pair.soundsAgain();
      await pair.holdAndResume();
      await pair.hangup('caller');
    }),
  );

  const losses: readonly (readonly [string, (row: Pick<LadderRow, 'direction' | 'message'>) => boolean])[] = [
    ['our re-INVITE', ({ direction, message }) => direction === 'received' && message.method === 'INVITE'],
    ["the phone's 200", ({ direction, message }) => direction === 'sent' && message.status === 200],
    ['our ACK', ({ direction, message }) => direction === 'received' && message.method === 'ACK'],
  ];
  for (const [what, isLost] of losses) {
    test(
      `${what} is lost: it comes again, and the call goes on`,
      { timeout: 180_000 },
      shared.scene(async (death, t) => {
        const pair = await call();
        const { reinvites } = pair;
        const lost: string[] = [];
        const { callId } = pair.callee;
        bob.loseNext(row => row.message.callId === callId && isLost(row) && lost.push(row.message.startLine) > 0);
        pair.calls.forEach(call => call.audio.resetReport());
        await death();
        await pair.reinvited(reinvites);
        const cseq = pair.callee.reinvites.at(-1)?.cseq;
        await bob.received('the ACK', one => isAck(one, callId, cseq), 10_000);
        await pair.soundsAgain();
        t.diagnostic(`silences ${pair.calls.map(call => call.audio.report().largestGapMs).join(', ')} ms`);
        assert.equal(lost.length, 1);
        assert.deepEqual(pair.reinvites, [1, 1]);
        await pair.holdAndResume();
        await pair.hangup('callee');
        assert.equal((await lastCdr(pair)).recoveries, 1);
      }),
    );
  }

  test(
    'a held call stays held, and can be resumed',
    { timeout: 180_000 },
    shared.scene(async death => {
      const pair = await call();
      assert.equal((await pair.callee.reinvite({ direction: 'sendonly' })).status, 200);
      await hasReached(pair.callee);
      const { reinvites } = pair;
      await death();
      await pair.reinvited(reinvites);
      const offer = pair.callee.reinvites.at(-1)?.body ?? '';
      assert.match(offer, /a=recvonly/, 'our offer leaves the stream held');
      assert.equal(pair.callee.media.direction, 'sendonly');
      const cseq = pair.callee.reinvites.at(-1)?.cseq;
      await bob.received('the ACK', one => isAck(one, pair.callee.callId, cseq));
      const resumed = async (): Promise<boolean> =>
        (await pair.callee.reinvite({ direction: 'sendrecv' })).status === 200;
      await waitFor('the call to be resumed', resumed, { everyMs: 100 });
      await pair.hear();
      await pair.hangup('callee');
    }),
  );

  for (const [role, other] of roles) {
    test(
      `the ${role}'s phone has moved to another address: our BYE finds it there`,
      { timeout: 180_000 },
      shared.scene(async () => {
        const pair = await call();
        await move(pair, role);
        await pair.hangup(other);
        assert.deepEqual(targets(pair[role]), [uriOf(moved[role].contact)]);
        assert.deepEqual(sentToOld(pair, role), []);
      }),
    );

    test(
      `the ${role}'s phone has moved to another address: it comes back there, and our BYE finds it there`,
      { timeout: 180_000 },
      shared.scene(async death => {
        const pair = await call();
        await move(pair, role);
        const { reinvites } = pair;
        await death();
        await pair.reinvited(reinvites);
        await pair.soundsAgain();
        await pair.hangup(other);
        const there = uriOf(moved[role].contact);
        assert.deepEqual(targets(pair[role]), [there, there]);
        assert.deepEqual(sentToOld(pair, role), []);
      }),
    );
  }

  test(
    'a caller with quotes and commas in its name, and a callee with an IPv6 Contact behind a proxy that stays in the dialog, come back as they are',
    { timeout: 180_000 },
    shared.scene(async (death, t) => {
      const pair = await shared.inTurn(async () => {
        const from = `"M\u00fcller, \\"Bob\\" \u65e5\u672c \\\\" <${alice.uri}>;tag=named`;
        const { caller, callee } = await PhonePair.ring(alice, carol, farm.uri('60001'), { from });
        return PhonePair.answer(caller, callee);
      });
      const { caller, callee } = pair;
      await death();
      await pair.reinvited([0, 0]);
      await pair.soundsAgain();
      t.diagnostic(`the callee is called by ${callee.invite.get('From')}`);
      assert.equal(caller.reinvites[0]?.get('To'), caller.invite.get('From'));
      assert.equal(caller.reinvites[0].get('From'), caller.dialog.remote);
      assert.equal(callee.reinvites[0]?.get('From'), callee.invite.get('From'));
      assert.equal(callee.reinvites[0].get('To'), callee.dialog.local);
      await pair.holdAndResume();
      await pair.hangup('caller');
      assert.deepEqual(targets(callee), [ipv6Contact, ipv6Contact]);
      const strays = carol.ladder
        .rows(callee.callId)
        .filter(({ direction, peer }) => direction === 'received' && peer.address !== proxy.address);
      assert.deepEqual(strays, [], 'all that it is sent passes its proxy');
    }),
  );

  test(
    'an RTPEngine dies later: both phones are re-INVITEd in the dialogs that were recovered, and the call goes on',
    { timeout: 180_000 },
    shared.scene(async death => {
      const pair = await call();
      await death();
      await pair.reinvited([0, 0]);
      await pair.soundsAgain();
      await acknowledged(pair);
      await death();
      await pair.reinvited([1, 1]);
      await pair.soundsAgain();
      await acknowledged(pair);
      for (const one of pair.calls) {
        assert.equal(one.media.remote?.address, farm.host(82), one.ladder());
        const [first, second] = one.reinvites.map(({ cseq }) => cseq);
        assert.equal(second, Number(first) + 1, one.ladder());
      }
      await pair.holdAndResume();
      await pair.hangup('caller');
    }),
  );

  test(
    'a ringing call: the caller gets a final response, and the callee a CANCEL',
    { timeout: 180_000 },
    shared.scene(async death => {
      const { caller, callee } = await ring();
      await death();
      assert.equal(await caller.rejected(10_000), 503, caller.ladder());
      await callee.cancelled(10_000);
    }),
  );

  test(
    'a callee who answers in the gap is hung up, not left alone',
    { timeout: 180_000 },
    shared.scene(async death => {
      const { caller, callee } = await ring();
      callee.onCancel = 'ignore';
      await death();
      void callee.answer().catch(() => undefined);
      assert.equal(await caller.rejected(10_000), 503, caller.ladder());
      await callee.ended(15_000);
    }),
  );
});

/** Where the requests of ours to a phone went that are no ACK. */
function targets(call: SipCall): readonly string[] {
  return [...call.reinvites, ...call.requests('BYE')].map(({ requestUri }) => requestUri);
}

function outcomeOf({ outcome, recoveries }: Outcome): readonly [string, number] {
  return [outcome, recoveries];
}

function isAck(message: SipMessage, callId: string, cseq: number | undefined): boolean {
  return message.isRequest && message.method === 'ACK' && message.callId === callId && message.cseq === cseq;
}

function isReinvite(message: SipMessage, callId: string): boolean {
  return message.isRequest && message.method === 'INVITE' && message.callId === callId;
}
