// The test kit's own codecs and tone meter: what a call's audio is judged by.
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, it } from 'node:test';
import { codecs, openCodec, type CodecName } from '../harness/audio-codec.js';
import { closeAll } from '../harness/close-all.js';
import { decodeALaw, decodeMuLaw, encodeALaw, encodeMuLaw } from '../harness/g711.js';
import { G722Decoder, G722Encoder } from '../harness/g722.js';
import { decodeRtp, decodeTelephoneEvent, encodeRtp, encodeTelephoneEvent } from '../harness/rtp-packet.js';
import { RtpStream } from '../harness/rtp-stream.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { dominantTone, ToneSource } from '../harness/tone.js';
import { waitFor } from '../harness/wait-for.js';

describe('G.711', () => {
  it('has the codes that G.711 gives for silence and full scale', () => {
    assert.deepEqual([0, 32767, -32768].map(encodeMuLaw), [0xff, 0x80, 0x00]);
    assert.deepEqual([0, 32767, -32768].map(encodeALaw), [0xd5, 0xaa, 0x2a]);
    assert.deepEqual([0xff, 0x80, 0x00].map(decodeMuLaw), [0, 32124, -32124]);
    assert.deepEqual([0xd5, 0xaa, 0x2a].map(decodeALaw), [8, 32256, -32256]);
  });

  it('gives every code back', () => {
    for (let code = 0; code < 256; code++) {
      assert.equal(encodeALaw(decodeALaw(code)), code);
      // µ-law has two zeros.
      if (code !== 0x7f) assert.equal(encodeMuLaw(decodeMuLaw(code)), code);
    }
  });
});

describe('G.722', () => {
  /** Samples and the octets that another implementation (spandsp 0.0.6) makes of them. */
  const samples = Int16Array.from({ length: 64 }, (_, i) => Math.round(12000 * Math.sin(i * i * 0.02)));
  const octets = 'fade77b76c8e20a0a06060a58c079ea5398a2dee8a279138bb1fbf3a9c361ab8';
  const decoded =
    '0000ffffffff00000000ffffffff0000ffffffff000002000000fcfffcffffff0000f7fffeff04000600e7ffefff1a005d009400ec0032018402f4040c07990a8113591a9e10bdf6b2de38d429d7cce8bb082527f32f821b87f3cad4f5d91ffd7923622c1e0334cf76dd181e122ab9f5a1ded0fc91117006a3fa5afb7cff2401';

  it('encodes as others do', () => {
    assert.equal(new G722Encoder().encode(samples).toString('hex'), octets);
  });

  it('decodes as others do', () => {
    const out = new G722Decoder().decode(Buffer.from(octets, 'hex'));
    assert.equal(Buffer.from(out.buffer).toString('hex'), decoded);
  });
});

describe('every codec', () => {
  for (const name of Object.keys(codecs) as CodecName[]) {
    it(`carries a tone: ${name}`, () => {
      const codec = openCodec(name);
      const { sampleRate } = codec.facts;
      const tone = new ToneSource();
      const out: number[] = [];
      for (let i = 0; i < 25; i++)
        out.push(...codec.decode(codec.encode(tone.samples(440, sampleRate, sampleRate / 50))));
      codec.close();
      assert.equal(out.length, sampleRate / 2);
      const heard = dominantTone(Int16Array.from(out).slice(-sampleRate / 4), sampleRate);
      assert.ok(heard && Math.abs(heard.hz - 440) <= 2 && heard.purity > 0.9, JSON.stringify(heard));
    });
  }
});

describe('tone meter', () => {
  it('tells the stronger of two tones, and silence', () => {
    const loud = new ToneSource().samples(1234, 8000, 1600);
    const soft = new ToneSource().samples(440, 8000, 1600, 2000);
    const heard = dominantTone(
      loud.map((sample, i) => sample + soft[i]!),
      8000,
    );
    assert.ok(heard && Math.abs(heard.hz - 1234) <= 1 && heard.purity > 0.9, JSON.stringify(heard));
    assert.equal(dominantTone(new Int16Array(1600), 8000), undefined);
  });
});

describe('RTP', () => {
  it('is read back as written, and RTCP is no RTP', () => {
    const payload = Buffer.from('abc');
    const packet = { payloadType: 101, marker: true, sequence: 65535, timestamp: 2 ** 32 - 1, ssrc: 7, payload };
    assert.deepEqual(decodeRtp(encodeRtp(packet)), packet);
    assert.equal(decodeRtp(Buffer.from('80c80006000000000000000000000000', 'hex')), undefined);
    const event = { digit: '#', end: true, duration: 800 };
    assert.deepEqual(decodeTelephoneEvent(encodeTelephoneEvent(event)), event);
  });

  it('carries tones and digits between two streams, and gaps are measured', async t => {
    const subnet = await freeSubnet();
    const [a, b] = [await RtpStream.open(subnet.host(200)), await RtpStream.open(subnet.host(201))];
    t.after(() => closeAll(a, b));
    const agreed = { codec: 'PCMA', payloadType: 8, receives: new Map([[8, 'PCMA'] as const]) } as const;
    const events = { telephoneEvent: 101, receivesTelephoneEvent: [101] };
    a.agree({ remote: b, ...agreed, ...events });
    b.agree({ remote: a, ...agreed, ...events });
    const standstill = monitorEventLoopDelay();
    standstill.enable();
    a.sendTone(440);
    b.sendTone(880);
    await Promise.all([b.hears(440), a.hears(880)]);
    const lost = b.lostFrom(a);
    await a.sendDigits('19*#');
    await waitFor('the digits', () => b.report().digits === '19*#');
    assert.deepEqual(Object.keys(b.report().byPayloadType), ['8', '101']);
    // Both streams are in this process: it is silent for as long as that stands still.
    const stoodStillMs = standstill.max / 1e6;
    assert.ok(b.report().largestGapMs < 150 + stoodStillMs, `${b.report().largestGapMs}, ${stoodStillMs} of it ours`);
    await waitFor('all that was sent', () => lost() < 3);
    a.stop();
    await waitFor('silence', () => b.report().silentForMs >= 200);
    assert.equal(b.heard(), undefined);
    a.start();
    await b.hears(440);
    assert.ok(b.report().largestGapMs >= 190, JSON.stringify(b.report()));
    a.sendTone(0);
    await waitFor('silence', () => b.heard() === undefined);
    await assert.rejects(b.hears(440, 300), /waited \d+ ms for 440 Hz/, 'what is over is not heard');
  });
});
