// Calls whose call node dies: their sessions are re-created on another one, and the people on the phone stay where they were.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { localConfig } from '../harness/local-config.js';
import { PhonePair } from '../harness/phone-pair.js';
import { parseSdp } from '../harness/sdp.js';
import type { SipCall } from '../harness/sip-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

async function configFor(twoParty: string): Promise<string> {
  const config = await localConfig();
  return config.replace('twoParty: call-node', `twoParty: ${twoParty}`);
}

for (const twoParty of ['call-node', 'conference-farm']) {
  describe(`a call node dies under calls mixed on the ${twoParty}`, () => {
    let farm: Farm;
    let alice: SipEndpoint;
    let bob: SipEndpoint;

    before(async () => {
      farm = await Farm.up({ config: await configFor(twoParty) });
      alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
      bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
    });
    after(async () => {
      await closeAll(alice, bob);
      await farm.down();
    });
    afterEach(async () => {
      await nothingLeft(farm);
      await farm.whole();
    });

    /** The versions of `o=` that a phone was sent. */
    const versionsSeen = ({ callId }: SipCall): number[] =>
      [alice, bob]
        .flatMap(({ ladder }) => ladder.rows(callId))
        .filter(({ direction, message }) => direction === 'received' && message.body.startsWith('v=0'))
        .map(({ message }) => Number(parseSdp(message.body).version));

    test(
      'an RTPEngine dies: the media of its legs move to the other one, and later requests find it',
      { timeout: 60_000 },
      async t => {
        const pairs = [await PhonePair.call(farm, alice, bob), await PhonePair.call(farm, alice, bob)];
        const calls = pairs.flatMap(pair => pair.calls);
        const [victim, other] = calls[0]?.media.remote?.address === farm.host(81) ? [1, 2] : [2, 1];
        const lost = calls.filter(call => call.media.remote?.address === farm.host(80 + victim));
        const versions = new Map(lost.map(call => [call, Math.max(...versionsSeen(call))]));
        calls.forEach(call => call.audio.resetReport());
        process.kill(await farm.pid(`rtpengine-${victim}`), 'SIGKILL');
        await waitFor(
          'the legs of the dead engine to be re-INVITEd',
          () => lost.every(call => call.reinvites.length > 0),
          {
            deadlineMs: 10_000,
            describe: () => lost.map(call => call.ladder()).join('\n'),
          },
        );
        for (const pair of pairs) await pair.soundsAgain();
        t.diagnostic(`${lost.length} of ${calls.length} legs lost; silences ${silences(calls).join(', ')} ms`);
        assert.ok(
          calls.every(call => call.media.remote?.address === farm.host(80 + other)),
          'everybody is at the other engine',
        );
        for (const [call, before] of versions) {
          const now = versionsSeen(call).at(-1) ?? 0;
          assert.ok(now > before, `o= has version ${now} after ${before} (RFC 3264 §8)\n${call.ladder()}`);
        }
        for (const pair of pairs) await pair.holdAndResume();
        for (const pair of pairs) await pair.hangup('caller');
      },
    );

    test('all RTPEngines die at once: the media are back on those that come back', { timeout: 60_000 }, async t => {
      const pair = await PhonePair.call(farm, alice, bob);
      const { reinvites } = pair;
      pair.calls.forEach(call => call.audio.resetReport());
      const engines = ['rtpengine-1', 'rtpengine-2'];
      const pids = await Promise.all(engines.map(engine => farm.pid(engine)));
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      await pair.reinvited(reinvites);
      await pair.soundsAgain();
      t.diagnostic(`silences ${silences(pair.calls).join(', ')} ms`);
      await pair.holdAndResume();
      await pair.hangup('callee');
    });

    test('a call that rings while its RTPEngine dies has sound when it is answered', { timeout: 60_000 }, async () => {
      const { caller, callee } = await PhonePair.ring(alice, bob, farm.uri('70001'));
      callee.ring();
      // Both, so that it is the one that its offers went to.
      for (const engine of ['rtpengine-1', 'rtpengine-2']) {
        await farm.kill(engine);
        await farm.whole();
      }
      const pair = await PhonePair.answer(caller, callee, 10_000);
      await pair.hangup('caller');
    });

    for (const by of ['caller', 'callee'] as const) {
      test(
        `an answered call goes on, both phones can hold, resume, and the ${by} hangs up`,
        { timeout: 60_000 },
        async t => {
          const pair = await PhonePair.call(farm, alice, bob);
          const node = await pair.node(farm);
          const { reinvites } = pair;
          pair.calls.forEach(call => call.audio.resetReport());
          process.kill(await farm.pid(node), 'SIGKILL');
          await pair.reinvited(reinvites);
          await pair.soundsAgain();
          t.diagnostic(`silences of caller and callee: ${silences(pair.calls).join(', ')} ms`);
          assert.notEqual(await pair.node(farm), node);
          await pair.holdAndResume();
          await pair.hangup(by);
        },
      );
    }
  });
}

describe('a conference node dies', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;

  before(async () => {
    farm = await Farm.up({ config: await configFor('conference-farm') });
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
  });
  after(async () => {
    await closeAll(alice, bob);
    await farm.down();
  });

  test('everybody is in the same conference again, and no phone is re-INVITEd', { timeout: 60_000 }, async t => {
    const pairs = [await PhonePair.call(farm, alice, bob), await PhonePair.call(farm, alice, bob)];
    const calls = pairs.flatMap(pair => pair.calls);
    calls.forEach(call => call.audio.resetReport());
    const nodes = new Set((await farm.json<{ node: string }[]>('conferences')).map(one => one.node));
    for (const node of nodes) {
      await farm.kill(node);
      for (const pair of pairs) await pair.soundsAgain();
      await farm.whole();
    }
    t.diagnostic(`${nodes.size} nodes killed one after the other; silences ${silences(calls).join(', ')} ms`);
    assert.deepEqual(
      calls.map(call => call.reinvites.length),
      [0, 0, 0, 0],
    );
    for (const pair of pairs) await pair.hangup('callee');
    await nothingLeft(farm);
  });
});

function silences(calls: readonly SipCall[]): number[] {
  return calls.map(call => Math.round(call.audio.report().largestGapMs));
}
