// Gives each test file a loopback /24 of its own, so that test files and farms run side by side.
import { createServer, type Server } from 'node:net';

export interface Subnet {
  /** e.g. `127.64.7.0/24` */
  readonly cidr: string;
  /** The address of a host number: `host(200)` is `127.64.7.200`. */
  host(number: number): string;
}

/** Held open until the process ends: another test process that tries for the same subnet goes on to the next. */
const locks: Server[] = [];

/**
 * A subnet that no other test process on this machine has taken. The lock is an abstract-namespace unix socket, which
 * the kernel drops with the process, so nothing is left behind by a test that was killed.
 */
export async function freeSubnet(): Promise<Subnet> {
  const first = process.pid % 250;
  for (let i = 0; i < 250; i++) {
    const third = 1 + ((first + i) % 250);
    if (await lock(`\0holdfast-test-subnet-127.64.${third}`)) return subnet(`127.64.${third}`);
  }
  throw new Error('no free test subnet in 127.64.0.0/16: do 250 test files run at once?');
}

export function subnet(prefix: string): Subnet {
  return { cidr: `${prefix}.0/24`, host: number => `${prefix}.${number}` };
}

async function lock(name: string): Promise<boolean> {
  const server = createServer();
  const taken = await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(true);
      else reject(error);
    });
    server.listen({ path: name }, () => resolve(false));
  });
  if (taken) return false;
  server.unref();
  locks.push(server);
  return true;
}
