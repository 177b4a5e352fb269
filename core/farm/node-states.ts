// What the daemon believes of every node, and who is told when it changes.
import { Emitter } from '../events/emitter.js';
import type { Logger } from '../log.js';
import type { FarmName, FarmNode, NodeState } from './farm-plan.js';

export interface NodeChange {
  readonly node: FarmNode;
  readonly from: NodeState;
  readonly to: NodeState;
  readonly reason: string;
}

interface Entry {
  readonly node: FarmNode;
  /** Health as the probes see it; draining is the operator's wish and kept beside it. */
  health: 'up' | 'suspect' | 'dead';
  draining: boolean;
  reason: string;
  /** Whether anybody has said anything of it since the daemon started. */
  seen: boolean;
}

/** The table of node states. A node that is up and drained shows as draining; a dead one as dead. */
export class NodeStates {
  readonly #entries = new Map<string, Entry>();
  readonly #events: Emitter<{ changed: [NodeChange] }>;
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
    this.#events = new Emitter(log);
  }

  onChange(owner: string, listener: (change: NodeChange) => unknown): () => void {
    return this.#events.on('changed', owner, listener);
  }

  /** Adds a node, dead until a probe says otherwise; one that is known already stays as it is. */
  add(node: FarmNode): void {
    if (this.#entries.has(node.name)) return;
    this.#entries.set(node.name, { node, health: 'dead', draining: false, reason: 'not seen yet', seen: false });
  }

  remove(name: string): void {
    this.#entries.delete(name);
  }

  nodes(farm?: FarmName): FarmNode[] {
    return [...this.#entries.values()]
      .map(entry => entry.node)
      .filter(node => farm === undefined || node.farm === farm);
  }

  node(name: string): FarmNode | undefined {
    return this.#entries.get(name)?.node;
  }

  state(name: string): NodeState {
    const entry = this.#entries.get(name);
    return entry ? shown(entry) : 'dead';
  }

  /** True for one that has died or is none of ours; a node that nobody has looked at yet, just after a start, may well be alive. */
  isDead(name: string): boolean {
    const entry = this.#entries.get(name);
    return entry === undefined || (entry.health === 'dead' && entry.seen);
  }

  /** Why the node is in its state, in words. */
  reason(name: string): string {
    return this.#entries.get(name)?.reason ?? 'not in the config';
  }

  isDraining(name: string): boolean {
    return this.#entries.get(name)?.draining ?? false;
  }

  /** Nodes of a farm that may get new calls. */
  up(farm: FarmName): FarmNode[] {
    return this.nodes(farm).filter(node => this.state(node.name) === 'up');
  }

  setHealth(name: string, health: 'up' | 'suspect' | 'dead', reason: string): void {
    this.#change(name, reason, entry => Object.assign(entry, { health, seen: true }));
  }

  setDraining(name: string, draining: boolean, reason: string): void {
    this.#change(name, reason, entry => (entry.draining = draining));
  }

  #change(name: string, reason: string, apply: (entry: Entry) => unknown): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    const from = shown(entry);
    apply(entry);
    const to = shown(entry);
    if (from === to) {
      this.#stays(entry, reason);
      return;
    }
    entry.reason = reason;
    const level = to === 'up' || to === 'draining' ? 'info' : 'warn';
    this.#log[level]({ node: name, from, to, reason }, `${name} is ${to}: ${reason}`);
    this.#events.emit('changed', { node: entry.node, from, to, reason });
  }

  /** What keeps a node from being up may be something else by now. */
  #stays(entry: Entry, reason: string): void {
    if (entry.health !== 'suspect' || entry.reason === reason) return;
    entry.reason = reason;
    this.#log.warn({ node: entry.node.name, reason }, `${entry.node.name} is still suspect: ${reason}`);
  }
}

function shown(entry: Entry): NodeState {
  return entry.health === 'up' && entry.draining ? 'draining' : entry.health;
}
