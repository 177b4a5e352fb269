// The bindings of all subscribers (RFC 3261 §10), kept by the daemon so that they outlive every registrar, and the daemon.
import { z } from 'zod';
import type { Logger } from '../log.js';
import type { Contact, Location } from '../plugin-api.js';
import type { Store, Table } from '../store/store.js';

const binding = z.object({
  subscriber: z.string(),
  /** Contact URI as the phone registered it. */
  contact: z.string(),
  /** Route values towards it (RFC 3327), nearest first. */
  path: z.array(z.string()).readonly().default([]),
  /** The Path that the registrar was given, as it keeps it. */
  pathHeader: z.string().default(''),
  /** How much the phone wants to be the one that is called, 0 to 1. */
  q: z.number().default(1),
  /** `IP:port` that a phone behind NAT sends from. */
  flow: z.string().nullable().default(null),
  userAgent: z.string().default(''),
  /** ms since the epoch */
  expiresMs: z.number(),
  /** Registrar that took the last REGISTER. */
  node: z.string(),
});
export type Binding = z.infer<typeof binding>;

const removal = z.object({ expiresMs: z.number() });

export interface BindingsOptions {
  readonly store: Store;
  readonly log: Logger;
}

/** A binding ends by its own time, or when a registrar says that its phone has taken it back. */
export class Bindings implements Location {
  readonly #log: Logger;
  readonly #table: Table<Binding>;
  readonly #removals: Table<z.infer<typeof removal>>;
  readonly #bindings = new Map<string, Binding>();
  /** Keys of each subscriber's: a call looks for one among tens of thousands. */
  readonly #keys = new Map<string, Set<string>>();
  /** Taken back before their time; a registrar that was away then may bring them up again. */
  readonly #removed = new Map<string, number>();

  constructor({ store, log }: BindingsOptions) {
    this.#log = log;
    this.#table = store.table('bindings', binding);
    this.#removals = store.table('removed-bindings', removal);
  }

  async load(): Promise<void> {
    for await (const [key, { value }] of this.#table.range()) this.#note(key, value);
    for await (const [key, { value }] of this.#removals.range()) this.#removed.set(key, value.expiresMs);
    await this.prune();
  }

  contacts(subscriber: string): readonly string[] {
    return this.bound(subscriber).map(({ uri }) => uri);
  }

  /** Those that have not expired, the best first, and among equals the one that was registered last. */
  bound(subscriber: string): readonly Contact[] {
    const now = Date.now();
    return [...(this.#keys.get(subscriber) ?? [])]
      .flatMap(key => this.#bindings.get(key) ?? [])
      .filter(one => one.expiresMs > now)
      .sort((a, b) => b.q - a.q || b.expiresMs - a.expiresMs)
      .map(({ contact, path, q }) => ({ uri: contact, q, ...(path.length === 0 ? {} : { path }) }));
  }

  list(): Binding[] {
    const now = Date.now();
    return [...this.#bindings.values()].filter(one => one.expiresMs > now);
  }

  get(key: string): Binding | undefined {
    return this.#bindings.get(key);
  }

  removedExpiresMs(key: string): number | undefined {
    return this.#removed.get(key);
  }

  async put(one: Binding): Promise<void> {
    const key = bindingKey(one.subscriber, one.contact);
    const known = this.#bindings.get(key);
    this.#note(key, one);
    // Both at once: what comes next for this key comes after both.
    await Promise.all([this.#table.put(key, one), this.#removed.delete(key) ? this.#removals.delete(key) : undefined]);
    if (known) return;
    const { subscriber, contact, node } = one;
    this.#log.info({ ...one }, `${subscriber} is registered at ${contact} (${node})`);
  }

  async remove(key: string): Promise<void> {
    const known = this.#bindings.get(key);
    if (!known) return;
    const { subscriber, contact, expiresMs } = known;
    this.#bindings.delete(key);
    const others = this.#keys.get(subscriber);
    if (others?.delete(key) && others.size === 0) this.#keys.delete(subscriber);
    const isEarly = expiresMs > Date.now();
    if (isEarly) this.#removed.set(key, expiresMs);
    await Promise.all([this.#table.delete(key), isEarly ? this.#removals.put(key, { expiresMs }) : undefined]);
    this.#log.info({ ...known }, `${subscriber} is no longer registered at ${contact}`);
  }

  async prune(): Promise<void> {
    const now = Date.now();
    for (const [key, { expiresMs }] of this.#bindings) if (expiresMs <= now) await this.remove(key);
    for (const [key, expiresMs] of this.#removed) {
      if (expiresMs > now) continue;
      this.#removed.delete(key);
      await this.#removals.delete(key);
    }
  }

  #note(key: string, one: Binding): void {
    this.#bindings.set(key, one);
    const keys = this.#keys.get(one.subscriber) ?? new Set();
    this.#keys.set(one.subscriber, keys.add(key));
  }
}

export function bindingKey(subscriber: string, contact: string): string {
  return `${subscriber} ${contact}`;
}
