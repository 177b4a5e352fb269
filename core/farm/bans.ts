// The bans of all Kamailios kept equal: what one finds the others are told, and what an operator lifts is lifted everywhere.
import { z } from 'zod';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { EdgeBan, EdgeFarm } from '../ports/edge.js';
import type { Store, Table } from '../store/store.js';

const ban = z.object({ source: z.string(), reason: z.string(), untilSeconds: z.number() });

export interface BansOptions {
  readonly edge: Pick<EdgeFarm, 'bans' | 'ban' | 'unban'>;
  /** Kamailios that answer. */
  readonly instances: () => readonly string[];
  readonly store: Store;
  readonly log: Logger;
}

const everyMs = 2_000;

/** Each Kamailio bans by itself, also while the daemon is away; a ban that the daemon knows is in its store, and outlives them all. */
export class Bans {
  readonly #options: BansOptions;
  readonly #table: Table<EdgeBan>;
  readonly #bans = new Map<string, EdgeBan>();
  /** Source → end of the ban that was lifted: a Kamailio that was away then may still have it. */
  readonly #lifted = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(options: BansOptions) {
    this.#options = options;
    this.#table = options.store.table('bans', ban);
  }

  async start(): Promise<void> {
    for await (const [source, { value }] of this.#table.range()) this.#bans.set(source, value);
    this.#timer = setInterval(() => void this.tend(), everyMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  list(): readonly EdgeBan[] {
    const now = nowSeconds();
    return [...this.#bans.values()].filter(one => one.untilSeconds > now);
  }

  async add(source: string, reason: string, seconds: number): Promise<EdgeBan> {
    const added = { source, reason, untilSeconds: nowSeconds() + seconds };
    this.#lifted.delete(source);
    await this.#note(added, 'an operator');
    await this.#everywhere(instance => this.#options.edge.ban(instance, added));
    return added;
  }

  /** False where there is no such ban. */
  async lift(source: string): Promise<boolean> {
    const known = this.#bans.get(source);
    if (!known) return false;
    this.#bans.delete(source);
    this.#lifted.set(source, known.untilSeconds);
    await this.#table.delete(source);
    await this.#everywhere(instance => this.#options.edge.unban(instance, source));
    this.#options.log.info({ source }, `the ban of ${source} is lifted`);
    return true;
  }

  /** Brings all Kamailios to the same bans; one run at a time. */
  tend(): Promise<void> {
    this.#running ??= this.#tend().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #tend(): Promise<void> {
    await this.#prune();
    const held = new Map<string, readonly EdgeBan[]>();
    await this.#everywhere(async instance => void held.set(instance, await this.#options.edge.bans(instance)));
    for (const [instance, bans] of held) for (const one of bans) await this.#found(instance, one);
    for (const [instance, bans] of held) {
      const has = new Map(bans.map(one => [one.source, one.untilSeconds]));
      for (const one of this.list()) {
        if ((has.get(one.source) ?? 0) < one.untilSeconds)
          await this.#try(instance, () => this.#options.edge.ban(instance, one));
      }
    }
  }

  async #found(instance: string, one: EdgeBan): Promise<void> {
    if ((this.#lifted.get(one.source) ?? 0) >= one.untilSeconds) {
      await this.#try(instance, () => this.#options.edge.unban(instance, one.source));
      return;
    }
    if ((this.#bans.get(one.source)?.untilSeconds ?? 0) < one.untilSeconds) await this.#note(one, instance);
  }

  async #note(one: EdgeBan, by: string): Promise<void> {
    this.#bans.set(one.source, one);
    await this.#table.put(one.source, one);
    const until = new Date(one.untilSeconds * 1000).toISOString();
    this.#options.log.warn({ ...one, by }, `${one.source} is banned until ${until} by ${by}: ${one.reason}`);
  }

  async #prune(): Promise<void> {
    const now = nowSeconds();
    for (const [source, untilSeconds] of this.#lifted) if (untilSeconds <= now) this.#lifted.delete(source);
    for (const [source, { untilSeconds }] of this.#bans) {
      if (untilSeconds > now) continue;
      this.#bans.delete(source);
      await this.#table.delete(source);
    }
  }

  async #everywhere(work: (instance: string) => Promise<void>): Promise<void> {
    await Promise.all(this.#options.instances().map(instance => this.#try(instance, () => work(instance))));
  }

  /** One that does not answer is told at another time. */
  async #try(instance: string, work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) =>
      this.#options.log.debug({ instance, error }, `bans of ${instance} are not known: ${messageOf(error)}`),
    );
  }
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
