// Datagrams at a rate, from as many addresses as are wanted: whoever has them, or says so.
import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HostPort } from './sip-message.js';

export interface Flood {
  readonly from: readonly string[];
  readonly to: HostPort;
  /** From each of them, in twenty handfuls. */
  readonly perSecond: number;
  readonly isOver: () => boolean;
  /** The `n`th message; null: there is none any more. */
  readonly message: (from: string, n: number) => string | Buffer | null;
}

export interface Flooded {
  readonly sent: number;
  readonly answers: number;
}

/** On ports of their own, until it is over. */
export async function flood({ from, to, perSecond, isOver, message }: Flood): Promise<Flooded> {
  let [sent, answers] = [0, 0];
  const sockets = await Promise.all(
    from.map(async address => {
      const socket = createSocket('udp4').on('message', () => answers++);
      await new Promise<void>(resolve => socket.bind(0, address, resolve));
      return { socket, address };
    }),
  );
  const handful = perSecond / 20;
  for (let n = 0; !isOver(); n += handful) {
    for (const { socket, address } of sockets) {
      for (let i = 0; i < handful; i++) {
        const datagram = message(address, n + i);
        if (datagram === null) continue;
        socket.send(datagram, to.port, to.address);
        sent++;
      }
    }
    await sleep(50);
  }
  for (const { socket } of sockets) socket.close();
  return { sent, answers };
}
