// The hash tables of one Kamailio (its module htable): how full they are, a whole one, and one row after the other.
import { z } from 'zod';
import { HoldfastError } from '../core/errors.js';
import type { EdgeRows } from './edge-tables.js';
import type { JsonrpcClient, RequestOptions } from './jsonrpc-client.js';

const statisticsReply = z.array(z.looseObject({ name: z.string(), all: z.number() }));
const itemReply = z.looseObject({ item: z.looseObject({ value: z.union([z.string(), z.number()]) }) });
const dumpReply = z.array(
  z.looseObject({ slot: z.array(z.looseObject({ name: z.string(), value: z.union([z.string(), z.number()]) })) }),
);

/** A reply that is larger than a datagram (65,507 octets) is never sent: of what others have filled, so many rows surely fit. */
export const mostFoundRows = 400;

/** Table → how many rows it has. */
export type HeldRows = ReadonlyMap<string, number>;

export class HashTables {
  readonly #client: JsonrpcClient;

  constructor(client: JsonrpcClient) {
    this.#client = client;
  }

  /** Dear: for it the module locks every slot of every table, one after the other. */
  async heldRows(options?: RequestOptions): Promise<HeldRows> {
    const statistics = statisticsReply.parse(await this.#client.request('htable.stats', [], options));
    return new Map(statistics.map(({ name, all }) => [name, all]));
  }

  /** The whole table. Throws RPC_TIMEOUT for one that does not fit a datagram. */
  async rows(table: string, options?: RequestOptions): Promise<EdgeRows> {
    const entries = dumpReply.parse(await this.#client.request('htable.dump', [table], options));
    return Object.fromEntries(entries.flatMap(({ slot }) => slot.map(({ name, value }) => [name, value])));
  }

  async value(table: string, key: string, options?: RequestOptions): Promise<string | number | undefined> {
    try {
      return itemReply.parse(await this.#client.request('htable.get', [table, key], options)).item.value;
    } catch (error) {
      if (HoldfastError.is(error, 'RPC_REFUSED')) return undefined;
      throw error;
    }
  }

  async set(table: string, key: string, value: string | number): Promise<void> {
    await this.#client.request(typeof value === 'number' ? 'htable.seti' : 'htable.sets', [table, key, value]);
  }

  /** For so long only. */
  async setFor(
    seconds: number,
    table: string,
    key: string,
    value: string | number,
    options?: RequestOptions,
  ): Promise<void> {
    const method = typeof value === 'number' ? 'htable.setxi' : 'htable.setxs';
    await this.#client.request(method, [table, key, value, seconds], options);
  }

  /** Throws RPC_REFUSED where it is not there. */
  async delete(table: string, key: string): Promise<void> {
    await this.#client.request('htable.delete', [table, key]);
  }

  /** Reads the table's file. */
  async reload(table: string): Promise<void> {
    await this.#client.request('htable.reload', [table]);
  }
}
