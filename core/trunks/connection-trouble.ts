// Why a gateway cannot be connected to: tried once by the daemon itself, as a Kamailio says little of it.
import { readFile } from 'node:fs/promises';
import { connect as connectTcp, isIPv4 } from 'node:net';
import { checkServerIdentity, connect as connectTls, type ConnectionOptions } from 'node:tls';
import { messageOf } from '../errors.js';
import type { GatewayTls } from './gateway-transport.js';

const deadlineMs = 3_000;
/** Node has authorities of its own; the Kamailios go by the system's. */
const systemAuthorities = '/etc/ssl/certs/ca-certificates.crt';

/** In words; undefined where a connection can be had. `gateway` is `host:port`, whatever stands behind it. */
export async function connectionTrouble(gateway: string, tls: GatewayTls | undefined): Promise<string | undefined> {
  const [host = '', port = ''] = gateway.replace(/;.*/, '').split(':');
  const at = { host, port: Number(port) };
  const secured = tls === undefined ? undefined : { ...at, ...(await verification(tls)) };
  return new Promise(resolve => {
    const done = (words: string | undefined): void => {
      socket.destroy();
      resolve(words);
    };
    const up = (): void => done(undefined);
    const socket = secured === undefined ? connectTcp(at, up) : connectTls(secured, up);
    socket.setTimeout(deadlineMs, () => done('it does not take a connection'));
    socket.on('error', (error: Error) => done(wordsFor(error)));
  });
}

async function verification({ name, verify, authorities }: GatewayTls): Promise<ConnectionOptions> {
  const asked = isIPv4(name) ? {} : { servername: name };
  if (!verify) return { ...asked, rejectUnauthorized: false };
  const ca = authorities ?? (await readFile(systemAuthorities, 'utf8').catch(() => undefined));
  const named = {
    checkServerIdentity: (_: string, shown: Parameters<typeof checkServerIdentity>[1]) =>
      checkServerIdentity(name, shown),
  };
  return { ...asked, ...named, ...(ca === undefined ? {} : { ca }) };
}

function wordsFor(error: Error): string {
  const code = 'code' in error ? String(error.code) : '';
  if (code.startsWith('E') && !code.startsWith('ERR_')) return `it cannot be connected to (${code})`;
  return `its certificate is refused (${messageOf(error)})`;
}
