// Any codec outside, PCMU only inside: tones sent, decoded and measured at both ends, the inside read from a capture.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { CodecName } from '../harness/audio-codec.js';
import { Farm } from '../harness/farm.js';
import { Capture, rtpFlows } from '../harness/pcap.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

const callerHz = 440;
const calleeHz = 660;

describe('audio through the farm', () => {
  let farm: Farm;
  before(async () => {
    farm = await Farm.up();
  });
  after(() => farm.down());

  const pairs: readonly (readonly [caller: CodecName, callee: CodecName])[] = [
    ['PCMA', 'PCMU'],
    ['G722', 'PCMA'],
    ['opus', 'G722'],
    ['PCMU', 'opus'],
  ];
  for (const [callerCodec, calleeCodec] of pairs) {
    test(
      `${callerCodec} calls ${calleeCodec}: both hear the other's tone, and the inside is PCMU`,
      { timeout: 60_000 },
      async t => {
        const alice = await SipEndpoint.open({ address: farm.host(200), codecs: [callerCodec] });
        const bob = await SipEndpoint.open({ address: farm.host(208), codecs: [calleeCodec] });
        t.after(async () => Promise.all([alice.close(), bob.close()]));
        bob.onInvite(async call => {
          await call.answer();
          call.audio.sendTone(calleeHz);
        });
        const capture = await Capture.start(farm.subnet.cidr);
        t.after(() => capture.close());
        const call = await alice.invite(farm.uri('70001'));
        await call.answered();
        call.audio.sendTone(callerHz);
        const callee = bob.calls.at(-1);
        assert.ok(callee);
        const [atCaller, atCallee] = await Promise.all([call.audio.hears(calleeHz), callee.audio.hears(callerHz)]);
        t.diagnostic(`caller heard ${atCaller.hz.toFixed(1)} Hz, callee heard ${atCallee.hz.toFixed(1)} Hz`);
        await call.audio.sendDigits('5');
        await waitFor('the digit to pass', () => callee.audio.report().digits === '5');
        await waitFor(
          'a second of audio each way',
          () => call.audio.report().packets > 50 && callee.audio.report().packets > 50,
        );
        await call.hangup();
        await callee.ended();
        const packets = await capture.stop();

        const asterisks = new Set(
          (await farm.status()).nodes.filter(node => node.farm === 'call').map(node => node.address),
        );
        const inside = rtpFlows(packets).filter(
          ({ from, to }) => asterisks.has(hostOf(from)) || asterisks.has(hostOf(to)),
        );
        assert.ok(inside.length >= 4, 'two legs, both ways');
        const types = new Map<string, number>();
        for (const { byPayloadType } of inside) {
          for (const [type, count] of Object.entries(byPayloadType)) types.set(type, (types.get(type) ?? 0) + count);
        }
        t.diagnostic(
          `inside: ${[...types].map(([type, count]) => `payload type ${type}: ${count} packets`).join(', ')}`,
        );
        assert.deepEqual(
          [...types.keys()].filter(type => type !== '0' && type !== '101'),
          [],
        );
        assert.ok((types.get('0') ?? 0) > 100);
      },
    );
  }
});

function hostOf(end: string): string {
  return end.replace(/:\d+$/, '');
}
