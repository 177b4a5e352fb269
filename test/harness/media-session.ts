// The offer/answer state of one call (RFC 3264) and the RTP stream that it steers.
import { randomInt } from 'node:crypto';
import { codecs as codecFacts, type CodecName } from './audio-codec.js';
import { RtpStream, type RtpAgreement } from './rtp-stream.js';
import {
  formatSdp,
  offeredCodecs,
  parseSdp,
  type Direction,
  type SdpAudio,
  type SdpCodec,
  type SdpModel,
} from './sdp.js';
import { newMaster, type SrtpKey } from './srtp.js';

export interface MediaOptions {
  /** In order of preference. Default PCMA. */
  readonly codecs?: readonly CodecName[];
  readonly direction?: Direction;
  /** Default true. */
  readonly telephoneEvent?: boolean;
  /** Whether audio (silence, until there is a tone) is sent as soon as SDP allows it, as a phone does. Default true. */
  readonly sends?: boolean;
  /** Whole media sections of an offer beside the audio: `m=` lines with what belongs to them. Default none. */
  readonly before?: readonly string[];
  readonly after?: readonly string[];
  /** What is offered: RTP, SRTP, or RTP that may be SRTP (RFC 8643). Whoever offers no SRTP takes none. Default rtp. */
  readonly security?: Security;
  /** Sequence number of the first packet. Default any. */
  readonly firstSequence?: number;
}

export type Security = keyof typeof transports;

const transports = {
  rtp: 'RTP/AVP',
  optional: 'RTP/AVP',
  srtp: 'RTP/SAVP',
  'srtp with feedback': 'RTP/SAVPF',
} as const;

/** What the other side may do to us, seen from our side. */
const mirrored: Readonly<Record<Direction, Direction>> = {
  sendrecv: 'sendrecv',
  sendonly: 'recvonly',
  recvonly: 'sendonly',
  inactive: 'inactive',
};

export class MediaSession {
  readonly stream: RtpStream;
  readonly #id = randomInt(1, 2 ** 31);
  readonly #origin: string;
  #version = 0;
  #local: SdpModel | undefined;
  #remote: SdpAudio | undefined;
  #options: Required<Omit<MediaOptions, 'firstSequence'>>;
  readonly #master = newMaster();

  private constructor(stream: RtpStream, options: MediaOptions) {
    this.stream = stream;
    this.#origin = stream.address;
    this.#options = {
      codecs: ['PCMA'],
      direction: 'sendrecv',
      telephoneEvent: true,
      sends: true,
      before: [],
      after: [],
      security: 'rtp',
      ...options,
    };
  }

  static async open(address: string, options: MediaOptions = {}): Promise<MediaSession> {
    return new MediaSession(await RtpStream.open(address, options.firstSequence), options);
  }

  /** The audio stream that the other side described last. */
  get remote(): SdpAudio | undefined {
    return this.#remote;
  }

  /** The direction that we last described. */
  get direction(): Direction | undefined {
    return this.#local?.direction;
  }

  /** From the next description on. */
  prefers(change: MediaOptions): void {
    this.#options = { ...this.#options, ...change };
  }

  offer(change: MediaOptions = {}): string {
    this.#options = { ...this.#options, ...change };
    const { codecs, direction, telephoneEvent, before, after, security } = this.#options;
    const audio = { direction, codecs: offeredCodecs(codecs, telephoneEvent), transport: transports[security] };
    return this.#describe({
      ...audio,
      ...{ before, after },
      ...(security === 'rtp' ? {} : { key: this.#key() }),
    });
  }

  /** Answers with the first offered codec that we speak, under the offer's number; throws where there is none. */
  answer(offer: string, change: MediaOptions = {}): string {
    this.#options = { ...this.#options, ...change };
    const session = parseSdp(offer);
    const { audio } = session;
    const wanted = this.#options.codecs as readonly string[];
    const codec = audio?.codecs.find(({ name }) => wanted.includes(name));
    if (!audio || !codec) throw new Error(`none of ${wanted.join(', ')} is offered in:\n${offer}`);
    const event = this.#options.telephoneEvent ? pickEvent(audio.codecs, codec.clockRate) : undefined;
    const at = session.media.findIndex(line => line.startsWith('audio '));
    const refused = session.media.flatMap((line, i) => (i === at ? [] : [{ at: i, line }]));
    const direction = narrow(mirrored[audio.direction], this.#options.direction);
    const key = this.#keyFor(audio);
    const text = this.#describe({
      ...{ direction, codecs: event ? [codec, event] : [codec], refused, transport: audio.transport },
      ...(key ? { key } : {}),
    });
    this.#agree(audio);
    return text;
  }

  /** Takes the answer to our offer. */
  accept(answer: string): void {
    const { audio } = parseSdp(answer);
    if (!audio) throw new Error(`no audio in the answer:\n${answer}`);
    this.#agree(audio);
  }

  close(): void {
    this.stream.close();
  }

  #key(tag = 1, suite: SrtpKey['suite'] = 'AES_CM_128_HMAC_SHA1_80'): SrtpKey {
    return { tag, suite, master: this.#master };
  }

  /** Ours, for the first of the offered keys; throws where SRTP is asked of a phone that has none. */
  #keyFor({ transport, keys: [offered] }: SdpAudio): SrtpKey | undefined {
    if (this.#options.security !== 'rtp' && offered) return this.#key(offered.tag, offered.suite);
    if (transport !== 'RTP/AVP') throw new Error(`${transport} is offered to a phone without SRTP`);
    return undefined;
  }

  /** The version rises with every change, and only then (RFC 3264 §8). */
  #describe(media: Omit<SdpModel, 'id' | 'version' | 'origin' | 'address' | 'port'>): string {
    const { address, port } = this.stream;
    const same = { id: this.#id, version: this.#version, origin: this.#origin, address, port, ...media };
    const changed = !this.#local || formatSdp(same) !== formatSdp(this.#local);
    this.#local = changed ? { ...same, version: ++this.#version } : same;
    return formatSdp(this.#local);
  }

  #agree(remote: SdpAudio): void {
    const local = this.#local?.codecs ?? [];
    const isAudio = ({ name }: SdpCodec): boolean => name in codecFacts;
    const codec = remote.codecs.find(item => isAudio(item) && local.some(({ name }) => name === item.name));
    this.#remote = remote;
    if (!codec) throw new Error(`no codec in common: ${JSON.stringify(remote.codecs)}`);
    const agreement: RtpAgreement = {
      remote: { address: remote.address, port: remote.port },
      codec: codec.name as CodecName,
      payloadType: codec.payloadType,
      receives: new Map(local.filter(isAudio).map(item => [item.payloadType, item.name as CodecName])),
      telephoneEvent: pickEvent(remote.codecs, codec.clockRate)?.payloadType,
      receivesTelephoneEvent: local.filter(({ name }) => name === 'telephone-event').map(item => item.payloadType),
    };
    const theirs = remote.keys.find(({ tag }) => tag === this.#local?.key?.tag);
    this.stream.secure(this.#local?.key, theirs);
    this.stream.agree(agreement);
    const direction = narrow(mirrored[remote.direction], this.#local?.direction ?? 'sendrecv');
    const maySend = remote.port !== 0 && (direction === 'sendrecv' || direction === 'sendonly');
    if (!maySend) this.stream.stop();
    else if (this.#options.sends) this.stream.start();
  }
}

function pickEvent(codecs: readonly SdpCodec[], clockRate: number): SdpCodec | undefined {
  const events = codecs.filter(({ name }) => name === 'telephone-event');
  return events.find(event => event.clockRate === clockRate) ?? events[0];
}

/** What both allow. */
function narrow(a: Direction, b: Direction): Direction {
  const sends = [a, b].every(direction => direction === 'sendrecv' || direction === 'sendonly');
  const receives = [a, b].every(direction => direction === 'sendrecv' || direction === 'recvonly');
  if (sends) return receives ? 'sendrecv' : 'sendonly';
  return receives ? 'recvonly' : 'inactive';
}
