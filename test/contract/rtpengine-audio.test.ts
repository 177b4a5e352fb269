// The test endpoints' audio against the real rtpengine: any codec outside, PCMU and telephone-event only inside.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Client } from 'rtpengine-client';
import { codecs, type CodecName } from '../harness/audio-codec.js';
import { freeSubnet, type Subnet } from '../harness/free-subnet.js';
import { MediaSession } from '../harness/media-session.js';
import { startRtpengine, type RtpengineServer } from '../harness/rtpengine-server.js';
import { waitFor } from '../harness/wait-for.js';

describe('audio through rtpengine', () => {
  let subnet: Subnet;
  let engine: RtpengineServer;
  let ng: Client;

  before(async () => {
    subnet = await freeSubnet();
    const [address, external] = [subnet.host(91), subnet.host(81)];
    engine = await startRtpengine({ name: 'rtpengine-1', farm: 'rtpengine', index: 1, address, external });
    ng = new Client({ timeout: 5_000, rejectOnError: true });
    ng.on('error', (error: Error) => assert.ifError(error));
  });
  after(async () => {
    ng.close();
    await engine.stop();
  });

  async function command(name: 'offer' | 'answer', args: Readonly<Record<string, unknown>>): Promise<string> {
    const reply = (await ng[name](2223, subnet.host(91), args)) as { readonly sdp: string };
    return reply.sdp;
  }

  for (const codec of Object.keys(codecs) as CodecName[]) {
    it(`carries a tone each way, and digits: ${codec} outside`, async t => {
      const outside = await MediaSession.open(subnet.host(200), { codecs: [codec] });
      t.after(() => outside.close());
      const inside = await MediaSession.open(subnet.host(31), { codecs: ['PCMU'] });
      t.after(() => inside.close());
      const ids = { 'call-id': `call-${codec}`, 'from-tag': 'outside', replace: ['origin'] };
      const flags = codec === 'PCMU' ? [] : ['codec-mask-all', 'codec-transcode-PCMU', 'codec-offer-telephone-event'];
      const direction = ['ext', 'int'];
      const offer = await command('offer', { ...ids, sdp: outside.offer(), direction, flags });
      outside.accept(await command('answer', { ...ids, 'to-tag': 'inside', sdp: inside.answer(offer) }));
      outside.stream.sendTone(440);
      inside.stream.sendTone(880);
      await Promise.all([inside.stream.hears(440), outside.stream.hears(880)]);
      await outside.stream.sendDigits('42#');
      await inside.stream.sendDigits('7');
      const digits = (): string => `${inside.stream.report().digits} ${outside.stream.report().digits}`;
      await waitFor('the digits of both', () => digits() === '42# 7', { describe: digits });
      const { byPayloadType, sources } = inside.stream.report();
      assert.deepEqual(Object.keys(byPayloadType), ['0', '101']);
      assert.equal(sources.length, 1);
      assert.equal(outside.stream.codec, codec);
      await ng.delete(2223, subnet.host(91), { 'call-id': ids['call-id'] });
    });
  }
});
