// Debian's SIPp has no TLS: what it sends on a TCP connection goes out on a TLS connection of its own, from the same address.
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect } from 'node:tls';
import type { HostPort } from '../../harness/sip-message.js';

export class TlsBridge {
  readonly address: HostPort;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = { address, port: (server.address() as AddressInfo).port };
  }

  /** `address`: where SIPp connects to, and where the phone's connections come from. */
  static async open(address: string, to: HostPort): Promise<TlsBridge> {
    const server = createServer({ noDelay: true });
    await new Promise<void>(resolve => server.listen(0, address, 4_096, resolve));
    const bridge = new TlsBridge(server, address);
    server.on('connection', plain => bridge.#pass(plain, to));
    return bridge;
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise<void>(resolve => this.#server.close(() => resolve()));
  }

  #pass(plain: Socket, to: HostPort): void {
    const from = { localAddress: this.address.address, noDelay: true };
    const socket = createConnection({ host: to.address, port: to.port, ...from });
    const secure = connect({ socket, rejectUnauthorized: false });
    for (const [one, other] of [
      [plain, secure],
      [secure, plain],
    ] as const) {
      this.#open.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#open.delete(one);
        other.destroy();
      });
    }
  }
}
