// What is to be sent to each node: so many at once, in the order of their priority, each when its node and its trunk let it pass.
import { Pacer } from './pacer.js';

export interface QueuedWork {
  readonly priority: number;
  /** How many a second its node lets pass. */
  readonly perSecond: number;
  readonly trunk?: TrunkPace;
  /** False where it is not for this node any more: it is then left out. */
  readonly isWanted: (node: string) => boolean;
  readonly run: () => Promise<void>;
}

/** The trunk that work is of, and how many a second that lets pass. */
export interface TrunkPace {
  readonly name: string;
  readonly perSecond: number;
}

export interface NodeQueuesOptions {
  /** How much of a node's work is under way at the same time. */
  readonly atOnce: number;
  /** Work that takes longer than this, ms, waits for somebody far away: the next one sets off meanwhile. */
  readonly busyMs: number;
}

interface OfTrunk {
  readonly node: string;
  readonly work: QueuedWork;
}

export class NodeQueues {
  readonly #options: NodeQueuesOptions;
  readonly #pacers = new Map<string, Pacer>();
  readonly #underWay = new Map<string, number>();
  readonly #queues = new Map<string, QueuedWork[]>();
  /** What waits for its trunk's turn, by trunk: it keeps nobody else waiting. */
  readonly #trunks = new Map<string, OfTrunk[]>();

  constructor(options: NodeQueuesOptions) {
    this.#options = options;
  }

  add(node: string, all: readonly QueuedWork[]): void {
    const paced = all.filter(({ trunk }) => Number.isFinite(trunk?.perSecond));
    for (const work of paced) if (work.trunk) this.#addToTrunk(work.trunk, { node, work });
    this.#enqueue(
      node,
      all.filter(work => !paced.includes(work)),
    );
  }

  /** What still waits for the node waits for nothing any more. */
  drop(node: string): void {
    this.#queues.delete(node);
  }

  #addToTrunk(trunk: TrunkPace, one: OfTrunk): void {
    const waiting = this.#trunks.get(trunk.name);
    if (waiting) waiting.push(one);
    else {
      const first = [one];
      this.#trunks.set(trunk.name, first);
      void this.#drainTrunk(trunk, first);
    }
  }

  async #drainTrunk({ name, perSecond }: TrunkPace, waiting: OfTrunk[]): Promise<void> {
    while (waiting.length > 0) {
      await this.#pacer(`trunk ${name}`).turn(perSecond);
      waiting.sort((a, b) => b.work.priority - a.work.priority);
      // What was for a node that is gone takes nobody's turn.
      while (waiting[0]?.work.isWanted(waiting[0].node) === false) waiting.shift();
      const next = waiting.shift();
      if (next) this.#enqueue(next.node, [next.work]);
    }
    this.#trunks.delete(name);
  }

  #enqueue(node: string, work: readonly QueuedWork[]): void {
    const queue = this.#queues.get(node) ?? [];
    this.#queues.set(node, queue);
    queue.push(...work);
    queue.sort((a, b) => b.priority - a.priority);
    void this.#drain(node);
  }

  async #drain(node: string): Promise<void> {
    while ((this.#underWay.get(node) ?? 0) < this.#options.atOnce) {
      const next = this.#queues.get(node)?.shift();
      if (!next) return;
      if (!next.isWanted(node)) continue;
      this.#count(node, 1);
      await this.#pacer(`node ${node}`).turn(next.perSecond);
      this.#begin(node, next);
    }
  }

  #begin(node: string, work: QueuedWork): void {
    let isBusy = true;
    const next = (): void => {
      if (!isBusy) return;
      isBusy = false;
      clearTimeout(late);
      this.#count(node, -1);
      void this.#drain(node);
    };
    const late = setTimeout(next, this.#options.busyMs);
    void work.run().finally(next);
  }

  #count(node: string, change: number): void {
    this.#underWay.set(node, (this.#underWay.get(node) ?? 0) + change);
  }

  #pacer(name: string): Pacer {
    const pacer = this.#pacers.get(name) ?? new Pacer();
    this.#pacers.set(name, pacer);
    return pacer;
  }
}
