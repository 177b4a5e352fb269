// What a SIP endpoint's messages pass: datagrams of one UDP address, or one connection to a proxy (RFC 3261 §18).
import { createSocket, type Socket } from 'node:dgram';
import { connect as connectTcp, type Socket as Stream } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { HostPort } from './sip-message.js';

export interface SipWire {
  readonly transport: 'UDP' | 'TCP' | 'TLS';
  readonly address: string;
  readonly port: number;
  send(data: string | Buffer, to: HostPort): Promise<void>;
  close(): Promise<void>;
  /** Of a connection: the other side has ended it. */
  readonly ended?: () => boolean;
}

export type Take = (data: Buffer, from: HostPort) => void;

export async function openUdp(
  at: { readonly address: string; readonly port: number },
  take: Take,
  failed: (error: Error) => void,
): Promise<SipWire> {
  const socket: Socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(at.port, at.address, resolve);
  });
  socket.removeAllListeners('error');
  socket.on('message', take);
  socket.on('error', failed);
  return {
    ...{ transport: 'UDP', ...socket.address() },
    send: (data, to) =>
      new Promise((resolve, reject) =>
        socket.send(data, to.port, to.address, error => (error ? reject(error) : resolve())),
      ),
    close: () => new Promise<void>(resolve => socket.close(resolve)),
  };
}

export interface ConnectionOptions {
  readonly transport: 'TCP' | 'TLS';
  /** Where the connection goes to; whatever is sent goes there. */
  readonly to: HostPort;
  /** PEM, of the certificate that TLS must be shown. */
  readonly trusts?: string;
}

/** Resolves once it is up. That it ends is no failure: whoever sends afterwards fails. */
export async function openConnection(
  address: string,
  { transport, to, trusts }: ConnectionOptions,
  take: Take,
): Promise<SipWire> {
  const options = { host: to.address, port: to.port, localAddress: address };
  const stream: Stream =
    transport === 'TCP'
      ? connectTcp(options)
      : connectTls({ ...options, ...(trusts === undefined ? { rejectUnauthorized: false } : { ca: trusts }) });
  await new Promise<void>((resolve, reject) => {
    stream.once('error', reject);
    stream.once(transport === 'TCP' ? 'connect' : 'secureConnect', () => resolve());
  });
  let ended = false;
  stream.on('error', () => undefined);
  stream.on('close', () => (ended = true));
  const frames = new SipFrames(data => take(data, to));
  stream.on('data', chunk => frames.push(chunk));
  return {
    ...{ transport, address, port: stream.localPort ?? 0 },
    ended: () => ended,
    send: data => new Promise((resolve, reject) => stream.write(data, error => (error ? reject(error) : resolve()))),
    close: () =>
      new Promise<void>(resolve => {
        if (ended) resolve();
        else stream.once('close', () => resolve()).destroy();
      }),
  };
}

/** Messages out of a stream, by their Content-Length (RFC 3261 §18.3). */
export class SipFrames {
  readonly #take: (message: Buffer) => void;
  #held = Buffer.alloc(0);

  constructor(take: (message: Buffer) => void) {
    this.#take = take;
  }

  push(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    for (;;) {
      // Keep-alives between messages (RFC 5626 §4.4.1).
      while (this.#held.subarray(0, 2).toString() === '\r\n') this.#held = this.#held.subarray(2);
      const end = this.#held.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = /^(?:content-length|l)\s*:\s*(\d+)/im.exec(this.#held.toString('latin1', 0, end + 2))?.[1];
      const whole = end + 4 + Number(length ?? 0);
      if (this.#held.length < whole) return;
      const message = this.#held.subarray(0, whole);
      this.#held = this.#held.subarray(whole);
      this.#take(message);
    }
  }
}
