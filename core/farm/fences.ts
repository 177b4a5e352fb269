// Keeps nodes that were declared dead, and whose process may still be there, from reaching anybody: SIP, RTP and ARI.
import { z } from 'zod';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Balancer, NodeHost } from '../ports/node-host.js';
import type { Store, Table } from '../store/store.js';
import type { FarmNode } from './farm-plan.js';

const fence = z.object({ addresses: z.array(z.string()) });

/** A fence holds until the node's process has provably gone, also through a restart of the daemon. */
export class Fences {
  readonly #table: Table<z.infer<typeof fence>>;
  readonly #balancer: Balancer;
  readonly #host: Pick<NodeHost, 'process'>;
  readonly #log: Logger;
  readonly #fenced = new Map<string, readonly string[]>();

  constructor(store: Store, balancer: Balancer, host: Pick<NodeHost, 'process'>, log: Logger) {
    this.#table = store.table('fences', fence);
    this.#balancer = balancer;
    this.#host = host;
    this.#log = log;
  }

  /** Takes up the fences of an earlier daemon, of processes that are still there. */
  async load(): Promise<void> {
    for await (const [name, { value }] of this.#table.range()) {
      if (this.#host.process(name)) this.#fenced.set(name, value.addresses);
      else await this.#table.delete(name);
    }
    await this.#apply();
  }

  /** Names of the fenced nodes. */
  list(): readonly string[] {
    return [...this.#fenced.keys()];
  }

  /** Resolves when no packet of the node's passes any more. */
  async raise(node: FarmNode): Promise<void> {
    const addresses = [node.address, ...(node.external === undefined ? [] : [node.external])];
    this.#fenced.set(node.name, addresses);
    // The fence stands without the note, which only a later daemon would read.
    const noted = this.#table.put(node.name, { addresses }).catch((error: unknown) => {
      this.#log.error({ node: node.name, error }, `the fence of ${node.name} was not noted: ${messageOf(error)}`);
    });
    await Promise.all([this.#apply(), noted]);
    this.#log.warn({ node: node.name, addresses }, `${node.name} is fenced: nothing from it reaches anybody`);
  }

  /** Its process is gone: the next one may speak. */
  async lower(node: FarmNode): Promise<void> {
    if (!this.#fenced.delete(node.name)) return;
    await Promise.all([this.#apply(), this.#table.delete(node.name)]);
    this.#log.info({ node: node.name }, `${node.name} is not fenced any more`);
  }

  async #apply(): Promise<void> {
    try {
      await this.#balancer.fence([...this.#fenced.values()].flat());
    } catch (error) {
      this.#log.error({ error }, `the fence could not be changed: ${messageOf(error)}`);
    }
  }
}
