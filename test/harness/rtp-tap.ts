// Hears what a phone hears that keeps no record of it: the PCMU and PCMA packets that arrive at its ports, off the wire.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openCodec, type AudioCodec } from './audio-codec.js';
import { PcapReader, type CapturedPacket } from './pcap.js';
import { RtpMeter } from './rtp-meter.js';
import { decodeRtp } from './rtp-packet.js';
import { waitFor } from './wait-for.js';

export interface PortRange {
  readonly from: number;
  readonly to: number;
}

export class RtpTap {
  readonly meter = new RtpMeter();
  readonly #tcpdump: ChildProcess;
  readonly #codecs: ReadonlyMap<number, AudioCodec> = new Map([
    [0, openCodec('PCMU')],
    [8, openCodec('PCMA')],
  ]);

  private constructor(tcpdump: ChildProcess) {
    this.#tcpdump = tcpdump;
    const reader = new PcapReader();
    tcpdump.stdout?.on('data', (piece: Buffer) => reader.push(piece).forEach(packet => this.#take(packet)));
  }

  /** What the senders of a subnet send to the ports, on whichever address a phone that binds no address takes it. */
  static async start(cidr: string, { from, to }: PortRange): Promise<RtpTap> {
    const options = ['-i', 'lo', '-n', '-U', '--immediate-mode', '-s', '0', '-Z', 'root', '-w', '-'];
    const args = [...options, `udp and src net ${cidr} and dst portrange ${from}-${to}`];
    const tcpdump = spawn('tcpdump', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    tcpdump.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
    const failed = once(tcpdump, 'exit').then(() => Promise.reject(new Error(`tcpdump ended: ${log}`)));
    // Once it listens, its end is ours.
    failed.catch(() => undefined);
    const tap = new RtpTap(tcpdump);
    await Promise.race([waitFor('tcpdump to listen', () => log.includes('listening on')), failed]);
    return tap;
  }

  async stop(): Promise<void> {
    const exit = once(this.#tcpdump, 'exit');
    this.#tcpdump.kill('SIGINT');
    await exit;
  }

  #take({ payload, source, sourcePort, destinationPort }: CapturedPacket): void {
    // Odd ports are RTCP's (RFC 3550 §11).
    const packet = destinationPort % 2 === 0 ? decodeRtp(payload) : undefined;
    const codec = packet && this.#codecs.get(packet.payloadType);
    if (!codec) return;
    this.meter.packet(packet, `${source}:${sourcePort}`, false);
    this.meter.audio(codec.decode(packet.payload), codec.facts.sampleRate);
  }
}
