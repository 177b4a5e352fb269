// OPTIONS to gateways (RFC 3261 §11), from the public VIP through any Kamailio: by the way that calls take.
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:dgram';
import { ports } from '../farm/farm-plan.js';
import { openSipSocket } from '../host/sip-socket.js';
import type { Logger } from '../log.js';

export interface OptionsProbeOptions {
  /** The daemon's own address; the Kamailios pass its OPTIONS on. */
  readonly address: string;
  readonly privateVip: string;
  readonly domain: () => string;
  readonly log: Logger;
}

/** T1 and T2 of RFC 3261 §17.1.2.2, as far as an answer is waited for. */
const sendAtMs = [0, 500];
const waitMs = 1_500;

export class OptionsProbe {
  readonly #options: OptionsProbeOptions;
  readonly #waiting = new Map<string, (sipStatus: number) => void>();
  #socket: Socket | undefined;

  constructor(options: OptionsProbeOptions) {
    this.#options = options;
  }

  /** Throws ADDRESS_TAKEN. */
  async open(): Promise<void> {
    this.#socket = await openSipSocket(this.#options.address, 'the probe of gateways', this.#options.log);
    this.#socket.on('message', datagram => this.#receive(datagram));
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** The status of the final answer; null where none comes in time. */
  ask(gateway: string, path: readonly string[] = []): Promise<number | null> {
    const socket = this.#socket;
    if (!socket) return Promise.resolve(null);
    const token = randomBytes(8).toString('hex');
    const message = this.#message(gateway, path, token, socket.address().port);
    return new Promise(resolve => {
      const timers = sendAtMs.map(ms =>
        setTimeout(() => this.#socket?.send(message, ports.sip, this.#options.privateVip), ms),
      );
      const settle = (sipStatus: number | null): void => {
        for (const timer of [...timers, end]) clearTimeout(timer);
        this.#waiting.delete(token);
        resolve(sipStatus);
      };
      const end = setTimeout(() => settle(null), waitMs);
      this.#waiting.set(token, settle);
    });
  }

  #receive(datagram: Buffer): void {
    const text = datagram.toString('latin1');
    const status = Number(/^SIP\/2\.0 ([2-6]\d\d) /.exec(text)?.[1] ?? 0);
    const token = /^(?:Call-ID|i)\s*:\s*([0-9a-f]{16})@/im.exec(text)?.[1];
    if (status > 0 && token !== undefined) this.#waiting.get(token)?.(status);
  }

  #message(gateway: string, path: readonly string[], token: string, port: number): string {
    const { address, privateVip } = this.#options;
    const domain = this.#options.domain();
    return [
      `OPTIONS sip:${gateway} SIP/2.0`,
      `Via: SIP/2.0/UDP ${address}:${port};branch=z9hG4bK${token};rport`,
      ...[`<sip:${privateVip}:${ports.sip};lr>`, ...path].map(route => `Route: ${route}`),
      'Max-Forwards: 70',
      `From: <sip:holdfast@${domain}>;tag=${token}`,
      `To: <sip:${gateway}>`,
      `Call-ID: ${token}@${domain}`,
      'CSeq: 1 OPTIONS',
      'Accept: application/sdp',
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n');
  }
}
