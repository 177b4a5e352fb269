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
    const gone: string[] = [];
    for (const name of new Set(names)) {
      const last = (await this.#table.get(name))?.value;
      const now = this.#host.process(name);
      if (last && (now?.pid !== last.pid || now.startTicks !== last.startTicks)) gone.push(name);
    }
    return gone;
  }
}
