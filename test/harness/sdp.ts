// Session descriptions of a test endpoint: one audio stream, RFC 3264 offers and answers. Pure.
import { codecs as codecFacts, type CodecName } from './audio-codec.js';
import { formatKey, parseKey, type SrtpKey } from './srtp.js';

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

export interface SdpCodec {
  readonly payloadType: number;
  /** e.g. `PCMA`, `telephone-event` */
  readonly name: string;
  readonly clockRate: number;
}

export interface SdpAudio {
  readonly address: string;
  readonly port: number;
  readonly direction: Direction;
  readonly codecs: readonly SdpCodec[];
  /** e.g. `RTP/AVP` */
  readonly transport: string;
  /** Of the suites that we know, in their order. */
  readonly keys: readonly SrtpKey[];
}

export interface SdpSession {
  /** The o= line's session id and version. */
  readonly id: string;
  readonly version: string;
  /** The first audio stream that is not refused, if there is one. */
  readonly audio: SdpAudio | undefined;
  /** Every m= line as it stands, e.g. `video 4000 RTP/AVP 96`. */
  readonly media: readonly string[];
}

const staticCodecs: Readonly<Record<number, string>> = {
  0: 'PCMU/8000',
  8: 'PCMA/8000',
  9: 'G722/8000',
  18: 'G729/8000',
};

export function parseSdp(text: string): SdpSession {
  const lines = text.split(/\r?\n/);
  const starts = lines.flatMap((line, i) => (line.startsWith('m=') ? [i] : []));
  const head = lines.slice(0, starts[0] ?? lines.length);
  const sections = starts.map((start, i) => lines.slice(start, starts[i + 1] ?? lines.length));
  const audios = sections.filter(section => section[0]?.startsWith('m=audio '));
  const audio = audios.find(section => !section[0]?.startsWith('m=audio 0 ')) ?? audios[0];
  const [, id = '', version = ''] = value(head, 'o=')?.split(' ') ?? [];
  return {
    id,
    version,
    audio: audio && parseAudio(audio, head),
    media: sections.map(section => section[0]?.slice(2) ?? ''),
  };
}

function parseAudio(section: readonly string[], head: readonly string[]): SdpAudio {
  const [, port = '0', transport = '', ...payloadTypes] = section[0]?.slice(2).trim().split(/\s+/) ?? [];
  const connection = value(section, 'c=') ?? value(head, 'c=') ?? '';
  const direction = (lines: readonly string[]): Direction | undefined =>
    lines.map(line => /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/.exec(line)?.[1]).find(Boolean) as
      Direction | undefined;
  return {
    address: connection.split(' ')[2]?.trim() ?? '',
    port: Number(port),
    direction: direction(section) ?? direction(head) ?? 'sendrecv',
    transport,
    keys: section.flatMap(line => parseKey(line) ?? []),
    codecs: payloadTypes.map(text => {
      const payloadType = Number(text);
      const rtpmap = value(section, `a=rtpmap:${text} `) ?? staticCodecs[payloadType] ?? 'unknown/0';
      const [name = '', clockRate = '0'] = rtpmap.split('/');
      return { payloadType, name: codecName(name), clockRate: Number(clockRate) };
    }),
  };
}

/** Names are compared without case (RFC 4855 §3): ours come back as we spell them. */
function codecName(name: string): string {
  return Object.keys(codecFacts).find(known => known.toLowerCase() === name.toLowerCase()) ?? name.toLowerCase();
}

function value(lines: readonly string[], prefix: string): string | undefined {
  return lines.find(line => line.startsWith(prefix))?.slice(prefix.length);
}

export interface SdpModel {
  readonly id: number;
  readonly version: number;
  /** Address in the o= line, which stays when the phone's changes (RFC 3264 §8). Default: the address. */
  readonly origin?: string;
  readonly address: string;
  readonly port: number;
  readonly direction: Direction;
  readonly codecs: readonly SdpCodec[];
  /** Default RTP/AVP. */
  readonly transport?: string;
  readonly key?: SrtpKey;
  /** m= lines of the offer that are refused, by their place; the audio stream takes the first free one. */
  readonly refused?: readonly { readonly at: number; readonly line: string }[];
  /** Of an offer: lines of other streams. */
  readonly before?: readonly string[];
  readonly after?: readonly string[];
}

export function formatSdp(model: SdpModel): string {
  const { address, origin = address, port, direction, codecs, transport = 'RTP/AVP', key, refused = [] } = model;
  const maps = codecs.flatMap(({ payloadType, name, clockRate }) => [
    `a=rtpmap:${payloadType} ${name}/${clockRate}${name === 'opus' ? '/2' : ''}`,
    ...(name === 'telephone-event' ? [`a=fmtp:${payloadType} 0-16`] : []),
  ]);
  const audio = [
    `m=audio ${port} ${transport} ${codecs.map(({ payloadType }) => payloadType).join(' ')}`,
    ...maps,
    ...(key ? [formatKey(key)] : []),
    'a=ptime:20',
    `a=${direction}`,
  ];
  const media: string[][] = [];
  for (const { at, line } of refused) media[at] = [`m=${line.replace(/^(\S+) \S+/, '$1 0')}`];
  const free = Array.from({ length: media.length + 1 }, (_, i) => i).find(i => !media[i]) ?? media.length;
  media[free] = audio;
  const head = ['v=0', `o=test ${model.id} ${model.version} IN IP4 ${origin}`, 's=-', `c=IN IP4 ${address}`, 't=0 0'];
  return [...head, ...(model.before ?? []), ...media.flat(), ...(model.after ?? []), ''].join('\r\n');
}

/** What an offer lists for these codecs: each with its usual number, then RFC 4733 digits at each clock rate. */
export function offeredCodecs(names: readonly CodecName[], telephoneEvent: boolean): readonly SdpCodec[] {
  const audio = names.map(name => {
    const { payloadType, clockRate } = codecFacts[name];
    return { payloadType, name, clockRate };
  });
  if (!telephoneEvent) return audio;
  const events: SdpCodec[] = [{ payloadType: 101, name: 'telephone-event', clockRate: 8000 }];
  // RFC 4733 §2.1: events run on the clock of the audio they are mixed into.
  if (names.includes('opus')) events.push({ payloadType: 110, name: 'telephone-event', clockRate: 48000 });
  return [...audio, ...events];
}
