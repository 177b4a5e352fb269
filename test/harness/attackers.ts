// All that the Internet does to an edge, at once: scans, floods from one address and from forged ones, RFC 4475, faults by the thousand.
import type { Farm } from './farm.js';
import { flood, type Flood } from './flood.js';
import { mutated } from './mutations.js';
import { seeded } from './seeded-random.js';
import { tortureMessages } from './torture.js';

export interface Attack {
  readonly farm: Farm;
  /** Realm of the farm. */
  readonly domain: string;
  /** Host of an honest phone, in whose name is flooded too. */
  readonly phoneHost: number;
  /** Messages that were really sent, to be mutated beside those of RFC 4475. */
  readonly real: readonly string[];
  /** Of these, from a trunk's address and from a stranger's. */
  readonly mutationsPerSecond: number;
  readonly isOver: () => boolean;
}

export interface AttackReport {
  /** Answers to a scanner. */
  readonly scanned: number;
  readonly mutations: number;
}

/** A trunk of examples/local.yaml, which is neither limited nor asked for a password: what it sends reaches what is behind the edge. */
const trunkHost = 204;
const forged =
  'Proxy-Authorization: Digest username="1001", realm="holdfast.test", nonce="x", uri="sip:x", response="0"';

export async function attackAll({
  farm,
  domain,
  phoneHost,
  real,
  mutationsPerSecond,
  isOver,
}: Attack): Promise<AttackReport> {
  const send = (hosts: readonly number[], perSecond: number, message: Flood['message']): Promise<number> =>
    flood({
      from: hosts.map(host => farm.host(host)),
      to: { address: farm.host(100), port: 5060 },
      ...{ perSecond, isOver, message },
    });
  const request = (method: string, from: string, n: number, headers: readonly string[] = []): string =>
    strayRequest(method, { from, n, domain, uri: farm.uri('9001') }, headers);
  const random = seeded(4475);
  const from = `${farm.host(trunkHost)}:5060`;
  const torture = tortureMessages({ from, host: farm.host(100) }).map(([, text]) => text);
  const all = [...torture, ...real];
  let mutations = 0;
  const spoofed = [...Array.from({ length: 12 }, (_, i) => 240 + i), phoneHost];
  const [scanned] = await Promise.all([
    send([230], 100, (from, n) => request('OPTIONS', from, n, ['User-Agent: friendly-scanner'])),
    send([232], 400, (from, n) => request('INVITE', from, n)),
    send(spoofed, 40, (from, n) => request(n % 2 === 0 ? 'INVITE' : 'REGISTER', from, n, [forged])),
    send([233], 40, (_, n) => `INVITE sip:x SIP/2.0\r\nVia: ${n}\r\nCSeq: x\r\n\r\n`),
    send([trunkHost], 20, (_, n) => torture[n] ?? null),
    send([trunkHost, 235], mutationsPerSecond / 2, () => {
      mutations++;
      return mutated(all[random(all.length)] ?? '', random);
    }),
  ]);
  return { scanned, mutations };
}

/** Outside of any dialog, as 1001. */
export function strayRequest(
  method: string,
  {
    from,
    n,
    domain,
    uri,
  }: { readonly from: string; readonly n: number; readonly domain: string; readonly uri: string },
  headers: readonly string[] = [],
): string {
  const id = `${method}-${n}-${Math.random()}`;
  const target = method === 'REGISTER' ? `sip:${domain}` : uri;
  return [
    `${method} ${target} SIP/2.0`,
    `Via: SIP/2.0/UDP ${from}:5060;branch=z9hG4bK-${id};rport`,
    `From: <sip:1001@${domain}>;tag=${n}`,
    `To: <${target}>`,
    `Call-ID: ${id}`,
    `CSeq: 1 ${method}`,
    'Max-Forwards: 70',
    `Contact: <sip:1001@${from}:5060>`,
    ...headers,
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}
