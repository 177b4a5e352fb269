// Remembers which process each Asterisk was, so that a daemon that comes back knows which of them died while it was away.
import { z } from 'zod';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { NodeHost } from '../ports/node-host.js';
import type { Store, Table } from '../store/store.js';
import { isAsterisk, type FarmNode } from './farm-plan.js';
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
      if (to !== 'up' || !isAsterisk(node.farm) || !process) return;
      const { pid, startTicks } = process;
      this.#table
        .put(node.name, { pid, startTicks })
        .catch((error: unknown) =>
          log.warn({ node: node.name, error }, `the process of ${node.name} is not noted: ${messageOf(error)}`),
        );
    });
  }

  /** Nodes whose last known process is gone. Asked before any is started. */
  async gone(nodes: readonly FarmNode[]): Promise<FarmNode[]> {
    const gone: FarmNode[] = [];
    for (const node of nodes) {
      const last = (await this.#table.get(node.name))?.value;
      const now = this.#host.process(node.name);
      if (last && (now?.pid !== last.pid || now.startTicks !== last.startTicks)) gone.push(node);
    }
    return gone;
  }
}
