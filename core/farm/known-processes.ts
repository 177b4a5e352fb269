// Remembers which process each Asterisk was, so that a daemon that comes back knows which of them died while it was away.
import { z } from 'zod';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { NodeHost } from '../ports/node-host.js';
import type { Store, Table } from '../store/store.js';
import { isAsterisk } from './farm-plan.js';
import type { NodeStates } from './node-states.js';

const known = z.object({ pid: z.number(), startTicks: z.number() });

export class KnownProcesses {
  readonly #table: Table<z.infer<typeof known>>;
  readonly #host: NodeHost;

  constructor(store: Store, host: NodeHost, states: NodeStates, log: Logger) {
    this.#table = store.table('asterisk-processes', known);
    this.#host = host;
    states.onChange('known processes', ({ node, to }) => {
      const process = host.process(node.name);
      // A drained one starts as draining.
      if ((to !== 'up' && to !== 'draining') || !isAsterisk(node.farm) || !process) return;
      const { pid, startTicks } = process;
      this.#table
        .put(node.name, { pid, startTicks })
        .catch((error: unknown) =>
          log.warn({ node: node.name, error }, `the process of ${node.name} is not noted: ${messageOf(error)}`),
        );
    });
  }

  /** Those of these nodes whose last known process is gone. Asked before any is started. */
  async gone(names: Iterable<string>): Promise<string[]> {
    const all = await Promise.all([...new Set(names)].map(async name => [name, await this.#fate(name)] as const));
    return all.flatMap(([name, fate]) => (fate === 'gone' ? [name] : []));
  }

  /** True where the process that the node has now was up before, with this daemon or an earlier one. */
  async wasUp(name: string): Promise<boolean> {
    return (await this.#fate(name)) === 'there';
  }

  async #fate(name: string): Promise<'there' | 'gone' | undefined> {
    const last = (await this.#table.get(name))?.value;
    const now = this.#host.process(name);
    if (!last) return undefined;
    return now?.pid === last.pid && now.startTicks === last.startTicks ? 'there' : 'gone';
  }
}
