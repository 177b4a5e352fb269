// A UDP socket of the daemon's own for SIP that it sends itself.
import { createSocket, type Socket } from 'node:dgram';
import { HoldfastError } from '../errors.js';
import type { Logger } from '../log.js';

/** On `port` of `address`, 0: a free one. `who` is named in the log where it cannot send. Throws ADDRESS_TAKEN. */
export async function openSipSocket(address: string, who: string, log: Logger, port = 0): Promise<Socket> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', cause => {
      socket.close();
      const remedy = 'is the farm subnet one of this machine?';
      reject(
        new HoldfastError('ADDRESS_TAKEN', `cannot send SIP from ${address}: ${cause.message}`, { cause, remedy }),
      );
    });
    socket.bind(port, address, resolve);
  });
  socket.removeAllListeners('error');
  socket.on('error', error => log.debug({ error }, `${who} could not send`));
  return socket;
}
