// G.722 at 64 kbit/s, encoder and decoder, from ITU-T G.722 (block names are the Recommendation's): 16 kHz sampling.

const qmf = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11] as const;
const wl = [-60, -30, 58, 172, 334, 538, 1198, 3042] as const;
const rl42 = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0] as const;
const wh = [0, -214, 798] as const;
const rh2 = [2, 1, 2, 1] as const;
const qm2 = [-7408, -1616, 7408, 1616] as const;
// prettier-ignore
const ilb = [
  2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
  2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
] as const;
// prettier-ignore
const qm4 = [
  0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0,
] as const;
// prettier-ignore
const qm6 = [
  -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856,
  -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040, -728,
  24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
  4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
] as const;
// prettier-ignore
const q6 = [
  0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714,
  786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
] as const;

function saturate(value: number): number {
  return value > 32767 ? 32767 : value < -32768 ? -32768 : value;
}

function clamp(value: number, low: number, high: number): number {
  return value > high ? high : value < low ? low : value;
}

/** One sub-band's adaptive predictor and scale factor: blocks 3 and 4. */
class Band {
  /** SL or SH: the predictor's output. */
  s = 0;
  det: number;
  #nb = 0;
  #sz = 0;
  readonly #a = [0, 0, 0];
  readonly #b = [0, 0, 0, 0, 0, 0, 0];
  readonly #d = [0, 0, 0, 0, 0, 0, 0];
  readonly #p = [0, 0, 0];
  readonly #r = [0, 0, 0];
  readonly #maxNb: number;
  readonly #shift: number;

  constructor(kind: 'low' | 'high') {
    this.det = kind === 'low' ? 32 : 8;
    this.#maxNb = kind === 'low' ? 18432 : 22528;
    this.#shift = kind === 'low' ? 8 : 10;
  }

  /** LOGSCL/SCALEL or LOGSCH/SCALEH, then block 4 with the quantised difference `d`. */
  adapt(w: number, d: number): void {
    this.#nb = clamp(((this.#nb * 127) >> 7) + w, 0, this.#maxNb);
    const mantissa = ilb[(this.#nb >> 6) & 31] ?? 0;
    const exponent = this.#shift - (this.#nb >> 11);
    this.det = (exponent < 0 ? mantissa << -exponent : mantissa >> exponent) << 2;
    this.#predict(d);
  }

  #predict(difference: number): void {
    const [a, b, d, p, r] = [this.#a, this.#b, this.#d, this.#p, this.#r] as const;
    d[0] = difference;
    r[0] = saturate(this.s + difference);
    p[0] = saturate(this.#sz + difference);
    const sign = (values: readonly number[], i: number): number => (values[i] ?? 0) >> 15;

    // UPPOL2
    const same01 = sign(p, 0) === sign(p, 1);
    const wd1 = saturate(a[1]! << 2);
    const wd2 = Math.min(same01 ? -wd1 : wd1, 32767);
    const wd3 = (sign(p, 0) === sign(p, 2) ? 128 : -128) + (wd2 >> 7) + ((a[2]! * 32512) >> 15);
    const ap2 = clamp(wd3, -12288, 12288);
    // UPPOL1
    const limit = saturate(15360 - ap2);
    const ap1 = clamp(saturate((same01 ? 192 : -192) + ((a[1]! * 32640) >> 15)), -limit, limit);
    // UPZERO and DELAYA
    const step = difference === 0 ? 0 : 128;
    for (let i = 6; i > 0; i--) {
      const update = sign(d, i) === sign(d, 0) ? step : -step;
      b[i] = saturate(update + ((b[i]! * 32640) >> 15));
    }
    for (let i = 6; i > 0; i--) d[i] = d[i - 1]!;
    for (const line of [r, p]) {
      line[2] = line[1]!;
      line[1] = line[0]!;
    }
    a[2] = ap2;
    a[1] = ap1;
    // FILTEP, FILTEZ, PREDIC
    const pole = (i: 1 | 2): number => (a[i]! * saturate(r[i]! + r[i]!)) >> 15;
    let zero = 0;
    for (let i = 6; i > 0; i--) zero += (b[i]! * saturate(d[i]! + d[i]!)) >> 15;
    this.#sz = saturate(zero);
    this.s = saturate(saturate(pole(1) + pole(2)) + this.#sz);
  }
}

/** Takes 16 kHz samples, an even number of them, and gives one octet per two. */
export class G722Encoder {
  readonly #low = new Band('low');
  readonly #high = new Band('high');
  readonly #x = new Int32Array(24);

  encode(samples: Int16Array): Buffer {
    const out = Buffer.alloc(samples.length >> 1);
    for (let i = 0; i < out.length; i++) out[i] = this.#pair(samples[2 * i]!, samples[2 * i + 1]!);
    return out;
  }

  #pair(first: number, second: number): number {
    const x = this.#x;
    x.copyWithin(0, 2);
    x[22] = first;
    x[23] = second;
    let even = 0;
    let odd = 0;
    for (let i = 0; i < 12; i++) {
      odd += x[2 * i]! * qmf[i]!;
      even += x[2 * i + 1]! * qmf[11 - i]!;
    }
    return (this.#encodeHigh((even - odd) >> 14) << 6) | this.#encodeLow((even + odd) >> 14);
  }

  #encodeLow(xl: number): number {
    const band = this.#low;
    const el = saturate(xl - band.s);
    const magnitude = el >= 0 ? el : -(el + 1);
    let i = 1;
    while (i < 30 && magnitude >= (q6[i]! * band.det) >> 12) i++;
    // ILN and ILP of table 17, as the arithmetic that they are.
    const il = el < 0 ? (i < 3 ? 64 - i : 34 - i) : 62 - i;
    band.adapt(wl[rl42[il >> 2]!], (band.det * qm4[il >> 2]!) >> 15);
    return il;
  }

  #encodeHigh(xh: number): number {
    const band = this.#high;
    const eh = saturate(xh - band.s);
    const magnitude = eh >= 0 ? eh : -(eh + 1);
    const outer = magnitude >= (564 * band.det) >> 12;
    const ih = eh < 0 ? (outer ? 0 : 1) : outer ? 2 : 3;
    band.adapt(wh[rh2[ih]], (band.det * qm2[ih]) >> 15);
    return ih;
  }
}

/** Gives two 16 kHz samples per octet. */
export class G722Decoder {
  readonly #low = new Band('low');
  readonly #high = new Band('high');
  readonly #x = new Int32Array(24);

  decode(payload: Uint8Array): Int16Array {
    const out = new Int16Array(payload.length * 2);
    payload.forEach((code, i) => this.#octet(code, out, 2 * i));
    return out;
  }

  #octet(code: number, out: Int16Array, at: number): void {
    const rl = this.#decodeLow(code & 0x3f);
    const rh = this.#decodeHigh(code >> 6);
    const x = this.#x;
    x.copyWithin(0, 2);
    x[22] = rl + rh;
    x[23] = rl - rh;
    let first = 0;
    let second = 0;
    for (let i = 0; i < 12; i++) {
      second += x[2 * i]! * qmf[i]!;
      first += x[2 * i + 1]! * qmf[11 - i]!;
    }
    out[at] = saturate(first >> 11);
    out[at + 1] = saturate(second >> 11);
  }

  #decodeLow(il: number): number {
    const band = this.#low;
    const rl = clamp(band.s + ((band.det * qm6[il]!) >> 15), -16384, 16383);
    band.adapt(wl[rl42[il >> 2]!], (band.det * qm4[il >> 2]!) >> 15);
    return rl;
  }

  #decodeHigh(ih: number): number {
    const band = this.#high;
    const dh = (band.det * qm2[ih]!) >> 15;
    const rh = clamp(dh + band.s, -16384, 16383);
    band.adapt(wh[rh2[ih]!], dh);
    return rh;
  }
}
