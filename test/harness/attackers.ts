// All that the Internet does to an edge, one by one or at once: scans, floods from one address and from forged ones, guesses, RFC 4475, faults by the thousand.
import type { Farm } from './farm.js';
import { flood, type Flood, type Flooded } from './flood.js';
import { mutated } from './mutations.js';
import { seeded } from './seeded-random.js';
import { SipEndpoint } from './sip-endpoint.js';
import { tortureMessages } from './torture.js';

export interface Attackers {
  readonly farm: Farm;
  /** Realm of the farm. */
  readonly domain: string;
  /** Host of an honest phone, in whose name is flooded too. */
  readonly phoneHost: number;
  /** Messages that were really sent, to be mutated beside those of RFC 4475. */
  readonly real: readonly string[];
  /** Of these, from a trunk's address and from a stranger's. */
  readonly mutationsPerSecond: number;
  /** Of the other floods, in place of what is usual. */
  readonly times?: number;
}

export interface Attack extends Attackers {
  readonly isOver: () => boolean;
}

export interface AttackReport {
  /** Answers to a scanner. */
  readonly scanned: number;
  readonly mutations: number;
}

/** A trunk of examples/local.yaml, which is neither limited nor asked for a password: what it sends reaches what is behind the edge. */
const trunkHost = 204;
const guessers = [210, 211, 212, 213, 214, 215];
const forged =
  'Proxy-Authorization: Digest username="1001", realm="holdfast.test", nonce="x", uri="sip:x", response="0"';

export type AttackName =
  | 'scan'
  | 'invites'
  | 'registers'
  | 'forgedInvites'
  | 'forgedRegisters'
  | 'guesses'
  | 'malformed'
  | 'torture'
  | 'strangersMutations'
  | 'trunksMutations';

/** Each goes on until it is over. */
export function attacks(who: Attackers): Readonly<Record<AttackName, (isOver: () => boolean) => Promise<Flooded>>> {
  const { farm, domain, phoneHost, real, mutationsPerSecond, times = 1 } = who;
  type Run = (isOver: () => boolean) => Promise<Flooded>;
  const send = (hosts: readonly number[], perSecond: number, message: Flood['message']): Run => {
    const [from, to] = [hosts.map(host => farm.host(host)), { address: farm.host(100), port: 5060 }];
    return isOver => flood({ from, to, perSecond, isOver, message });
  };
  const requests = (method: string, hosts: readonly number[], perSecond: number, headers?: readonly string[]): Run =>
    send(hosts, times * perSecond, (from, n) =>
      strayRequest(method, { from, n, domain, uri: farm.uri('9001') }, headers),
    );
  const random = seeded(4475);
  const torture = tortureMessages({ from: `${farm.host(trunkHost)}:5060`, host: farm.host(100) }).map(
    ([, text]) => text,
  );
  const all = [...torture, ...real];
  const mutation = (): Buffer => mutated(all[random(all.length)] ?? '', random);
  const spoofed = [...Array.from({ length: 12 }, (_, i) => 240 + i), phoneHost];
  return {
    scan: requests('OPTIONS', [230], 100, ['User-Agent: friendly-scanner']),
    invites: requests('INVITE', [232], 400),
    registers: requests('REGISTER', [236], 400),
    forgedInvites: requests('INVITE', spoofed, 20, [forged]),
    forgedRegisters: requests('REGISTER', spoofed, 20, [forged]),
    guesses: isOver => guess(farm, isOver),
    malformed: send([233], times * 40, (_, n) => `INVITE sip:x SIP/2.0\r\nVia: ${n}\r\nCSeq: x\r\n\r\n`),
    torture: send([trunkHost], 20, (_, n) => torture[n] ?? null),
    strangersMutations: send([235], mutationsPerSecond / 2, mutation),
    trunksMutations: send([trunkHost], mutationsPerSecond / 2, mutation),
  };
}

export async function attackAll({ isOver, ...who }: Attack): Promise<AttackReport> {
  const { guesses: _, ...all } = attacks(who);
  const names = Object.keys(all) as (keyof typeof all)[];
  const reports = await Promise.all(names.map(async name => [name, await all[name](isOver)] as const));
  const of = new Map(reports);
  const sent = (name: keyof typeof all): number => of.get(name)?.sent ?? 0;
  return {
    scanned: of.get('scan')?.answers ?? 0,
    mutations: sent('strangersMutations') + sent('trunksMutations'),
  };
}

/** Wrong answers to real challenges, one after the other from each of some addresses; counted are the answers. */
async function guess(farm: Farm, isOver: () => boolean): Promise<Flooded> {
  const wrong = { username: '1002', password: 'guessed' };
  const counts = await Promise.all(
    guessers.map(async host => {
      const phone = await SipEndpoint.open({ address: farm.host(host), codecs: ['PCMA'] });
      let [sent, answers] = [0, 0];
      while (!isOver()) {
        sent++;
        const call = await phone.invite(farm.uri('9001'), { credentials: wrong });
        answers += await call.rejected(500).then(
          () => 1,
          () => 0,
        );
      }
      await phone.close();
      return { sent, answers };
    }),
  );
  return {
    sent: counts.reduce((all, one) => all + one.sent, 0),
    answers: counts.reduce((all, one) => all + one.answers, 0),
  };
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
