// Keeps the ways to phones behind NAT open: an OPTIONS to each, from the public VIP, often enough for a NAT not to forget them.
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:dgram';
import { ports } from '../farm/farm-plan.js';
import { openSipSocket } from '../host/sip-socket.js';
import type { Logger } from '../log.js';
import type { Binding } from './bindings.js';

export interface KeepAliveOptions {
  /** The daemon's own address; the Kamailios pass its OPTIONS on. */
  readonly address: string;
  readonly privateVip: string;
  readonly domain: string;
  readonly bindings: () => readonly Binding[];
  /** 0: none are sent. */
  readonly everySeconds: () => number;
  readonly log: Logger;
}

/** Nobody waits for the answers: whether the phone is there, its registration says. */
export class KeepAlive {
  readonly #options: KeepAliveOptions;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #tick = 0;

  constructor(options: KeepAliveOptions) {
    this.#options = options;
  }

  /** Throws ADDRESS_TAKEN. */
  async open(): Promise<void> {
    const { address, log } = this.#options;
    this.#socket = await openSipSocket(address, 'the keep-alive', log);
    this.#timer = setInterval(() => this.#send(), 1_000);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket?.close();
    this.#socket = undefined;
  }

  #send(): void {
    const { bindings, everySeconds, address, privateVip, domain } = this.#options;
    const socket = this.#socket;
    const seconds = everySeconds();
    if (!socket || seconds === 0) return;
    this.#tick++;
    for (const one of due(bindings(), this.#tick, seconds)) {
      const via = `${address}:${socket.address().port}`;
      socket.send(keepAlive(one, { via, privateVip, domain }), ports.sip, privateVip);
    }
  }
}

/** Of the phones behind NAT those whose turn it is: each once in `seconds` ticks, spread over all of them. Pure. */
export function due(bindings: readonly Binding[], tick: number, seconds: number): readonly Binding[] {
  // A connection is kept open by TCP itself.
  const silent = bindings.filter(({ flow, connection }) => flow !== null && connection === null);
  return silent.filter(({ contact }) => (tick + placeOf(contact)) % seconds === 0);
}

function placeOf(contact: string): number {
  return createHash('md5').update(contact).digest().readUInt16BE(0);
}

function keepAlive(
  { contact, path }: Binding,
  { via, privateVip, domain }: { readonly via: string; readonly privateVip: string; readonly domain: string },
): string {
  const token = randomBytes(8).toString('hex');
  return [
    `OPTIONS ${contact} SIP/2.0`,
    `Via: SIP/2.0/UDP ${via};branch=z9hG4bK${token};rport`,
    `Route: <sip:${privateVip}:${ports.sip};lr>`,
    ...path.map(value => `Route: ${value}`),
    'Max-Forwards: 70',
    `From: <sip:holdfast@${domain}>;tag=${token}`,
    `To: <${contact}>`,
    `Call-ID: ${token}@${domain}`,
    'CSeq: 1 OPTIONS',
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}
