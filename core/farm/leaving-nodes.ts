// Nodes that the config no longer has: they take no new calls, and leave the farm when they are empty.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AsteriskFarm } from '../ports/asterisk.js';
import type { NodeHost } from '../ports/node-host.js';
import type { EdgeKeeper } from './edge-keeper.js';
import type { EdgeSync } from './edge-sync.js';
import { isAsterisk, type FarmNode } from './farm-plan.js';
import type { NodeStates } from './node-states.js';

export interface LeavingNodesOptions {
  readonly host: NodeHost;
  readonly states: NodeStates;
  readonly sync: EdgeSync;
  readonly edge: EdgeKeeper;
  readonly asterisks: AsteriskFarm;
  readonly log: Logger;
  /** Calls on a node now. */
  readonly callsOn: (node: string) => number;
  /** Its process is about to be ended. */
  readonly unwatch: (node: string) => void;
  readonly left: (node: string) => void;
}

/** Between two looks; and packets that were under way when the balancer changed are still served. */
const lookMs = 500;

/** Another one each time, as a node may be taken back and leave again. */
interface Leave {
  /** From when nothing takes it back any more; resolves when it has left. */
  gone?: Promise<void>;
}

export class LeavingNodes {
  readonly #options: LeavingNodesOptions;
  readonly #leaves = new Map<string, Leave>();
  #closed = false;

  constructor(options: LeavingNodesOptions) {
    this.#options = options;
  }

  has(name: string): boolean {
    return this.#leaves.has(name);
  }

  /** Its process is being ended, by us: nothing takes it back any more. */
  isGoing(name: string): boolean {
    return this.#leaves.get(name)?.gone !== undefined;
  }

  /** Resolves when one that is going has left; at once for any other. */
  async gone(name: string): Promise<void> {
    await this.#leaves.get(name)?.gone;
  }

  /** From this moment it gets no new call. */
  drain(name: string): void {
    this.#options.states.setDraining(name, true, 'not in the config any more');
  }

  start(node: FarmNode): void {
    const { name } = node;
    const leave: Leave = {};
    this.#leaves.set(name, leave);
    this.#leave(node, leave).catch((error: unknown) => {
      this.#options.log.error(
        { node: name, error },
        `${name} does not leave: ${messageOf(error)}; reload to try again`,
      );
      if (this.#leaves.get(name) === leave) this.#leaves.delete(name);
    });
  }

  takeBack(name: string): void {
    this.#leaves.delete(name);
    this.#options.states.setDraining(name, false, 'in the config again');
  }

  close(): void {
    this.#closed = true;
  }

  async #leave(node: FarmNode, leave: Leave): Promise<void> {
    const { edge, sync, callsOn } = this.#options;
    const { name } = node;
    const leaves = (): boolean => this.#leaves.get(name) === leave && !this.#closed;
    this.drain(name);
    await edge.apply(`${name} leaves`);
    await sync.balance();
    do await new Promise(resolve => setTimeout(resolve, lookMs));
    while (leaves() && callsOn(name) > 0);
    if (!leaves()) return;
    leave.gone = this.#end(node);
    await leave.gone;
  }

  async #end({ name, farm }: FarmNode): Promise<void> {
    const { states, host, edge, asterisks, unwatch, left, log } = this.#options;
    unwatch(name);
    if (farm === 'kamailio') edge.forget(name);
    if (isAsterisk(farm)) await asterisks.node(name).close();
    await host.stop(name);
    this.#leaves.delete(name);
    left(name);
    states.remove(name);
    await edge.apply(`${name} has left`);
    log.info({ node: name }, `${name} has left the farm`);
  }
}
