// The codecs a test endpoint speaks: name, RTP facts, and fresh encoder and decoder state per stream.
import OpusScript from 'opusscript';
import { decodeALaw, decodeMuLaw, encodeALaw, encodeMuLaw } from './g711.js';
import { G722Decoder, G722Encoder } from './g722.js';

export type CodecName = 'PCMU' | 'PCMA' | 'G722' | 'opus';

export interface CodecFacts {
  readonly name: CodecName;
  readonly payloadType: number;
  /** As in a=rtpmap, after the name. */
  readonly rtpmap: string;
  readonly clockRate: number;
  readonly sampleRate: 8000 | 16000;
}

/** opus is coded from and to 16 kHz samples; its RTP clock is 48 kHz all the same (RFC 7587). G722's is 8 kHz (RFC 3551 §4.5.2). */
export const codecs: Readonly<Record<CodecName, CodecFacts>> = {
  PCMU: { name: 'PCMU', payloadType: 0, rtpmap: 'PCMU/8000', clockRate: 8000, sampleRate: 8000 },
  PCMA: { name: 'PCMA', payloadType: 8, rtpmap: 'PCMA/8000', clockRate: 8000, sampleRate: 8000 },
  G722: { name: 'G722', payloadType: 9, rtpmap: 'G722/8000', clockRate: 8000, sampleRate: 16000 },
  opus: { name: 'opus', payloadType: 107, rtpmap: 'opus/48000/2', clockRate: 48000, sampleRate: 16000 },
};

export interface AudioCodec {
  readonly facts: CodecFacts;
  /** One packet of 20 ms. */
  encode(samples: Int16Array): Buffer;
  decode(payload: Buffer): Int16Array;
  close(): void;
}

export function openCodec(name: CodecName): AudioCodec {
  const facts = codecs[name];
  switch (name) {
    case 'PCMU':
      return { facts, ...g711(encodeMuLaw, decodeMuLaw) };
    case 'PCMA':
      return { facts, ...g711(encodeALaw, decodeALaw) };
    case 'G722': {
      const encoder = new G722Encoder();
      const decoder = new G722Decoder();
      return {
        facts,
        encode: samples => encoder.encode(samples),
        decode: payload => decoder.decode(payload),
        close: () => undefined,
      };
    }
    case 'opus':
      return { facts, ...opus(facts.sampleRate) };
  }
}

function g711(encode: (sample: number) => number, decode: (code: number) => number): Omit<AudioCodec, 'facts'> {
  return {
    encode: samples => Buffer.from(Array.from(samples, encode)),
    decode: payload => Int16Array.from(payload, decode),
    close: () => undefined,
  };
}

function opus(sampleRate: 8000 | 16000): Omit<AudioCodec, 'facts'> {
  const script = new OpusScript(sampleRate, 1, OpusScript.Application.VOIP);
  return {
    encode: samples =>
      script.encode(Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength), samples.length),
    decode: payload => {
      const bytes = script.decode(payload);
      return new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    },
    close: () => script.delete(),
  };
}
