// The traffic of one Kamailio at run time: what it is asked of it (bans, offered calls, counters), and the rows by which single
// calls, phones and sources are steered. None of it is in the edge's state; all of it may be asked while that is applied.
import { z } from 'zod';
import { HoldfastError } from '../core/errors.js';
import type { EdgeBan, OfferedCalls, ShedShare } from '../core/ports/edge.js';
import { counterNames, counters } from './edge-counters.js';
import type { EdgeRows } from './edge-tables.js';
import { HashTables, mostFoundRows } from './hash-tables.js';
import type { JsonrpcClient } from './jsonrpc-client.js';

/** When the daemon itself is late, answers have come before it has time to read them. */
const inNeed = { timeoutMs: 5_000 };

export class EdgeTraffic {
  readonly #instance: string;
  readonly #client: JsonrpcClient;
  readonly #tables: HashTables;
  /** Of the table of what comes, when it was read last. */
  #offeredRows = Infinity;

  constructor(instance: string, client: JsonrpcClient) {
    this.#instance = instance;
    this.#client = client;
    this.#tables = new HashTables(client);
  }

  pin(callId: string, destination: string, seconds: number): Promise<void> {
    return this.#tables.setFor(seconds, 'pins', callId, destination);
  }

  unpin(callId: string): Promise<void> {
    return this.#forget('pins', callId);
  }

  /** Those that were found here and those that were told. */
  async bans(): Promise<readonly EdgeBan[]> {
    const held = (await this.#tables.heldRows()).get('bans') ?? 0;
    if (held > mostFoundRows)
      throw new HoldfastError('RPC_INVALID_REPLY', `${this.#instance} has ${held} rows in bans: too many to be read`);
    return Object.entries(await this.#tables.rows('bans')).map(([source, value]) => {
      const [reason = '', until = '0'] = String(value).split('|');
      return { source, reason, untilSeconds: Number(until) };
    });
  }

  ban({ source, reason, untilSeconds }: EdgeBan): Promise<void> {
    const seconds = Math.max(1, untilSeconds - Math.floor(Date.now() / 1000));
    return this.#tables.setFor(seconds, 'bans', source, `${reason}|${untilSeconds}`);
  }

  unban(source: string): Promise<void> {
    return this.#forget('bans', source);
  }

  trust(address: string, seconds: number): Promise<void> {
    return this.#tables.setFor(seconds, 'known', address, '1');
  }

  move(from: string, to: string): Promise<void> {
    return this.#tables.set('moved', from, to);
  }

  /** Whoever asks is in need: in one request where it can be, and with patience. Of more sources than fit into a reply only the sums are known. */
  async offeredCalls(nodes: readonly string[]): Promise<OfferedCalls> {
    const isReadable =
      this.#offeredRows < mostFoundRows / 2 ||
      ((await this.#tables.heldRows(inNeed)).get('offered') ?? 0) <= mostFoundRows;
    // Until it is read: an answer that is too large never comes.
    this.#offeredRows = Infinity;
    const rows = isReadable ? await this.#tables.rows('offered', inNeed) : await this.#offeredSums(nodes);
    if (isReadable) this.#offeredRows = Object.keys(rows).length;
    const counts = Object.entries(rows).map(([key, count]) => {
      const [node = '', source, kind] = key.split('|');
      return { kind, node, count: Number(count), ...(source === undefined ? {} : { source }) };
    });
    return {
      offered: counts.filter(({ kind }) => kind === undefined),
      refused: counts.filter(({ kind }) => kind !== undefined),
    };
  }

  shed({ node, source, lots }: ShedShare, seconds: number): Promise<void> {
    return this.#tables.setFor(seconds, 'shed', `${node}|${source}`, lots, inNeed);
  }

  async counters(): Promise<Readonly<Record<string, number>>> {
    const values = new Map([...(await this.#statistics('script:')), ...(await this.#statistics('core:'))]);
    const own = Object.fromEntries(counterNames.map(name => [counters[name], values.get(name) ?? 0] as const));
    const all = (values.get('rcv_requests') ?? 0) + (values.get('rcv_replies') ?? 0);
    const received = all - (values.get('answered_probe') ?? 0);
    return { ...own, received };
  }

  async #offeredSums(nodes: readonly string[]): Promise<EdgeRows> {
    const sums = nodes.map(async node => [node, (await this.#tables.value('offered', node, inNeed)) ?? 0] as const);
    return Object.fromEntries(await Promise.all(sums));
  }

  /** Refused: it is not there. */
  async #forget(table: string, key: string): Promise<void> {
    await this.#tables.delete(table, key).catch((error: unknown) => {
      if (!HoldfastError.is(error, 'RPC_REFUSED')) throw error;
    });
  }

  /** Names without their group, and values; lines are `group:name = value`. */
  async #statistics(group: string): Promise<readonly (readonly [string, number])[]> {
    const reply = z.array(z.string()).parse(await this.#client.request('stats.get_statistics', [group]));
    return reply.map(line => {
      const [name = '', value = '0'] = line.slice(group.length).split(' = ');
      return [name, Number(value)];
    });
  }
}
