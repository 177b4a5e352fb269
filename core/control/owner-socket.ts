// Unix sockets that only their owner may use.
import { chmodSync, rmSync } from 'node:fs';
import type { Server } from 'node:net';
import { HoldfastError, messageOf } from '../errors.js';

/** sun_path of unix(7), with its terminating zero. */
const maxSocketPath = 107;

/** Opens the socket in the place of one that an earlier daemon left. Throws HOST_FAILED. */
export async function listenForOwner(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > maxSocketPath) {
    throw new HoldfastError('HOST_FAILED', `the path of the socket is too long: ${path}`, {
      remedy: 'choose a shorter state folder with --state',
    });
  }
  rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => {
      const message = `cannot open the socket ${path}: ${messageOf(error)}`;
      reject(new HoldfastError('HOST_FAILED', message, { cause: error, remedy: 'run as root, for example with sudo' }));
    });
    // bind(2) happens within listen(): nobody can connect before the mode is set.
    const umask = process.umask(0o177);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(umask);
    }
  });
  chmodSync(path, 0o600);
}
