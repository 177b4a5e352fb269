// The local farm's layer-4 balancer: keeps one nftables table that spreads the VIPs' packets over the Kamailios.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../errors.js';
import type { FarmNode, FarmPlan } from '../farm/farm-plan.js';
import type { Balancer } from '../ports/node-host.js';
import { formatRuleset, tableName, vipMembers, type LanInterface } from './nft-ruleset.js';

const nftDeadlineMs = 5_000;
const commentPrefix = 'holdfast route_localnet';

/** As much as is read of `nft -j list table` (libnftables-json(5)). */
const listing = z.object({
  nftables: z.array(
    z.object({
      rule: z.object({ chain: z.string(), comment: z.string().optional(), expr: z.array(z.unknown()) }).optional(),
    }),
  ),
});
type Rules = { chain: string; comment?: string | undefined; expr: unknown[] }[];

const daddrMatch = z.object({
  match: z.object({ left: z.object({ payload: z.object({ field: z.literal('daddr') }) }), right: z.string() }),
});
const daddrRewrite = z.object({
  mangle: z.object({
    value: z.union([
      z.string().transform(address => [address]),
      z
        .object({ map: z.object({ data: z.object({ set: z.array(z.tuple([z.number(), z.string()])) }) }) })
        .transform(({ map }) => map.data.set.map(([, address]) => address)),
    ]),
  }),
});

export class NftBalancer implements Balancer {
  readonly #plan: FarmPlan;
  #fenced: readonly string[] = [];
  #queue: Promise<unknown> = Promise.resolve();

  constructor(plan: FarmPlan) {
    this.#plan = plan;
  }

  apply(members: readonly FarmNode[]): Promise<void> {
    return this.#inTurn(async () => {
      const lan = await this.#openLan();
      await nft(['-f', '-'], formatRuleset(this.#plan, members, lan, this.#fenced));
      const held = readMembers((await this.#rules()) ?? []);
      for (const { vip, addresses } of vipMembers(this.#plan, members)) {
        if ((held.get(vip) ?? []).join() === addresses.join()) continue;
        throw new HoldfastError(
          'BALANCER_FAILED',
          `table ${tableName(this.#plan.subnet)} does not hold what was loaded`,
          {
            details: { vip, expected: addresses, held: held.get(vip) ?? [] },
            remedy: 'something else changes this table; see: nft list ruleset',
          },
        );
      }
    });
  }

  fence(addresses: readonly string[]): Promise<void> {
    this.#fenced = addresses;
    return this.#inTurn(async () => {
      const table = tableName(this.#plan.subnet);
      const fill = this.#fenced.length === 0 ? '' : `add element ip ${table} fenced { ${this.#fenced.join(', ')} }\n`;
      try {
        // One run of nft and no look before it: a zombie may wake up any moment.
        await nft(['-f', '-'], `flush set ip ${table} fenced\n${fill}`);
      } catch (error) {
        // Before the first `apply` there is no table; it will come with the fences in it.
        if (await this.#exists()) throw error;
      }
    });
  }

  remove(): Promise<void> {
    return this.#inTurn(async () => {
      const rules = await this.#rules();
      if (!rules) return;
      await nft(['delete', 'table', 'ip', tableName(this.#plan.subnet)]);
      const lan = lanComment(rules);
      if (lan?.startsWith(`${commentPrefix} off `) === true) await setRouteLocalnet(lan.split(' ').at(-1) ?? '', '0');
    });
  }

  /** True while the farm's table exists. */
  async present(): Promise<boolean> {
    return (await this.#rules()) !== undefined;
  }

  #inTurn(task: () => Promise<void>): Promise<void> {
    const turn = this.#queue.then(task);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #exists(): Promise<boolean> {
    const tables = await nft(['list', 'tables', 'ip']);
    return tables.split('\n').includes(`table ip ${tableName(this.#plan.subnet)}`);
  }

  /** The rules of our table, or undefined where there is none. */
  async #rules(): Promise<Rules | undefined> {
    const table = tableName(this.#plan.subnet);
    if (!(await this.#exists())) return undefined;
    const reply = listing.safeParse(JSON.parse(await nft(['-j', 'list', 'table', 'ip', table])));
    if (!reply.success) throw new HoldfastError('BALANCER_FAILED', `nft lists table ${table} in an unknown form`);
    return reply.data.nftables.flatMap(({ rule }) => (rule ? [rule] : []));
  }

  /**
   * With a VIP on a real interface: lets packets between it and the Kamailios' loopback addresses pass (route_localnet),
   * and notes what the setting was before.
   */
  async #openLan(): Promise<LanInterface | undefined> {
    const vip = [this.#plan.publicVip, this.#plan.privateVip].find(address => !address.startsWith('127.'));
    if (vip === undefined) return undefined;
    const name = Object.entries(networkInterfaces()).find(([, entries]) => entries?.some(e => e.address === vip))?.[0];
    if (name === undefined) {
      throw new HoldfastError('BALANCER_FAILED', `the VIP ${vip} is on no interface of this machine`, {
        remedy: `put it there (ip address add ${vip}/32 dev IFACE), or name an address in the config that is there`,
      });
    }
    const before = lanComment((await this.#rules()) ?? []);
    const was = (await readFile(routeLocalnetPath(name), 'utf8').catch(() => '')).trim();
    await setRouteLocalnet(name, '1');
    return { name, comment: before ?? `${commentPrefix} ${was === '1' ? 'on' : 'off'} ${name}` };
  }
}

function lanComment(rules: Rules): string | undefined {
  return rules.map(rule => rule.comment).find(comment => comment?.startsWith(commentPrefix) === true);
}

/** Which addresses each VIP's packets are spread over, as the kernel has it. */
function readMembers(rules: Rules): Map<string, readonly string[]> {
  const held = new Map<string, readonly string[]>();
  for (const rule of rules.filter(({ chain }) => chain === 'members')) {
    const vip = rule.expr.map(part => daddrMatch.safeParse(part).data?.match.right).find(Boolean);
    const addresses = rule.expr.map(part => daddrRewrite.safeParse(part).data?.mangle.value).find(Boolean);
    if (vip !== undefined && addresses) held.set(vip, addresses);
  }
  return held;
}

function routeLocalnetPath(name: string): string {
  return `/proc/sys/net/ipv4/conf/${name}/route_localnet`;
}

async function setRouteLocalnet(name: string, value: '0' | '1'): Promise<void> {
  await writeFile(routeLocalnetPath(name), value).catch((error: unknown) => {
    throw new HoldfastError('BALANCER_FAILED', `cannot set route_localnet of ${name}: ${messageOf(error)}`, {
      cause: error,
      remedy: 'run as root, for example with sudo',
    });
  });
}

/** Runs nft, with `input` on its standard input. Throws BALANCER_FAILED with what nft said. */
function nft(args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };
    const child = execFile(
      'nft',
      args,
      { env, timeout: nftDeadlineMs, maxBuffer: 4_194_304 },
      (error, stdout, stderr) => {
        if (error) reject(nftFailure(error, stderr));
        else resolve(stdout);
      },
    );
    // nft may end before it has read all: its exit status tells more than EPIPE.
    child.stdin?.on('error', () => undefined).end(input);
  });
}

function nftFailure(error: Error, stderr: string): HoldfastError {
  const said = stderr.trim().split('\n')[0] ?? '';
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
    return new HoldfastError('BALANCER_FAILED', 'the balancer needs nft, which is not installed', {
      cause: error,
      remedy: 'run npm start, or: apt-get install nftables',
    });
  }
  const denied = /Operation not permitted|must be root/i.test(stderr);
  return new HoldfastError('BALANCER_FAILED', `nft failed: ${said === '' ? error.message : said}`, {
    cause: error,
    remedy: denied
      ? 'run as root, for example with sudo (the balancer needs CAP_NET_ADMIN)'
      : 'see whether the kernel has nf_tables and its numgen: nft list ruleset',
  });
}
