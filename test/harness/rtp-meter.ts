// Measures the RTP that arrives somewhere: how much, how often, which digits, and which tone.
import { decodeTelephoneEvent, type RtpPacket } from './rtp-packet.js';
import { dominantTone, isTone, sharesOf, type Heard } from './tone.js';
import { waitFor } from './wait-for.js';

/** What arrived since the start, or since `reset` was called. */
export interface RtpReport {
  readonly packets: number;
  readonly byPayloadType: Readonly<Record<number, number>>;
  /** The longest time without a packet, between two packets. */
  readonly largestGapMs: number;
  /** How long ago the last packet came; Infinity before the first. */
  readonly silentForMs: number;
  /** RFC 4733 digits, each once. */
  readonly digits: string;
  /** `address:port` of every sender. */
  readonly sources: readonly string[];
  readonly ssrcs: readonly number[];
}

/** The audio of one packet. */
interface Chunk {
  readonly atMs: number;
  readonly samples: Int16Array;
  readonly sampleRate: number;
}

/** What is kept: three seconds, where a packet is 20 ms. */
const mostChunks = 150;
/** What a tone is looked for in, at the least: 100 ms. */
const leastChunks = 5;

/** Counts packets and keeps the last stretch of audio. */
export class RtpMeter {
  #packets = 0;
  #byPayloadType = new Map<number, number>();
  #largestGapMs = 0;
  #lastMs: number | undefined;
  #digits = '';
  #events = new Set<string>();
  #sources = new Set<string>();
  #ssrcs = new Set<number>();
  #captured: Int16Array[] | undefined;
  #audio: Chunk[] = [];
  /** How many there were so far. */
  #chunks = 0;

  packet(packet: RtpPacket, source: string, isEvent: boolean): void {
    const now = performance.now();
    if (this.#lastMs !== undefined) this.#largestGapMs = Math.max(this.#largestGapMs, now - this.#lastMs);
    this.#lastMs = now;
    this.#packets++;
    this.#byPayloadType.set(packet.payloadType, (this.#byPayloadType.get(packet.payloadType) ?? 0) + 1);
    this.#sources.add(source);
    this.#ssrcs.add(packet.ssrc);
    if (isEvent) this.#event(packet);
  }

  audio(samples: Int16Array, sampleRate: number): void {
    const atMs = performance.now();
    this.#audio.push({ atMs, samples, sampleRate });
    this.#chunks++;
    if (this.#audio.length > mostChunks) this.#audio.shift();
    this.#captured?.push(samples);
  }

  /** Keeps all audio from now on: what is short is not missed, however late it is looked at. Gives what there is by then. */
  capture(): () => Int16Array {
    const captured: Int16Array[] = [];
    this.#captured = captured;
    return () => Int16Array.from(captured.flatMap(samples => [...samples]));
  }

  heard(): Heard | undefined {
    const recent = this.#recent();
    return recent && dominantTone(recent.samples, recent.sampleRate);
  }

  /** Waits until this tone is heard, clean and within 10 Hz, in what comes from now on: what came before is of the time before a death, or an order. */
  async hears(hz: number, where: string, deadlineMs = 15_000): Promise<Heard> {
    let seen = this.#chunks;
    const check = (): Heard | undefined => {
      // Stretch by stretch: what is short is not missed by whoever looks late.
      for (; this.#chunks - seen >= leastChunks; seen += leastChunks) {
        const stretch = samplesOf(this.#audio.slice(seen - this.#chunks).slice(0, leastChunks));
        const heard = stretch && dominantTone(stretch.samples, stretch.sampleRate);
        if (isTone(heard, hz)) return heard;
      }
      return undefined;
    };
    const describe = (): string => `heard ${JSON.stringify(this.heard())}; ${JSON.stringify(this.report())}`;
    return waitFor(`${hz} Hz at ${where}`, check, { deadlineMs, everyMs: 40, describe });
  }

  /** Waits until some tones are heard together, each as loud as the others, and some are not, in what comes from now on. */
  async hearsMix(
    present: readonly number[],
    absent: readonly number[],
    where: string,
    deadlineMs = 15_000,
  ): Promise<void> {
    const sinceMs = performance.now();
    const shares = (tones: readonly number[]): number[] => {
      const recent = this.#recent(sinceMs);
      return recent ? sharesOf(tones, recent.samples, recent.sampleRate) : [];
    };
    const isIt = (): boolean => {
      const [heard, others] = [shares(present), shares(absent)];
      const enough = 0.6 / present.length;
      return heard.length > 0 && heard.every(share => share > enough) && others.every(share => share < 0.02);
    };
    const describe = (): string =>
      `heard ${shares(present).join()} of them, ${shares(absent).join()} of ${absent.join()}; ${JSON.stringify(this.report())}`;
    await waitFor(`${present.join()} Hz at ${where}`, isIt, { deadlineMs, everyMs: 40, describe });
  }

  report(): RtpReport {
    return {
      packets: this.#packets,
      byPayloadType: Object.fromEntries(this.#byPayloadType),
      largestGapMs: Math.round(this.#largestGapMs),
      silentForMs: this.#lastMs === undefined ? Infinity : Math.round(performance.now() - this.#lastMs),
      digits: this.#digits,
      sources: [...this.#sources],
      ssrcs: [...this.#ssrcs],
    };
  }

  reset(): void {
    this.#packets = this.#largestGapMs = 0;
    this.#digits = '';
    for (const seen of [this.#byPayloadType, this.#sources, this.#ssrcs]) seen.clear();
  }

  /** All packets of one event bear its start as timestamp. */
  #event(packet: RtpPacket): void {
    const event = decodeTelephoneEvent(packet.payload);
    const id = `${packet.ssrc}/${packet.timestamp}`;
    if (!event || this.#events.has(id)) return;
    this.#events.add(id);
    this.#digits += event.digit;
  }

  #recent(sinceMs = 0): Omit<Chunk, 'atMs'> | undefined {
    const since = Math.max(sinceMs, performance.now() - 250);
    return samplesOf(this.#audio.filter(({ atMs }) => atMs > since).slice(-10));
  }
}

/** Those of the last one's sample rate; undefined where they are too few to tell a tone. */
function samplesOf(chunks: readonly Chunk[]): Omit<Chunk, 'atMs'> | undefined {
  const sampleRate = chunks.at(-1)?.sampleRate;
  const alike = chunks.filter(chunk => chunk.sampleRate === sampleRate);
  if (sampleRate === undefined || alike.length < leastChunks) return undefined;
  return { samples: Int16Array.from(alike.flatMap(chunk => [...chunk.samples])), sampleRate };
}
