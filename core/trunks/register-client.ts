// Sends REGISTERs from the public VIP through any Kamailio, and waits for their answers (RFC 3261 §17.1.2).
import type { Socket } from 'node:dgram';
import { ports } from '../farm/farm-plan.js';
import { openSipSocket } from '../host/sip-socket.js';
import type { Logger } from '../log.js';
import { formatRegister, readRegisterAnswer, type RegisterAnswer, type RegisterRequest } from './register-message.js';

export interface RegisterClientOptions {
  /** The daemon's own address: the Kamailios give it the answers, on SIP's port. */
  readonly address: string;
  readonly privateVip: string;
  readonly log: Logger;
}

/** Timer E, as far as an answer is waited for: long enough for a registrar that is busy, not so long that the next one waits for ever. */
const sendAtMs = [0, 500, 1_500, 3_500, 7_500];
const waitMs = 12_000;

interface Waiting {
  readonly cseq: number;
  readonly contact: string;
  readonly settle: (answer: RegisterAnswer | null) => void;
}

export class RegisterClient {
  readonly #options: RegisterClientOptions;
  readonly #waiting = new Map<string, Waiting>();
  #socket: Socket | undefined;

  constructor(options: RegisterClientOptions) {
    this.#options = options;
  }

  /** Throws ADDRESS_TAKEN. */
  async open(): Promise<void> {
    const { address, log } = this.#options;
    this.#socket = await openSipSocket(address, 'the registration of trunks', log, ports.sip);
    this.#socket.on('message', datagram => this.#receive(datagram));
  }

  close(): void {
    for (const { settle } of this.#waiting.values()) settle(null);
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** The final answer; null where none comes in time. One at a time of each Call-ID. */
  ask(request: RegisterRequest): Promise<RegisterAnswer | null> {
    const socket = this.#socket;
    if (!socket) return Promise.resolve(null);
    const { address, privateVip } = this.#options;
    const { callId, cseq, contact } = request;
    const message = formatRegister(request, `${address}:${ports.sip}`);
    return new Promise(resolve => {
      const timers = sendAtMs.map(ms => setTimeout(() => this.#socket?.send(message, ports.sip, privateVip), ms));
      const settle = (answer: RegisterAnswer | null): void => {
        for (const timer of [...timers, end]) clearTimeout(timer);
        this.#waiting.delete(callId);
        resolve(answer);
      };
      const end = setTimeout(() => settle(null), waitMs);
      this.#waiting.set(callId, { cseq, contact, settle });
    });
  }

  #receive(datagram: Buffer): void {
    const read = readRegisterAnswer(datagram, callId => this.#waiting.get(callId)?.contact);
    if (!read) return;
    const waiting = this.#waiting.get(read.callId);
    // The answer to an earlier one may come late.
    if (waiting?.cseq === read.cseq) waiting.settle(read.answer);
  }
}
