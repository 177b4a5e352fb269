// G.711: µ-law and A-law, from ITU-T G.711.
import { muLawBias } from '../../asterisk/mu-law.js';

export { encodeMuLaw } from '../../asterisk/mu-law.js';

export function decodeMuLaw(code: number): number {
  const bits = ~code & 0xff;
  const exponent = (bits >> 4) & 7;
  const magnitude = ((((bits & 0x0f) << 3) + muLawBias) << exponent) - muLawBias;
  return bits & 0x80 ? -magnitude : magnitude;
}

export function encodeALaw(sample: number): number {
  const positive = sample >= 0;
  const magnitude = Math.min(positive ? sample : -sample - 1, 32767) >> 3;
  const exponent = Math.max(0, 27 - Math.clz32(magnitude));
  const mantissa = exponent < 1 ? (magnitude >> 1) & 0x0f : (magnitude >> exponent) & 0x0f;
  return ((exponent << 4) | mantissa) ^ (positive ? 0xd5 : 0x55);
}

export function decodeALaw(code: number): number {
  const bits = code ^ 0x55;
  const exponent = (bits >> 4) & 7;
  const mantissa = ((bits & 0x0f) << 4) + 8;
  const magnitude = exponent === 0 ? mantissa : (mantissa + 0x100) << (exponent - 1);
  return bits & 0x80 ? magnitude : -magnitude;
}
