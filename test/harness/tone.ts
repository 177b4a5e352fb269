// Makes tones and tells which tone is in a stretch of samples (Goertzel).

/** A sine that goes on where the last stretch ended. 0 Hz is silence. */
export class ToneSource {
  #phase = 0;

  samples(hz: number, sampleRate: number, count: number, amplitude = 8000): Int16Array {
    const out = new Int16Array(count);
    if (hz === 0) return out;
    const step = (2 * Math.PI * hz) / sampleRate;
    for (let i = 0; i < count; i++, this.#phase += step) out[i] = Math.round(amplitude * Math.sin(this.#phase));
    this.#phase %= 2 * Math.PI;
    return out;
  }
}

export interface Heard {
  /** The strongest frequency, to about 1 Hz. */
  readonly hz: number;
  /** Its share of the whole power: near 1 for a clean tone. */
  readonly purity: number;
}

/** The strongest tone between 100 and 3400 Hz; undefined for silence. 100 ms of samples or more. */
export function dominantTone(samples: Int16Array, sampleRate: number): Heard | undefined {
  let power = 0;
  for (const sample of samples) power += sample * sample;
  // Less than about -60 dBov is comfort noise, or nothing.
  if (power / Math.max(samples.length, 1) < 30 * 30) return undefined;
  const resolution = sampleRate / samples.length;
  const coarse = strongest(samples, sampleRate, 100, 3400, resolution);
  const fine = strongest(samples, sampleRate, coarse.hz - resolution, coarse.hz + resolution, 1);
  // A sine of amplitude A has Goertzel power (A·n/2)² and total power n·A²/2.
  return { hz: fine.hz, purity: (2 * fine.power) / (samples.length * power) };
}

/** Whether this is the tone: clean, and within 10 Hz. */
export function isTone(heard: Heard | undefined, hz: number): boolean {
  return heard !== undefined && Math.abs(heard.hz - hz) <= 10 && heard.purity > 0.7;
}

/** Each tone's share of the whole power; all 0 for silence. */
export function sharesOf(tones: readonly number[], samples: Int16Array, sampleRate: number): number[] {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0);
  if (power === 0) return tones.map(() => 0);
  return tones.map(hz => (2 * goertzel(samples, sampleRate, hz)) / (samples.length * power));
}

/** When a tone is first heard by itself for 100 ms, in ms of these samples; undefined: nowhere. */
export function firstHeard(hz: number, samples: Int16Array, sampleRate: number): number | undefined {
  const [length, step] = [sampleRate / 10, sampleRate / 50];
  for (let at = 0; at + length <= samples.length; at += step) {
    const window = samples.subarray(at, at + length);
    const power = window.reduce((sum, sample) => sum + sample * sample, 0);
    if (power / length > 30 * 30 && (2 * goertzel(window, sampleRate, hz)) / (length * power) > 0.6)
      return (at * 1000) / sampleRate;
  }
  return undefined;
}

function strongest(samples: Int16Array, sampleRate: number, from: number, to: number, step: number) {
  let best = { hz: from, power: 0 };
  for (let hz = from; hz <= to; hz += step) {
    const power = goertzel(samples, sampleRate, hz);
    if (power > best.power) best = { hz, power };
  }
  return best;
}

/** The power of one frequency in the samples. */
export function goertzel(samples: Int16Array, sampleRate: number, hz: number): number {
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / sampleRate);
  let [before, last] = [0, 0];
  for (const sample of samples) [before, last] = [last, sample + coefficient * last - before];
  return last * last + before * before - coefficient * last * before;
}
