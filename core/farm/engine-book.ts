// Names the incarnations of the RTPEngines: a restart is a new one, a dead one has a successor, a name is never used again.
import { z } from 'zod';
import type { EngineIncarnation } from '../ports/edge.js';
import type { NodeProcess } from '../ports/node-host.js';
import type { Store, StoreWrite, Table } from '../store/store.js';
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
  readonly #store: Store;
  readonly #table: Table<Incarnation>;
  readonly #incarnations = new Map<string, Incarnation>();

  constructor(store: Store) {
    this.#store = store;
    this.#table = store.table('engines', incarnation);
  }

  async load(): Promise<void> {
    for await (const [, { value }] of this.#table.range()) this.#incarnations.set(value.id, value);
  }

  /** Notes which process an engine is now. True for one that was not seen before: another incarnation. */
  async observe(node: FarmNode, { pid, startTicks }: NodeProcess): Promise<boolean> {
    const all = [...this.#incarnations.values()];
    // One that was declared dead stays so: its media have left it.
    if (all.some(one => one.node === node.name && one.pid === pid && one.startTicks === startTicks)) return false;
    const earlier = all.filter(one => one.node === node.name && !one.dead);
    for (const one of earlier) await this.#save({ ...one, dead: true });
    const serial = 1 + Math.max(0, ...all.map(one => one.serial));
    const id = `e${node.index}-${serial.toString(36)}`;
    await this.#save({ id, node: node.name, serial, pid, startTicks, dead: false, successor: null });
    await this.#prune();
    return true;
  }

  /**
   * The engine's process is gone, or must not be believed in any more. Known at once, resolved once it is in the store, together with `also`: a daemon
   * that finds an engine dead in the store asks no more what becomes of its media.
   */
  async bury(node: string, pid: number, also: readonly StoreWrite[] = []): Promise<void> {
    const one = [...this.#incarnations.values()].find(each => each.node === node && each.pid === pid && !each.dead);
    if (one) await this.#save({ ...one, dead: true }, also);
  }

  /** Buries those whose process has ended while nobody looked, each with its `also`; returns their nodes. */
  async buryGone(
    processOf: (node: string) => NodeProcess | undefined,
    also: (node: string) => readonly StoreWrite[] = () => [],
  ): Promise<string[]> {
    const gone = [...this.#incarnations.values()].filter(one => {
      const now = processOf(one.node);
      return !one.dead && (now?.pid !== one.pid || now.startTicks !== one.startTicks);
    });
    for (const { node, pid } of gone) await this.bury(node, pid, also(node));
    return gone.map(one => one.node);
  }

  /** Incarnation → node that has the media of its dialogs: its own or, where it is dead, that of who took over. */
  serving(): ReadonlyMap<string, string> {
    const nodeOf = ({ dead, node, successor }: Incarnation): string | undefined => {
      const next = successor === null ? undefined : this.#incarnations.get(successor);
      return dead ? next && nodeOf(next) : node;
    };
    const all = [...this.#incarnations.values()].map(one => [one.id, nodeOf(one)] as const);
    return new Map(all.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
  }

  /** All incarnations for the edge: living ones with their node's state, dead ones with whoever took over. */
  list(stateOf: (node: string) => NodeState): EngineIncarnation[] {
    const all = [...this.#incarnations.values()].sort((a, b) => a.serial - b.serial);
    const living = all.filter(one => !one.dead && stateOf(one.node) !== 'dead');
    return all.map((one): EngineIncarnation => {
      if (living.includes(one)) return { id: one.id, node: one.node, state: stateOf(one.node) };
      // One that has not answered this daemon yet has the media of its dialogs as ever: another one would make sessions of its own for them.
      const successor = one.dead ? (one.successor ?? this.#succeed(one, living)) : null;
      return { id: one.id, node: one.node, state: 'dead', ...(successor === null ? {} : { successor }) };
    });
  }

  #succeed(one: Incarnation, living: readonly Incarnation[]): string | null {
    const successor = living[one.serial % Math.max(1, living.length)]?.id ?? null;
    if (successor !== null) void this.#save({ ...one, successor }).catch(() => undefined);
    return successor;
  }

  async #save(one: Incarnation, also: readonly StoreWrite[] = []): Promise<void> {
    this.#incarnations.set(one.id, one);
    await this.#store.transaction([this.#table.putting(one.id, one), ...also]);
  }

  async #prune(): Promise<void> {
    const dead = [...this.#incarnations.values()].filter(one => one.dead).sort((a, b) => b.serial - a.serial);
    for (const one of dead.slice(deadKept)) {
      this.#incarnations.delete(one.id);
      await this.#table.delete(one.id);
    }
  }
}
