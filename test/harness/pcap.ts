// Captures a subnet's packets on the loopback interface and reads them back: who sent what to whom over UDP.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeRtp } from './rtp-packet.js';
import { waitFor } from './wait-for.js';

export interface CapturedPacket {
  /** Since the epoch. */
  readonly atMs: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly payload: Buffer;
}

export class Capture {
  readonly #tcpdump: ChildProcess;
  readonly #folder: string;
  #log: string;

  private constructor(tcpdump: ChildProcess, folder: string) {
    this.#tcpdump = tcpdump;
    this.#folder = folder;
    this.#log = '';
    tcpdump.stderr?.on('data', (chunk: Buffer) => (this.#log += chunk.toString()));
  }

  /** Captures UDP from or to the subnet (`127.64.7.0/24`); resolves when tcpdump listens. */
  static async start(cidr: string, filter = 'udp'): Promise<Capture> {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-capture-'));
    const file = join(folder, 'capture.pcap');
    // 64 MB of kernel buffer: a busy farm must not lose packets. Immediate mode: none is still in there at the end.
    const options = ['-i', 'lo', '-n', '-U', '--immediate-mode', '-s', '0', '-B', '65536', '-Z', 'root', '-w', file];
    const args = [...options, `net ${cidr} and (${filter})`];
    const capture = new Capture(spawn('tcpdump', args, { stdio: ['ignore', 'ignore', 'pipe'] }), folder);
    const failed = capture.#failure();
    await Promise.race([waitFor('tcpdump to listen', () => capture.#log.includes('listening on')), failed]);
    return capture;
  }

  /** Ends the capture and reads it. Throws when the kernel had to drop packets. */
  async stop(): Promise<readonly CapturedPacket[]> {
    // What was sent a moment ago may not have reached tcpdump.
    await sleep(300);
    await this.#end();
    const packets = readPcap(await readFile(join(this.#folder, 'capture.pcap')));
    await this.close();
    const dropped = Number(/(\d+) packets? dropped by kernel/.exec(this.#log)?.[1] ?? 0);
    if (dropped > 0) throw new Error(`the capture lost ${dropped} packets`);
    return packets;
  }

  /** Ends the capture and forgets it, if that was not done; for tests that fail before they read it. */
  async close(): Promise<void> {
    await this.#end();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #end(): Promise<void> {
    if (this.#tcpdump.exitCode !== null || this.#tcpdump.signalCode !== null) return;
    const exit = once(this.#tcpdump, 'exit');
    this.#tcpdump.kill('SIGINT');
    await exit;
  }

  async #failure(): Promise<never> {
    // `once` throws what 'error' bears, e.g. that there is no tcpdump.
    await once(this.#tcpdump, 'exit');
    throw new Error(`tcpdump ended: ${this.#log}`);
  }
}

/** Bytes before the IP header, by link type: Ethernet (also of the loopback interface), and none at all. */
const linkHeaderBytes: Readonly<Record<number, number>> = { 1: 14, 101: 0 };

/** The UDP packets of a pcap file of an Ethernet or loopback interface, or of bare IP packets. IP fragments after the first are left out. */
export function readPcap(file: Buffer): readonly CapturedPacket[] {
  return new PcapReader().push(file);
}

/** Reads a pcap file as it comes in, piece by piece. */
export class PcapReader {
  #rest: Buffer = Buffer.alloc(0);
  /** Fractions of a second in one millisecond; 0 before the file's header is there. */
  #perMs = 0;
  #linkBytes = 0;

  /** The packets that are whole now. */
  push(piece: Buffer): readonly CapturedPacket[] {
    this.#rest = Buffer.concat([this.#rest, piece]);
    if (this.#perMs === 0 && !this.#readHeader()) return [];
    const packets: CapturedPacket[] = [];
    let at = 0;
    for (let length; at + 16 <= this.#rest.length; at += 16 + length) {
      length = this.#rest.readUInt32LE(at + 8);
      if (at + 16 + length > this.#rest.length) break;
      const atMs = this.#rest.readUInt32LE(at) * 1000 + this.#rest.readUInt32LE(at + 4) / this.#perMs;
      const packet = readUdp(this.#rest.subarray(at + 16 + this.#linkBytes, at + 16 + length), atMs);
      if (packet) packets.push(packet);
    }
    this.#rest = this.#rest.subarray(at);
    return packets;
  }

  #readHeader(): boolean {
    if (this.#rest.length < 24) return false;
    const magic = this.#rest.readUInt32LE(0);
    const nanoseconds = magic === 0xa1b23c4d;
    if (magic !== 0xa1b2c3d4 && !nanoseconds) throw new Error('not a little-endian pcap file');
    const linkType = this.#rest.readUInt32LE(20);
    const linkBytes = linkHeaderBytes[linkType];
    if (linkBytes === undefined) throw new Error(`pcap link type ${linkType} is not known`);
    this.#linkBytes = linkBytes;
    this.#perMs = nanoseconds ? 1e6 : 1e3;
    this.#rest = this.#rest.subarray(24);
    return true;
  }
}

function readUdp(ip: Buffer, atMs: number): CapturedPacket | undefined {
  if (ip.length < 28 || ip[0]! >> 4 !== 4 || ip[9] !== 17) return undefined;
  if ((ip.readUInt16BE(6) & 0x1fff) !== 0) return undefined;
  const udp = ip.subarray(4 * (ip[0]! & 0x0f), ip.readUInt16BE(2));
  if (udp.length < 8) return undefined;
  return {
    atMs,
    source: ip.subarray(12, 16).join('.'),
    sourcePort: udp.readUInt16BE(0),
    destination: ip.subarray(16, 20).join('.'),
    destinationPort: udp.readUInt16BE(2),
    payload: udp.subarray(8),
  };
}

/** The packets whose payload holds one of the strings, each with what was found in it. */
export function searchPayloads(
  packets: readonly CapturedPacket[],
  strings: readonly string[],
): readonly { readonly found: string; readonly packet: CapturedPacket }[] {
  return packets.flatMap(packet => {
    const found = strings.find(string => packet.payload.includes(string));
    return found === undefined ? [] : [{ found, packet }];
  });
}

export interface RtpFlow {
  /** `address:port` */
  readonly from: string;
  readonly to: string;
  /** Packets by payload type. */
  readonly byPayloadType: Readonly<Record<number, number>>;
}

/** The RTP in a capture, by direction; SIP and other text is told from it by its first octet. */
export function rtpFlows(packets: readonly CapturedPacket[]): readonly RtpFlow[] {
  const flows = new Map<string, { from: string; to: string; byPayloadType: Record<number, number> }>();
  for (const packet of packets) {
    const rtp = decodeRtp(packet.payload);
    // SIP, ng and HEP ports; the engines' RTP ports start far above.
    if (!rtp || packet.destinationPort < 10_000 || packet.sourcePort < 10_000) continue;
    const from = `${packet.source}:${packet.sourcePort}`;
    const to = `${packet.destination}:${packet.destinationPort}`;
    const flow = flows.get(`${from}>${to}`) ?? { from, to, byPayloadType: {} };
    flow.byPayloadType[rtp.payloadType] = (flow.byPayloadType[rtp.payloadType] ?? 0) + 1;
    flows.set(`${from}>${to}`, flow);
  }
  return [...flows.values()];
}
