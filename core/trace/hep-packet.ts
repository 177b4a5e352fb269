// Reads and writes HEPv3, the datagrams in which Kamailios send copies of their SIP messages. Pure.
//
// Layout: "HEP3", u16 total length, then chunks of u16 vendor, u16 type, u16 length (its own 6 bytes included), body;
// all big-endian. Chunk types are those of the HEP3 network protocol specification, vendor 0.
import { isIPv4, isIPv6 } from 'node:net';

const headerBytes = 6;
const chunkHeaderBytes = 6;
const magic = 0x48455033;

const chunk = {
  family: 1,
  protocol: 2,
  source4: 3,
  destination4: 4,
  source6: 5,
  destination6: 6,
  sourcePort: 7,
  destinationPort: 8,
  seconds: 9,
  microseconds: 10,
  payloadKind: 11,
  captureId: 12,
  authKey: 14,
  payload: 15,
  correlationId: 17,
} as const;

/** Body sizes of the chunks that have a fixed one, by type: 1 to 12. */
const fixedBytes: readonly (number | undefined)[] = [undefined, 1, 1, 4, 4, 16, 16, 2, 2, 4, 4, 1, 4];
const lastType = chunk.correlationId;

/** Payload kind of SIP. */
export const sipPayload = 1;

export interface HepEnd {
  readonly address: string;
  readonly port: number;
}

export interface HepPacket {
  /** The number of the sending instance, where it gave one. */
  readonly captureId: number | undefined;
  /** IP protocol number: 6 TCP, 17 UDP. */
  readonly protocol: number;
  readonly source: HepEnd;
  readonly destination: HepEnd;
  /** When the message passed, in ms since 1970 by the sender's clock, µs in the fraction. */
  readonly atMs: number;
  readonly payloadKind: number;
  readonly authKey: Buffer | undefined;
  readonly correlationId: string | undefined;
  /** Part of the datagram's memory. */
  readonly payload: Buffer;
}

/** Why a datagram was refused. */
export type HepRefusal = 'notHep' | 'truncated' | 'overlong' | 'badChunk' | 'missingChunk';

export type HepDecoded =
  { readonly ok: true; readonly packet: HepPacket } | { readonly ok: false; readonly refusal: HepRefusal };

/** Reads one datagram. Chunks of other vendors and of unknown types are skipped. Never throws. */
export function decodeHep(datagram: Buffer): HepDecoded {
  if (datagram.length < headerBytes || datagram.readUInt32BE(0) !== magic) return { ok: false, refusal: 'notHep' };
  const length = datagram.readUInt16BE(4);
  if (length > datagram.length) return { ok: false, refusal: 'truncated' };
  if (length < datagram.length) return { ok: false, refusal: 'overlong' };
  const chunks = findChunks(datagram);
  if (!chunks) return { ok: false, refusal: 'badChunk' };
  return readChunks(datagram, chunks);
}

/** Offset of each known chunk by its type, 0 where there is none; undefined where the chunks do not fit. */
function findChunks(datagram: Buffer): number[] | undefined {
  const found = new Array<number>(lastType + 1).fill(0);
  let offset = headerBytes;
  while (offset < datagram.length) {
    if (offset + chunkHeaderBytes > datagram.length) return undefined;
    const type = datagram.readUInt16BE(offset + 2);
    const length = datagram.readUInt16BE(offset + 4);
    if (length < chunkHeaderBytes || offset + length > datagram.length) return undefined;
    if (datagram.readUInt16BE(offset) === 0 && type <= lastType) {
      const bytes = fixedBytes[type];
      // Two chunks of one type: which of them counts would be a guess.
      if (found[type] !== 0 || (bytes !== undefined && length !== chunkHeaderBytes + bytes)) return undefined;
      found[type] = offset;
    }
    offset += length;
  }
  return found;
}

function readChunks(datagram: Buffer, chunks: readonly number[]): HepDecoded {
  /** Where a chunk's body begins, 0 where there is none. Numbers are read where they stand: a Buffer for each cost more than all else. */
  const at = (type: number): number => {
    const offset = chunks[type] ?? 0;
    return offset === 0 ? 0 : offset + chunkHeaderBytes;
  };
  const body = (type: number): Buffer | undefined => {
    const offset = chunks[type] ?? 0;
    return offset === 0
      ? undefined
      : datagram.subarray(offset + chunkHeaderBytes, offset + datagram.readUInt16BE(offset + 4));
  };
  const sourceAddress = readAddress(datagram, at(chunk.source4), at(chunk.source6));
  const destinationAddress = readAddress(datagram, at(chunk.destination4), at(chunk.destination6));
  const [sourcePort, destinationPort] = [at(chunk.sourcePort), at(chunk.destinationPort)];
  const [seconds, kind, captureId, protocol] = [
    at(chunk.seconds),
    at(chunk.payloadKind),
    at(chunk.captureId),
    at(chunk.protocol),
  ];
  const payload = body(chunk.payload);
  if (!sourceAddress || !destinationAddress || !sourcePort || !destinationPort || !seconds || !kind || !payload) {
    return { ok: false, refusal: 'missingChunk' };
  }
  const microseconds = at(chunk.microseconds) === 0 ? 0 : datagram.readUInt32BE(at(chunk.microseconds));
  if (microseconds > 999_999) return { ok: false, refusal: 'badChunk' };
  return {
    ok: true,
    packet: {
      captureId: captureId === 0 ? undefined : datagram.readUInt32BE(captureId),
      protocol: protocol === 0 ? 17 : datagram.readUInt8(protocol),
      source: { address: sourceAddress, port: datagram.readUInt16BE(sourcePort) },
      destination: { address: destinationAddress, port: datagram.readUInt16BE(destinationPort) },
      atMs: datagram.readUInt32BE(seconds) * 1000 + microseconds / 1000,
      payloadKind: datagram.readUInt8(kind),
      authKey: body(chunk.authKey),
      correlationId: body(chunk.correlationId)?.toString(),
      payload,
    },
  };
}

/** What a sender may leave out of a packet. */
export type HepFields = Pick<HepPacket, 'source' | 'destination' | 'atMs' | 'payload'> & {
  readonly [Name in 'captureId' | 'protocol' | 'payloadKind' | 'correlationId']?: HepPacket[Name];
} & { readonly authKey?: string };

/** Writes one datagram as Kamailio's siptrace does. Throws RangeError for what does not fit a datagram's fields. */
export function encodeHep(fields: HepFields): Buffer {
  const v6 = isIPv6(fields.source.address);
  const wholeMs = Math.floor(fields.atMs / 1000) * 1000;
  const parts = [
    uint8(chunk.family, v6 ? 10 : 2),
    uint8(chunk.protocol, fields.protocol ?? 17),
    formatChunk(v6 ? chunk.source6 : chunk.source4, parseAddress(fields.source.address)),
    formatChunk(v6 ? chunk.destination6 : chunk.destination4, parseAddress(fields.destination.address)),
    uint16(chunk.sourcePort, fields.source.port),
    uint16(chunk.destinationPort, fields.destination.port),
    uint32(chunk.seconds, wholeMs / 1000),
    uint32(chunk.microseconds, Math.min(999_999, Math.round((fields.atMs - wholeMs) * 1000))),
    uint8(chunk.payloadKind, fields.payloadKind ?? sipPayload),
    ...(fields.captureId === undefined ? [] : [uint32(chunk.captureId, fields.captureId)]),
    ...(fields.correlationId === undefined
      ? []
      : [formatChunk(chunk.correlationId, Buffer.from(fields.correlationId))]),
    ...(fields.authKey === undefined ? [] : [formatChunk(chunk.authKey, Buffer.from(fields.authKey))]),
    formatChunk(chunk.payload, fields.payload),
  ];
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32BE(magic, 0);
  header.writeUInt16BE(
    parts.reduce((sum, part) => sum + part.length, headerBytes),
    4,
  );
  return Buffer.concat([header, ...parts]);
}

/** One chunk; `vendor` 0 is the specification's own. */
export function formatChunk(type: number, body: Buffer, vendor = 0): Buffer {
  const header = Buffer.alloc(chunkHeaderBytes);
  header.writeUInt16BE(vendor, 0);
  header.writeUInt16BE(type, 2);
  header.writeUInt16BE(chunkHeaderBytes + body.length, 4);
  return Buffer.concat([header, body]);
}

function uint8(type: number, value: number): Buffer {
  return formatChunk(type, Buffer.of(value));
}

function uint16(type: number, value: number): Buffer {
  const body = Buffer.alloc(2);
  body.writeUInt16BE(value, 0);
  return formatChunk(type, body);
}

function uint32(type: number, value: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(value, 0);
  return formatChunk(type, body);
}

/** The IPv4 address at one offset, else the IPv6 address at the other; 0 for none. */
function readAddress(datagram: Buffer, at4: number, at6: number): string | undefined {
  if (at4 !== 0) return `${datagram[at4]}.${datagram[at4 + 1]}.${datagram[at4 + 2]}.${datagram[at4 + 3]}`;
  return at6 === 0 ? undefined : formatIPv6(datagram.subarray(at6, at6 + 16));
}

/** In the one form of RFC 5952 §4. */
function formatIPv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(':');
  const zeros = groups.match(/\b0(?::0)+\b/g) ?? [];
  const longest = zeros.reduce((best, run) => (run.length > best.length ? run : best), '');
  if (longest === '') return groups;
  const at = groups.search(new RegExp(`(?:^|:)${longest}(?:$|:)`));
  const start = groups[at] === ':' ? at + 1 : at;
  return `${groups.slice(0, start).replace(/:$/, '')}::${groups.slice(start + longest.length).replace(/^:/, '')}`;
}

/** 4 or 16 bytes. Throws RangeError for what is no IP address. */
export function parseAddress(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address) || address.includes('.')) throw new RangeError(`not an IP address: ${address}`);
  const [left = [], right] = address.split('::').map(half => (half === '' ? [] : half.split(':')));
  const zeros = right === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...new Array<string>(zeros).fill('0'), ...(right ?? [])];
  return Buffer.from(groups.map(group => group.padStart(4, '0')).join(''), 'hex');
}
