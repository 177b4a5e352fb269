// Names the incarnations of the RTPEngines: a restart is a new one, a dead one has a successor, a name is never used again.
import { z } from 'zod';
import type { EngineIncarnation } from '../ports/edge.js';
import type { NodeProcess } from '../ports/node-host.js';
import type { Store, Table } from '../store/store.js';
import type { FarmNode, NodeState } from './farm-plan.js';

const incarnation = z.object({
  id: z.string(),
  node: z.string(),
  serial: z.number(),
  pid: z.number(),
  startTicks: z.number(),
  dead: z.boolean(),
  /** Who took over from a dead one: for good, as it has the media of its dialogs. */
  successor: z.string().nullable().default(null),
});
type Incarnation = z.infer<typeof incarnation>;

/** Dead incarnations are kept for dialogs that still bear their names; the oldest beyond this many are forgotten. */
const deadKept = 64;

export class EngineBook {
  readonly #table: Table<Incarnation>;
  readonly #incarnations = new Map<string, Incarnation>();

  constructor(store: Store) {
    this.#table = store.table('engines', incarnation);
  }

  async load(): Promise<void> {
    for await (const [, { value }] of this.#table.range()) this.#incarnations.set(value.id, value);
  }

  /** Notes which process an engine is now; a process not seen before is a new incarnation. True when something changed. */
  async observe(node: FarmNode, process: NodeProcess | undefined): Promise<boolean> {
    const present = this.#live(node.name);
    const same = present && process && present.pid === process.pid && present.startTicks === process.startTicks;
    if (same === true || (!present && !process)) return false;
    if (present) await this.#save({ ...present, dead: true });
    if (process) {
      const serial = 1 + Math.max(0, ...[...this.#incarnations.values()].map(one => one.serial));
      const id = `e${node.index}-${serial.toString(36)}`;
      await this.#save({
        id,
        node: node.name,
        serial,
        pid: process.pid,
        startTicks: process.startTicks,
        dead: false,
        successor: null,
      });
    }
    await this.#prune();
    return true;
  }

  /** All incarnations for the edge: living ones with their node's state, dead ones with whoever took over. */
  list(stateOf: (node: string) => NodeState): EngineIncarnation[] {
    const all = [...this.#incarnations.values()].sort((a, b) => a.serial - b.serial);
    const living = all.filter(one => !one.dead && stateOf(one.node) !== 'dead');
    return all.map((one): EngineIncarnation => {
      if (living.includes(one)) return { id: one.id, node: one.node, state: stateOf(one.node) };
      const successor = one.successor ?? this.#succeed(one, living);
      return { id: one.id, node: one.node, state: 'dead', ...(successor === null ? {} : { successor }) };
    });
  }

  #succeed(one: Incarnation, living: readonly Incarnation[]): string | null {
    const successor = living[one.serial % Math.max(1, living.length)]?.id ?? null;
    // A process that only does not answer may do so again.
    if (successor !== null && one.dead) void this.#save({ ...one, successor }).catch(() => undefined);
    return successor;
  }

  #live(node: string): Incarnation | undefined {
    return [...this.#incarnations.values()].find(one => one.node === node && !one.dead);
  }

  async #save(one: Incarnation): Promise<void> {
    this.#incarnations.set(one.id, one);
    await this.#table.put(one.id, one);
  }

  async #prune(): Promise<void> {
    const dead = [...this.#incarnations.values()].filter(one => one.dead).sort((a, b) => b.serial - a.serial);
    for (const one of dead.slice(deadKept)) {
      this.#incarnations.delete(one.id);
      await this.#table.delete(one.id);
    }
  }
}
