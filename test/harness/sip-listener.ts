// What a SIP server's messages pass on TCP or TLS: connections that others have opened to it, and its own where there is none.
import { connect as connectTcp, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { HostPort } from './sip-message.js';
import { SipFrames, type SipWire, type Take } from './sip-wire.js';

export interface ListenerOptions {
  readonly transport: 'TCP' | 'TLS';
  /** PEM; for TLS. */
  readonly certificate?: { readonly certificate: string; readonly key: string };
  /** Whatever it sends to somebody whom it has no connection to goes by the last one that it was opened (RFC 5923). */
  readonly reuses?: boolean;
  /** Told of the server name that each connection asks for. */
  readonly asked?: (serverName: string) => void;
}

export async function openListener(at: HostPort, options: ListenerOptions, take: Take): Promise<SipWire> {
  const { transport, certificate, reuses = false, asked } = options;
  const peers = new Map<string, Socket>();
  let lastOpened: Socket | undefined;
  const keep = (socket: Socket): Socket => {
    const from = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    const frames = new SipFrames(data => take(data, from));
    peers.set(nameOf(from), socket);
    socket.on('error', () => undefined);
    socket.on('close', () => peers.delete(nameOf(from)));
    socket.on('data', chunk => frames.push(chunk));
    return socket;
  };
  const accept = (socket: Socket): void => {
    lastOpened = keep(socket);
  };
  const server: Server =
    transport === 'TCP'
      ? createTcpServer(accept)
      : createTlsServer({ cert: certificate?.certificate, key: certificate?.key }, socket => {
          asked?.(socket.servername || '');
          accept(socket);
        });
  server.on('tlsClientError', () => undefined);
  // Those too whose handshake is not done: a server is closed when it has no connection any more.
  const accepted = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    accepted.add(socket);
    socket.on('close', () => accepted.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, at.address, resolve);
  });
  const way = async (to: HostPort): Promise<Socket> => {
    const known = peers.get(nameOf(to));
    if (known) return known;
    if (reuses && lastOpened && !lastOpened.destroyed) return lastOpened;
    return keep(await openTo(to, at.address, transport));
  };
  return {
    ...{ transport, ...at },
    ended: () => peers.size === 0,
    send: async (data, to) => {
      (await way(to)).write(data);
    },
    close: () =>
      new Promise<void>(resolve => {
        server.close(() => resolve());
        for (const socket of [...peers.values(), ...accepted]) socket.destroy();
      }),
  };
}

function openTo(to: HostPort, localAddress: string, transport: 'TCP' | 'TLS'): Promise<Socket> {
  const options = { host: to.address, port: to.port, localAddress };
  return new Promise((resolve, reject) => {
    const socket = transport === 'TCP' ? connectTcp(options) : connectTls({ ...options, rejectUnauthorized: false });
    socket.once('error', reject);
    socket.once(transport === 'TCP' ? 'connect' : 'secureConnect', () => resolve(socket));
  });
}

function nameOf({ address, port }: HostPort): string {
  return `${address}:${port}`;
}
