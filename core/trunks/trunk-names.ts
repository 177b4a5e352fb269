// The names of gateways and registrars: SRV records (RFC 2782) and the addresses of hosts, which every Kamailio is told, so that none waits for a name server.
import { Resolver } from 'node:dns/promises';
import { isIPv4 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { TrunkConfig } from '../config/holdfast-config.js';
import type { Logger } from '../log.js';
import type { EdgeHost } from '../ports/edge.js';
import type { Store } from '../store/store.js';
import { DnsAnswers, type DnsAnswer } from './dns-answers.js';
import { gatewaysOf, orderFor, type GatewayConfig, type SrvRecord } from './gateway-list.js';
import { transportOf } from './gateway-transport.js';

/** Whoever asks; the machine's DNS by default. */
export interface DnsQuestions {
  readonly srv: (name: string) => Promise<readonly SrvRecord[]>;
  readonly addresses: (host: string) => Promise<readonly { readonly address: string; readonly ttl: number }[]>;
}

export interface TrunkNamesOptions {
  readonly trunks: () => readonly TrunkConfig[];
  readonly store: Store;
  /** Told when the Kamailios must be told something else. */
  readonly changed: () => void;
  readonly log: Logger;
  readonly dns?: DnsQuestions;
}

/** What is known of the host of a gateway that has a name. */
export interface HostStatus {
  readonly name: string;
  readonly address: string | null;
  /** Why DNS has given no answer when it was last asked; null where it has. */
  readonly trouble: string | null;
}

const tickMs = 1_000;
/** A start and a reload wait no longer for a name server. */
const settleMs = 3_000;

export class TrunkNames {
  readonly #options: TrunkNamesOptions;
  readonly #srv: DnsAnswers<readonly SrvRecord[]>;
  readonly #hosts: DnsAnswers<readonly string[]>;
  /** Of several addresses of a host the one that is used, as long as it is among them. */
  readonly #used = new Map<string, string>();
  #told = '[]';
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TrunkNamesOptions) {
    this.#options = options;
    const { store, log, dns = machinesDns } = options;
    this.#srv = new DnsAnswers({
      ...{ what: 'SRV records', none: [], log },
      kept: store.table('dns-srv', z.array(srvRecord)),
      resolve: async name => ({ value: await dns.srv(name) }),
    });
    this.#hosts = new DnsAnswers({
      ...{ what: 'the address', none: [], log },
      kept: store.table('dns-addresses', z.array(z.string())),
      resolve: async name => addressAnswer(await dns.addresses(name)),
    });
  }

  /** What is known of a name; bound, as it is handed around. */
  readonly srv = (name: string): readonly SrvRecord[] => this.#srv.of(name);

  /** Begins with what an earlier daemon was told, and waits a moment for what is true now. */
  async start(): Promise<void> {
    await Promise.all([this.#srv.load(), this.#hosts.load()]);
    await this.settle();
    this.#told = JSON.stringify(this.rows());
    this.#timer = setInterval(() => void this.look(Date.now()), tickMs);
  }

  /** What has to be asked is asked now; resolves when it is known, or after a moment. */
  async settle(): Promise<void> {
    await Promise.race([this.look(Date.now()), sleep(settleMs, undefined, { ref: false })]);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Asks what is due; resolves when all has been answered that can be. */
  async look(nowMs: number): Promise<void> {
    await Promise.all(this.#services().map(name => this.#srv.refresh(name, nowMs)));
    await Promise.all(this.#wanted().map(name => this.#hosts.refresh(name, nowMs)));
    // Of the config as it is by now.
    await this.#srv.keepOnly(new Set(this.#services()));
    await this.#hosts.keepOnly(new Set(this.#wanted()));
    const rows = JSON.stringify(this.rows());
    if (rows === this.#told || this.#timer === undefined) return;
    this.#told = rows;
    this.#options.changed();
  }

  /** For the Kamailios. */
  rows(): readonly EdgeHost[] {
    const hosts = this.#wanted().map(name => ({ name, address: this.#addressOf(name) }));
    const services = this.#configs().flatMap(({ srv, address }) => {
      if (srv === undefined || transportOf(address) !== 'udp') return [];
      const [first] = orderFor(gatewaysOf([{ address, srv, priority: 1, weight: 1 }], this.srv), () => 0);
      const [host = '', port = ''] = hostPort(first?.address ?? address);
      return [{ name: hostOf(address), address: this.#addressOf(host), port: Number(port) }];
    });
    return [...hosts, ...services];
  }

  /** Of a gateway, `host:port`; undefined where it is an address. Bound. */
  readonly host = (gateway: string): HostStatus | undefined => {
    const name = hostOf(gateway);
    if (isIPv4(name)) return undefined;
    return { name, address: this.#addressOf(name) ?? null, trouble: this.#hosts.trouble(name) ?? null };
  };

  /** Nobody answers there: another address of the host is used, if it has one. Bound. */
  readonly avoid = (gateway: string): void => {
    const name = hostOf(gateway);
    const addresses = this.#hosts.of(name);
    const used = this.#addressOf(name);
    if (used === undefined || addresses.length < 2) return;
    this.#used.set(name, addresses[(addresses.indexOf(used) + 1) % addresses.length] as string);
  };

  #services(): readonly string[] {
    return this.#configs().flatMap(({ srv }) => srv ?? []);
  }

  #configs(): readonly GatewayConfig[] {
    return this.#options.trunks().flatMap(({ gateways, register }) => [...gateways, ...(register?.registrars ?? [])]);
  }

  #wanted(): readonly string[] {
    const names = gatewaysOf(this.#configs(), this.srv).map(({ address }) => hostOf(address));
    return [...new Set(names)].filter(name => !isIPv4(name)).sort();
  }

  #addressOf(host: string): string | undefined {
    if (isIPv4(host)) return host;
    const addresses = this.#hosts.of(host);
    const used = this.#used.get(host);
    if (used !== undefined && addresses.includes(used)) return used;
    // Not the first: name servers turn their answers round, so that not everybody uses the same.
    const any = addresses[Math.floor(Math.random() * addresses.length)];
    if (any === undefined) this.#used.delete(host);
    else this.#used.set(host, any);
    return any;
  }
}

const srvRecord = z.object({ name: z.string(), port: z.number(), priority: z.number(), weight: z.number() });

function addressAnswer(records: Awaited<ReturnType<DnsQuestions['addresses']>>): DnsAnswer<readonly string[]> {
  return {
    value: records.map(({ address }) => address).sort(),
    ttlSeconds: Math.min(...records.map(({ ttl }) => ttl)),
  };
}

function hostPort(gateway: string): string[] {
  return gateway.replace(/;.*/, '').split(':');
}

function hostOf(gateway: string): string {
  return (hostPort(gateway)[0] ?? '').toLowerCase();
}

/** A new one each time: the name servers of the machine may be others by now. */
const machinesDns: DnsQuestions = {
  srv: name => new Resolver({ timeout: 1_000, tries: 2 }).resolveSrv(name),
  addresses: name => new Resolver({ timeout: 1_000, tries: 2 }).resolve4(name, { ttl: true }),
};
