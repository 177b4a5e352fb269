// Writes traced messages as a pcap file, as Wireshark, tcpdump and sngrep read it. Pure.
import { parseAddress } from './hep-packet.js';

export interface PcapPacket {
  /** ms since 1970, µs in the fraction. */
  readonly atMs: number;
  /** `address:port`, IPv6 in brackets. */
  readonly source: string;
  readonly destination: string;
  readonly payload: Buffer;
}

const magic = 0xa1b2c3d4;
/** LINKTYPE_RAW: each packet begins with its IP header. */
const rawIp = 101;
const longest = 0xffff;
const udp = 17;
const [ipv4Bytes, ipv6Bytes, udpBytes] = [20, 40, 8];

/** In order of time. What came over TCP or TLS is there as UDP, like a HEP copy: that is how it is told. */
export function writePcap(packets: readonly PcapPacket[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(magic, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(longest, 16);
  header.writeUInt32LE(rawIp, 20);
  const inOrder = [...packets].sort((a, b) => a.atMs - b.atMs);
  return Buffer.concat([header, ...inOrder.flatMap(record)]);
}

function record({ atMs, source, destination, payload }: PcapPacket): readonly Buffer[] {
  const packet = ipPacket(readEnd(source), readEnd(destination), payload).subarray(0, longest);
  const header = Buffer.alloc(16);
  const seconds = Math.floor(atMs / 1000);
  header.writeUInt32LE(seconds, 0);
  header.writeUInt32LE(Math.min(999_999, Math.round((atMs - seconds * 1000) * 1000)), 4);
  header.writeUInt32LE(packet.length, 8);
  header.writeUInt32LE(packet.length, 12);
  return [header, packet];
}

interface End {
  /** 4 or 16 bytes. */
  readonly address: Buffer;
  readonly port: number;
}

function readEnd(text: string): End {
  const colon = text.lastIndexOf(':');
  const address = text.slice(0, colon).replace(/^\[|\]$/g, '');
  return { address: parseAddress(address), port: Number(text.slice(colon + 1)) };
}

function ipPacket(from: End, to: End, payload: Buffer): Buffer {
  const segment = udpSegment(from, to, payload);
  return Buffer.concat([from.address.length === 4 ? ipv4(from, to, segment) : ipv6(from, to, segment), segment]);
}

/** RFC 768, with the checksum over the pseudo header. */
function udpSegment(from: End, to: End, payload: Buffer): Buffer {
  const header = Buffer.alloc(udpBytes);
  const length = Math.min(longest, udpBytes + payload.length);
  header.writeUInt16BE(from.port, 0);
  header.writeUInt16BE(to.port, 2);
  header.writeUInt16BE(length, 4);
  const pseudo = Buffer.from([0, udp, length >> 8, length & 0xff]);
  const sum = checksum(Buffer.concat([from.address, to.address, pseudo, header, payload]));
  // Zero would say that there is none.
  header.writeUInt16BE(sum === 0 ? 0xffff : sum, 6);
  return Buffer.concat([header, payload]);
}

/** RFC 791 §3.1. */
function ipv4(from: End, to: End, segment: Buffer): Buffer {
  const header = Buffer.alloc(ipv4Bytes);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(Math.min(longest, ipv4Bytes + segment.length), 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(udp, 9);
  from.address.copy(header, 12);
  to.address.copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return header;
}

/** RFC 8200 §3. */
function ipv6(from: End, to: End, segment: Buffer): Buffer {
  const header = Buffer.alloc(ipv6Bytes);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(Math.min(longest, segment.length), 4);
  header.writeUInt8(udp, 6);
  header.writeUInt8(64, 7);
  from.address.copy(header, 8);
  to.address.copy(header, 24);
  return header;
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}
