// Asks Asterisks with SIP OPTIONS whether they still speak SIP (RFC 3261 §11): a sign apart from ARI.
import { createSocket, type Socket } from 'node:dgram';
import { randomBytes } from 'node:crypto';
import { HoldfastError } from '../errors.js';
import { ports } from './farm-plan.js';

/** One UDP socket on the daemon's address; any SIP response from a node counts as an answer. */
export class OptionsProbe {
  readonly #address: string;
  readonly #answeredMs = new Map<string, number>();
  #socket: Socket | undefined;

  constructor(address: string) {
    this.#address = address;
  }

  async open(): Promise<void> {
    const socket = createSocket('udp4');
    socket.on('message', (message, from) => {
      if (message.subarray(0, 8).toString('latin1') === 'SIP/2.0 ') this.#answeredMs.set(from.address, Date.now());
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', error =>
        reject(
          new HoldfastError('ADDRESS_TAKEN', `cannot send probes from ${this.#address}: ${error.message}`, {
            cause: error,
            remedy: 'is the farm subnet one of this machine?',
          }),
        ),
      );
      socket.bind(0, this.#address, resolve);
    });
    socket.removeAllListeners('error');
    // A node that is down refuses the packet (ECONNREFUSED): that is an answer too, and not an error of ours.
    socket.on('error', () => undefined);
    this.#socket = socket;
  }

  /** Sends one OPTIONS; the answer, if any, is seen by `answeredWithin`. */
  send(address: string): void {
    const port = this.#socket?.address().port ?? 0;
    const id = randomBytes(8).toString('hex');
    const uri = `sip:${address}:${ports.sip}`;
    const request = [
      `OPTIONS ${uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.#address}:${port};branch=z9hG4bK${id};rport`,
      `From: <sip:holdfast@${this.#address}>;tag=${id}`,
      `To: <${uri}>`,
      `Call-ID: ${id}`,
      'CSeq: 1 OPTIONS',
      `Contact: <sip:holdfast@${this.#address}:${port}>`,
      'Max-Forwards: 5',
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n');
    this.#socket?.send(request, ports.sip, address, () => undefined);
  }

  answeredWithin(address: string, ms: number): boolean {
    return Date.now() - (this.#answeredMs.get(address) ?? 0) <= ms;
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}
