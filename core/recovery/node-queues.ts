// What is to be sent to each node: so many at once, in the order of their priority, each when its node and its trunk let it pass.
import { PacedQueue, type Waiting } from './paced-queue.js';

export interface QueuedWork extends Waiting {
  readonly trunk?: string;
  readonly run: () => Promise<void>;
}

export interface NodeQueuesOptions {
  /** How much of a node's work is under way at the same time. */
  readonly atOnce: number;
  /** Work that takes longer than this, ms, waits for somebody far away: the next one sets off meanwhile. */
  readonly busyMs: number;
  /** How many a second a node lets pass, now. */
  readonly perSecond: () => number;
  /** How many a second a trunk lets pass, now; Infinity: as many as come. */
  readonly trunkPerSecond: (trunk: string) => number;
}

interface OfNode extends QueuedWork {
  readonly node: string;
}

export class NodeQueues {
  readonly #options: NodeQueuesOptions;
  readonly #underWay = new Map<string, number>();
  readonly #nodes = new Map<string, PacedQueue<OfNode>>();
  /** What waits for its trunk's turn, by trunk: it keeps nobody else waiting. */
  readonly #trunks = new Map<string, PacedQueue<OfNode>>();

  constructor(options: NodeQueuesOptions) {
    this.#options = options;
  }

  add(node: string, all: readonly QueuedWork[]): void {
    const free: OfNode[] = [];
    for (const work of all) {
      const one = { ...work, node };
      if (work.trunk !== undefined && this.#isPaced(work.trunk)) this.#trunk(work.trunk).add([one]);
      else free.push(one);
    }
    this.#node(node).add(free);
  }

  /** What still waits for the node waits for nothing any more. */
  drop(node: string): void {
    for (const queue of [...this.#nodes.values(), ...this.#trunks.values()]) queue.drop(one => one.node === node);
  }

  #isPaced(trunk: string): boolean {
    return Number.isFinite(this.#options.trunkPerSecond(trunk));
  }

  #trunk(name: string): PacedQueue<OfNode> {
    const queue =
      this.#trunks.get(name) ??
      new PacedQueue<OfNode>({
        perSecond: () => this.#options.trunkPerSecond(name),
        isOpen: () => true,
        pass: one => this.#node(one.node).add([one]),
      });
    this.#trunks.set(name, queue);
    return queue;
  }

  #node(name: string): PacedQueue<OfNode> {
    const queue =
      this.#nodes.get(name) ??
      new PacedQueue<OfNode>({
        perSecond: this.#options.perSecond,
        isOpen: () => (this.#underWay.get(name) ?? 0) < this.#options.atOnce,
        pass: one => this.#begin(one),
      });
    this.#nodes.set(name, queue);
    return queue;
  }

  #begin({ node, run }: OfNode): void {
    this.#count(node, 1);
    let isBusy = true;
    const next = (): void => {
      if (!isBusy) return;
      isBusy = false;
      clearTimeout(late);
      this.#count(node, -1);
      void this.#node(node).drain();
    };
    const late = setTimeout(next, this.#options.busyMs);
    void run().finally(next);
  }

  #count(node: string, change: number): void {
    this.#underWay.set(node, (this.#underWay.get(node) ?? 0) + change);
  }
}
