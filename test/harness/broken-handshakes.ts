// TLS handshakes that are broken off, each in another way, by whoever may connect.
import { createConnection, type NetConnectOpts } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

/** What is said first, and what after the first answer; undefined: the connection is reset. */
type Words = readonly [begin: Buffer, end: Buffer | undefined];

/** Longest time for one, ms: some are not answered. */
const patienceMs = 300;
const unfinished = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);

/** Breaks handshakes off, one for each call. Rejects where nobody listens. */
export async function handshakeBreaker(): Promise<(to: NetConnectOpts) => Promise<void>> {
  const hellos = [await clientHello({}), await clientHello({ maxVersion: 'TLSv1.2' })];
  const begins = [...hellos, ...hellos.map(whole => Buffer.from(whole).fill(0xff, 60)), Buffer.from('OPTIONS sip:x')];
  const handshakeFailure = record(0x15, 2, 40);
  const ends = [record(0x17, ...Buffer.alloc(64, 0x5a)), handshakeFailure, record(0x14, 9), unfinished, undefined];
  let next = 0;
  return to => {
    const nth = next++;
    return brokenOff(to, [begins[nth % 5] ?? unfinished, ends[Math.floor(nth / 5) % 5]]);
  };
}

function record(type: number, ...octets: number[]): Buffer {
  return Buffer.from([type, 3, 3, 0, octets.length, ...octets]);
}

/** What a client says first. */
function clientHello(options: ConnectionOptions): Promise<Buffer> {
  return new Promise(resolve => {
    const write = (octets: Buffer, _encoding: string, done: () => void): void => {
      resolve(octets);
      done();
    };
    connectTls({ ...options, socket: new Duplex({ read: () => undefined, write }) });
  });
}

function brokenOff(to: NetConnectOpts, [begin, end]: Words): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(to, () => socket.write(begin));
    const late = setTimeout(() => socket.destroy(), patienceMs);
    socket.once('data', () => (end === undefined ? socket.resetAndDestroy() : socket.write(end)));
    socket.on('error', error => {
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') reject(error);
    });
    socket.once('close', () => {
      clearTimeout(late);
      resolve();
    });
  });
}
