// Which Kamailios may have traffic: those that answer, were read back equal, and know of the phones that have moved.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { ApplyExtent } from '../ports/edge.js';
import type { Verdict } from '../sentinel/verdict.js';
import type { EdgeSync } from './edge-sync.js';
import type { NodeStates } from './node-states.js';
import type { ToldRows } from './told-rows.js';

export interface EdgeKeeperOptions {
  readonly sync: EdgeSync;
  /** Phones that came back by another connection. */
  readonly moved: Pick<ToldRows, 'tell' | 'knows' | 'forget'>;
  /** Addresses of registered phones. One that lacks some may have traffic: it limits them as it does strangers. */
  readonly trusted: Pick<ToldRows, 'tell' | 'forget'>;
  readonly states: NodeStates;
  readonly log: Logger;
}

/** How long a Kamailio may take over a change; its rtpengine module refuses reloads for some seconds after a start. */
const slowChangeMs = 15_000;

export class EdgeKeeper {
  readonly #options: EdgeKeeperOptions;
  /** Kamailios that answer → when each was last equal, 0 for never. */
  readonly #answering = new Map<string, number>();
  /** Those that did not take all phones that have moved, and why. */
  readonly #untold = new Map<string, string>();
  #tending: Promise<void> | undefined;

  constructor(options: EdgeKeeperOptions) {
    this.#options = options;
  }

  /** What the sentinel hears of one that is not dead. */
  heard(name: string, { health, reason }: Verdict): void {
    if (health === 'up') {
      if (!this.#answering.has(name)) {
        this.#answering.set(name, 0);
        void this.#tell('trusted', name);
      }
      void this.tend();
      return;
    }
    this.forget(name);
    this.#options.states.setHealth(name, 'suspect', reason);
  }

  /** It has to be read back equal before it gets traffic again. */
  forget(name: string): void {
    this.#answering.delete(name);
    this.#untold.delete(name);
    this.#options.sync.forget(name);
    this.#options.moved.forget(name);
    this.#options.trusted.forget(name);
  }

  async apply(reason: string, extent: ApplyExtent = 'all'): Promise<void> {
    try {
      await this.#options.sync.apply(reason, extent);
    } catch (error) {
      this.#options.log.warn({ reason, error }, `the edge was not brought up to date: ${messageOf(error)}`);
    }
  }

  /** Brings those that answer up to date, and says of each what it is. Called again and again; one run at a time. */
  tend(): Promise<void> {
    this.#tending ??= this.#tend().finally(() => (this.#tending = undefined));
    return this.#tending;
  }

  async #tend(): Promise<void> {
    const { sync, moved } = this.#options;
    const untold = [...this.#answering.keys()].filter(name => !moved.knows(name));
    // One that has just begun to answer is told first.
    for (const name of this.#answering.keys()) if (!untold.includes(name)) this.#say(name);
    const different = [...this.#answering.keys()].filter(name => !sync.isEqual(name));
    if (different.length === 0 && untold.length === 0) return;
    await Promise.all([
      different.length > 0 ? this.apply(`${different.join(', ')} not equal yet`) : undefined,
      ...untold.map(name => this.#tell('moved', name)),
    ]);
    for (const name of this.#answering.keys()) this.#say(name);
  }

  async #tell(rows: 'moved' | 'trusted', name: string): Promise<void> {
    try {
      await this.#options[rows].tell(name);
      this.#untold.delete(name);
    } catch (error) {
      if (rows === 'moved') this.#untold.set(name, messageOf(error));
      this.#options.log.debug({ node: name, error }, `${name} was not told of all ${rows} phones: ${messageOf(error)}`);
    }
  }

  #say(name: string): void {
    const { sync, moved, states } = this.#options;
    if (sync.isEqual(name) && moved.knows(name)) {
      this.#answering.set(name, Date.now());
      states.setHealth(name, 'up', 'it answers and holds what it should');
    } else if (!this.#maySayOldThings(name)) {
      const why = sync.trouble(name) ?? this.#untold.get(name);
      const reason = 'it answers and does not hold what it should yet';
      states.setHealth(name, 'suspect', why === undefined ? reason : `${reason}: ${why}`);
    }
  }

  /**
   * One that is slow to take a change goes on with what it held: the calls in set-up are pinned. It loses its traffic when
   * that lasts and another one is equal; with no other one, old tables are better than none.
   */
  #maySayOldThings(name: string): boolean {
    const { states, sync } = this.#options;
    if (states.state(name) !== 'up') return false;
    const others = states.up('kamailio').filter(node => node.name !== name && sync.isEqual(node.name));
    return others.length === 0 || Date.now() - (this.#answering.get(name) ?? 0) < slowChangeMs;
  }
}
