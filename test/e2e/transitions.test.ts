// What calls become while people talk: on hold, transferred, merged, with a third party. No phone is told, in either placement.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type { CallParty } from '../../core/calls/call-control-facts.js';
import { conferenceRecordSchema, type ConferenceRecord } from '../../core/conferences/conference-record.js';
import { recordOf } from '../harness/call-records.js';
import { closeAll } from '../harness/close-all.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { journaledRecords } from '../harness/kept-records.js';
import { PhonePair } from '../harness/phone-pair.js';
import { parseSdp } from '../harness/sdp.js';
import { signallingConfig } from '../harness/signalling-config.js';
import type { SipCall } from '../harness/sip-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

let farm: Farm;
let alice: SipEndpoint;
let bob: SipEndpoint;
let carol: SipEndpoint;
let dave: SipEndpoint;

before(async () => {
  farm = await Farm.up({ config: await signallingConfig() });
  alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
  const answering = (host: number): Promise<SipEndpoint> =>
    SipEndpoint.open({ address: farm.host(host), codecs: ['PCMA'] });
  [bob, carol, dave] = [await answering(208), await answering(215), await answering(213)];
});
after(async () => {
  await closeAll(alice, bob, carol, dave);
  await farm.down();
});

interface Held {
  readonly parties: readonly CallParty[];
}

/** The tones of a pair's phones: whoever hears one of them is in a call with somebody. */
const tones = [440, 660];

/** Something sounds, and it is none of the phones. */
async function hearsMusic({ audio }: SipCall): Promise<void> {
  const isMusic = (): boolean => {
    const heard = audio.heard();
    return heard !== undefined && tones.every(hz => Math.abs(heard.hz - hz) > 15);
  };
  await waitFor('music', isMusic, { deadlineMs: 15_000, describe: () => JSON.stringify(audio.heard()) });
}

async function hearsSilence({ audio }: SipCall): Promise<void> {
  await waitFor('silence', () => audio.heard() === undefined, { deadlineMs: 15_000 });
  audio.resetReport();
  await waitFor('RTP all the same', () => audio.report().packets > 10, { deadlineMs: 15_000 });
}

/** Its phone has told that it wants none. */
async function hearsNothing({ audio }: SipCall): Promise<void> {
  await waitFor('silence', () => audio.heard() === undefined, { deadlineMs: 15_000 });
}

/** Begins what makes one conference of so many parties of these calls; resolves the moment it is written down, before anything is done about it. */
async function written(
  parties: number,
  pairs: readonly PhonePair[],
  begin: () => Promise<unknown>,
): Promise<ConferenceRecord> {
  const of = (await farm.calls()).filter(({ legs }) =>
    pairs.some(({ caller }) => legs.some(leg => leg.callId === caller.callId)),
  );
  const ids = new Set(of.map(({ id }) => id));
  assert.equal(ids.size, pairs.length);
  const isMeant = ({ participants }: ConferenceRecord): boolean => {
    const there = new Set(participants.map(one => one.callId));
    return participants.length === parties && there.size === ids.size && [...there].every(id => ids.has(id));
  };
  // Whoever asked hears nothing more where the daemon dies of it.
  begin().catch(() => undefined);
  const found = (): ConferenceRecord | undefined => justWritten().find(isMeant);
  return waitFor(`a conference of ${parties} to be written`, found, { deadlineMs: 60_000, everyMs: 1 });
}

/** The same, and the daemon dies of it. Gives its pid, for `daemonAfter`. */
async function killedBy(parties: number, pairs: readonly PhonePair[], begin: () => Promise<unknown>): Promise<number> {
  const { pid } = (await farm.status()).daemon;
  await written(parties, pairs, begin);
  process.kill(pid, 'SIGKILL');
  return pid;
}

/** What the store's journal has of conferences. */
function justWritten(): ConferenceRecord[] {
  return journaledRecords(farm.state, 'conferences')
    .filter(([, value]) => value !== undefined)
    .map(([, value]) => conferenceRecordSchema.parse(value));
}

async function place(twoParty: 'call-node' | 'conference-farm'): Promise<void> {
  await farm.reload((await signallingConfig()).replace(/twoParty: \S+/, `twoParty: ${twoParty}`));
}

/** A phone with a tone of its own in a call. */
interface Speaker {
  readonly call: SipCall;
  readonly hz: number;
}

/** Each hears exactly all others. */
async function hearEachOther(speakers: readonly Speaker[]): Promise<void> {
  const all = [440, 660, 880, 1100];
  await Promise.all(
    speakers.map(async ({ call, hz }) => {
      const others = speakers.map(one => one.hz).filter(one => one !== hz);
      await call.audio.hearsMix(
        others,
        all.filter(one => !others.includes(one)),
        20_000,
      );
    }),
  );
}

function unasked(calls: readonly SipCall[]): void {
  for (const call of calls) assert.equal(call.reinvites.length, 0, `no phone is told\n${call.ladder()}`);
}

/** Calls `number` from a phone, which `far` answers; each sends its tone. */
async function call(
  from: SipEndpoint,
  number: string,
  far: SipEndpoint,
  hz: readonly [number, number],
): Promise<PhonePair> {
  const { caller, callee } = await PhonePair.ring(from, far, farm.uri(number));
  await callee.answer();
  await caller.answered();
  caller.audio.sendTone(hz[0]);
  callee.audio.sendTone(hz[1]);
  const pair = PhonePair.of(caller, callee);
  await hearEachOther([
    { call: caller, hz: hz[0] },
    { call: callee, hz: hz[1] },
  ]);
  return pair;
}

/** REFERs the far end of `call` to that of the dialog `other`; resolves with the statuses that it is told. */
async function refer(
  { call, host }: { readonly call: SipCall; readonly host: number },
  other: SipCall,
  tags: Partial<{ local: string; remote: string }> = {},
): Promise<readonly number[]> {
  const before = call.requests('NOTIFY').length;
  const told = (): number[] =>
    call
      .requests('NOTIFY')
      .slice(before)
      .map(({ body }) => Number(/^SIP\/2\.0 (\d+)/.exec(body)?.[1]));
  const { localTag, remoteTag } = other.dialog;
  const replaces = `${other.callId};to-tag=${tags.remote ?? remoteTag};from-tag=${tags.local ?? localTag}`;
  const target = `<sip:somebody@holdfast.test?Replaces=${encodeURIComponent(replaces)}>`;
  const { status } = await call.request('REFER', [
    ['Contact', `<sip:phone@${farm.host(host)}>`],
    ['Refer-To', target],
  ]);
  assert.equal(status, 202);
  // The last one may overtake the first.
  await waitFor('both NOTIFYs', () => told().length > 1 && (told().at(-1) ?? 100) >= 200, {
    // The next daemon may have to tell it.
    deadlineMs: 60_000,
    describe: () => call.ladder(),
  });
  return told();
}

async function onNode<T>(node: 'call-1' | 'call-2', work: () => Promise<T>): Promise<T> {
  const other = node === 'call-1' ? 'call-2' : 'call-1';
  await farm.json('drain', other);
  try {
    return await work();
  } finally {
    await farm.json('undrain', other);
  }
}

for (const placement of ['call-node', 'conference-farm'] as const) {
  describe(`mixed on the ${placement}`, () => {
    before(() => place(placement));
    afterEach(() => nothingLeft(farm));

    test(
      'a party on hold hears music, over the deaths of its node and of the daemon',
      { timeout: 120_000 },
      async () => {
        const pair = await PhonePair.call(farm, alice, bob);
        const { callId } = pair.caller;
        const held = await farm.json<Held>('call', 'hold', callId);
        assert.deepEqual(
          held.parties.map(({ side, onHold }) => `${side} ${onHold}`),
          ['caller true', 'callee false'],
        );
        await Promise.all([hearsMusic(pair.caller), hearsSilence(pair.callee)]);
        assert.deepEqual(pair.reinvites, [0, 0]);
        await farm.kill(await pair.node(farm));
        await pair.reinvited([0, 0]);
        await Promise.all([hearsMusic(pair.caller), hearsSilence(pair.callee)]);
        await farm.whole();
        await farm.daemonAfter(await farm.killDaemon());
        await Promise.all([hearsMusic(pair.caller), hearsSilence(pair.callee)]);
        const [call] = await farm.calls();
        assert.deepEqual(
          call?.legs.map(leg => leg.onHold),
          [true, false],
        );
        const again = await farm.json<Held>('call', 'unhold', callId);
        assert.ok(again.parties.every(({ onHold }) => !onHold));
        await pair.hear(15_000);
        await farm.json('call', 'hold', callId, '--party', 'callee');
        await Promise.all([hearsSilence(pair.caller), hearsMusic(pair.callee)]);
        await pair.hangup('caller');
      },
    );

    for (const [role, other] of [
      ['caller', 'callee'],
      ['callee', 'caller'],
    ] as const) {
      test(
        `while the ${role}'s phone holds, the other hears music: over refreshes of both, and the deaths of their servers`,
        { timeout: 120_000 },
        async () => {
          const pair = await PhonePair.call(farm, alice, bob);
          const [holder, held] = [pair[role], pair[other]];
          const isHeld = async (): Promise<void> => {
            await Promise.all([hearsMusic(held), hearsNothing(holder)]);
            held.audio.resetReport();
            await waitFor('half a second of RTP', () => held.audio.report().packets > 25);
            assert.equal(held.audio.report().ssrcs.length, 1, 'the music and nothing beside it');
          };
          assert.equal((await holder.reinvite({ direction: 'sendonly' })).status, 200);
          await isHeld();
          assert.equal((await holder.reinvite({ direction: 'sendonly' })).status, 200);
          await isHeld();
          assert.equal((await held.reinvite({ direction: 'sendrecv' })).status, 200);
          await isHeld();
          await pair.isKept(farm);
          await farm.kill(await pair.node(farm));
          await pair.reinvited([0, 0]);
          const offer = parseSdp(holder.reinvites[0]?.body ?? '');
          assert.equal(offer.audio?.direction, 'recvonly', holder.ladder());
          assert.equal(holder.media.direction, 'sendonly');
          await isHeld();
          await farm.whole();
          if (placement === 'conference-farm') {
            const [conference] = await farm.json<{ node: string }[]>('conferences');
            await farm.kill(conference?.node ?? '');
            await farm.whole();
            await isHeld();
          }
          const resumed = async (): Promise<boolean> =>
            (await holder.reinvite({ direction: 'sendrecv' })).status === 200;
          await waitFor('the call to be resumed', resumed, { everyMs: 100, describe: () => holder.ladder() });
          await pair.hear();
          await pair.hangup(other);
          await farm.whole();
        },
      );
    }

    for (const nodes of placement === 'call-node' ? (['one node', 'two nodes'] as const) : (['two nodes'] as const)) {
      test(
        `an attended transfer by REFER leaves the other two to each other, on ${nodes}`,
        { timeout: 120_000 },
        async () => {
          const first = await onNode('call-1', () => call(alice, '66001', carol, [440, 880]));
          assert.equal((await first.caller.reinvite({ direction: 'sendonly' })).status, 200);
          const second = await onNode(nodes === 'one node' ? 'call-1' : 'call-2', () =>
            call(alice, '75001', bob, [440, 660]),
          );
          assert.deepEqual(
            await refer({ call: first.callee, host: 215 }, second.caller),
            [100, 603],
            'a dialog of somebody else',
          );
          assert.deepEqual(
            await refer({ call: first.caller, host: 200 }, second.caller, { remote: 'guessed' }),
            [100, 603],
            'a dialog that is guessed',
          );
          let told: Promise<readonly number[]> | undefined;
          const referred = { call: first.caller, host: 200 };
          const pid = await killedBy(2, [first, second], () => (told = refer(referred, second.caller)));
          assert.deepEqual(await told, [100, 200], 'the next daemon ends what was begun');
          await Promise.all([first.caller.ended(20_000), second.caller.ended(20_000)]);
          const two: Speaker[] = [
            { call: first.callee, hz: 880 },
            { call: second.callee, hz: 660 },
          ];
          await hearEachOther(two);
          unasked(two.map(one => one.call));
          await farm.daemonAfter(pid);
          const { participants = [], node = '' } =
            (await farm.json<{ node: string; participants: unknown[] }[]>('conferences'))[0] ?? {};
          assert.equal(participants.length, 2);
          for (const dies of new Set([node, 'call-1'])) {
            await farm.kill(dies);
            await hearEachOther(two);
            await farm.whole();
          }
          assert.equal(await first.callee.hangup(), 200);
          await second.callee.ended();
          await farm.idle();
          const [one, other] = [await recordOf(farm, first.caller.callId), await recordOf(farm, second.caller.callId)];
          assert.deepEqual(
            one.transfers.map(({ at: _, ...how }) => how),
            [{ by: 'caller', kind: 'attended', to: 'somebody', call: other.callId }],
          );
          assert.deepEqual(
            other.transfers.map(({ by, call: with_ }) => [by, with_]),
            [['caller', one.callId]],
          );
          assert.equal(one.endedBy, 'callee');
        },
      );
    }

    test('by command the same, a third party is added, and calls are merged', { timeout: 120_000 }, async () => {
      const first = await onNode('call-1', () => call(alice, '66001', carol, [440, 880]));
      const second = await onNode('call-1', () => call(alice, '75001', bob, [440, 660]));
      const toCall = ['--to-call', second.caller.callId, '--replace', 'caller'];
      const { node } = await written(2, [first, second], () =>
        farm.json('call', 'transfer', first.caller.callId, ...toCall),
      );
      // Where they meet dies before they do: their call node, or the conference node.
      await farm.kill(node);
      await Promise.all([first.caller.ended(20_000), second.caller.ended(20_000)]);
      const [c, b] = [
        { call: first.callee, hz: 880 },
        { call: second.callee, hz: 660 },
      ];
      await hearEachOther([c, b]);
      const reinvites = [c, b].map(one => one.call.reinvites.length);
      assert.deepEqual(reinvites, placement === 'call-node' ? [1, 1] : [0, 0]);
      await farm.whole();
      const third = await call(alice, '64001', dave, [440, 1100]);
      const [a, d] = [
        { call: third.caller, hz: 440 },
        { call: third.callee, hz: 1100 },
      ];
      const merging = ['conference', 'merge', second.callee.callId, third.caller.callId];
      const merge = (): Promise<unknown> => farm.json(...merging);
      if (placement === 'call-node') await merge();
      else await farm.daemonAfter(await killedBy(4, [first, second, third], merge));
      await hearEachOther([a, b, c, d]);
      assert.equal(await a.call.hangup(), 200);
      await hearEachOther([b, c, d]);
      assert.equal(await b.call.hangup(), 200);
      await hearEachOther([c, d]);
      unasked([a, d].map(one => one.call));
      assert.deepEqual(
        reinvites,
        [c, b].map(one => one.call.reinvites.length),
      );
      assert.equal(await c.call.hangup(), 200);
      await d.call.ended();
    });

    test('somebody is added to a call, and goes', { timeout: 120_000 }, async () => {
      const pair = await call(alice, '66001', carol, [440, 880]);
      const [a, c] = [
        { call: pair.caller, hz: 440 },
        { call: pair.callee, hz: 880 },
      ];
      const arriving = dave.incoming(10_000);
      void farm.json('call', 'add', pair.caller.callId, '64001').catch(() => undefined);
      const added = { call: await arriving, hz: 1100 };
      const answer = (): Promise<unknown> => added.call.answer();
      if (placement === 'call-node') await farm.daemonAfter(await killedBy(3, [pair], answer));
      else await answer();
      added.call.audio.sendTone(added.hz);
      await hearEachOther([a, c, added]);
      unasked([a.call, c.call]);
      assert.equal(await added.call.hangup(), 200);
      await hearEachOther([a, c]);
      await assert.rejects(farm.json('call', 'add', pair.caller.callId, 'nobody'), /no route/);
      await hearEachOther([a, c]);
      assert.equal(await a.call.hangup(), 200);
      await c.call.ended();
    });
  });
}

test('somebody is added to a room, whose node dies', { timeout: 120_000 }, async () => {
  const caller = await alice.invite(farm.uri('8001'));
  await caller.answered();
  caller.audio.sendTone(440);
  const inRoom = await comesIn(['conference', 'add', '8001', '64001'], 1100);
  await hearEachOther([{ call: caller, hz: 440 }, inRoom]);
  await farm.kill((await farm.json<{ node: string }[]>('conferences'))[0]?.node ?? '');
  await hearEachOther([{ call: caller, hz: 440 }, inRoom]);
  await farm.whole();
  assert.equal(await caller.hangup(), 200);
  await farm.json('conference', 'end', '8001');
  await inRoom.call.ended();
  await nothingLeft(farm);
});

/** A command that calls dave, who answers and sends this tone. */
async function comesIn(command: readonly string[], hz: number): Promise<Speaker> {
  const arriving = dave.incoming(10_000);
  const done = farm.json(...command);
  const call = await arriving;
  await call.answer();
  call.audio.sendTone(hz);
  await done;
  return { call, hz };
}
