// What is to be sent to each node: so many at once, in the order of their priority, each when its pacers let it pass.
import { Pacer } from './pacer.js';

export interface QueuedWork {
  readonly priority: number;
  /** Limits that it counts for, with how many a second they let pass; `node` is one of each node's own. */
  readonly limits: readonly (readonly [name: string, perSecond: number])[];
  /** False where it is not for this node any more: it is then left out. */
  readonly isWanted: (node: string) => boolean;
  readonly run: () => Promise<void>;
}

export class NodeQueues {
  readonly #atOnce: number;
  readonly #pacers = new Map<string, Pacer>();
  readonly #inFlight = new Map<string, number>();
  readonly #queues = new Map<string, QueuedWork[]>();

  /** `atOnce`: how much of a node's work is under way at the same time. */
  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  add(node: string, work: readonly QueuedWork[]): void {
    const queue = this.#queues.get(node) ?? [];
    this.#queues.set(node, queue);
    queue.push(...work);
    queue.sort((a, b) => b.priority - a.priority);
    void this.#drain(node, queue);
  }

  /** What still waits for the node waits for nothing any more. */
  drop(node: string): void {
    this.#queues.get(node)?.splice(0);
    this.#queues.delete(node);
  }

  async #drain(node: string, queue: QueuedWork[]): Promise<void> {
    while ((this.#inFlight.get(node) ?? 0) < this.#atOnce) {
      const next = queue.shift();
      if (!next) return;
      if (!next.isWanted(node)) continue;
      this.#count(node, 1);
      for (const [name, perSecond] of next.limits)
        await this.#pacer(name === 'node' ? `node ${node}` : name, perSecond).turn();
      void next.run().finally(() => {
        this.#count(node, -1);
        void this.#drain(node, queue);
      });
    }
  }

  #count(node: string, change: number): void {
    this.#inFlight.set(node, (this.#inFlight.get(node) ?? 0) + change);
  }

  #pacer(name: string, perSecond: number): Pacer {
    const pacer = this.#pacers.get(name) ?? new Pacer(perSecond);
    this.#pacers.set(name, pacer);
    return pacer;
  }
}
