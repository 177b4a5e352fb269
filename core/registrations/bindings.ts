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
  /** `IP:port` that a phone behind NAT, or on a connection, sends from. */
  flow: z.string().nullable().default(null),
  /** The connection: `<tcp|tls>~<Kamailio>~<its start>~<number>`. */
  connection: z.string().nullable().default(null),
  /** Call-ID of its REGISTERs. */
  callId: z.string().default(''),
  /** Flows on connections that it had before, as the edge writes them, the latest last. */
  before: z.array(z.string()).readonly().default([]),
  userAgent: z.string().default(''),
  /** ms since the epoch */
  expiresMs: z.number(),
  /** Registrar that took the last REGISTER. */
  node: z.string(),
});
export type Binding = z.infer<typeof binding>;

/** As many as a phone may have had whose calls are still up. */
const mostBefore = 8;

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
  #moved: () => void = () => undefined;

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
    const all = this.#of(subscriber).filter(one => one.expiresMs > now);
    const left = new Set(all.flatMap(({ before }) => before));
    return all
      .filter(one => !left.has(flowOf(one) ?? ''))
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

  /** Of every phone that came back by another connection: from which flow it moved to which. */
  moves(): readonly { readonly from: string; readonly to: string }[] {
    return this.list().flatMap(one => {
      const to = flowOf(one);
      return to === undefined ? [] : one.before.map(from => ({ from, to }));
    });
  }

  /** Who is told when a phone has come back by another connection. */
  onMove(listener: () => void): void {
    this.#moved = listener;
  }

  async put(told: Omit<Binding, 'before'>): Promise<void> {
    const key = bindingKey(told.subscriber, told.contact);
    const known = this.#bindings.get(key);
    const one = { ...told, before: formerFlows(told, this.#of(told.subscriber)) };
    this.#note(key, one);
    if (one.before.length > 0 && flowOf(one) !== (known && flowOf(known))) this.#moved();
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

  #of(subscriber: string): readonly Binding[] {
    return [...(this.#keys.get(subscriber) ?? [])].flatMap(key => this.#bindings.get(key) ?? []);
  }

  #note(key: string, one: Binding): void {
    this.#bindings.set(key, one);
    const keys = this.#keys.get(one.subscriber) ?? new Set();
    this.#keys.set(one.subscriber, keys.add(key));
  }
}

/** As the edge writes it; undefined for one that is not on a connection. */
function flowOf({ flow, connection }: Pick<Binding, 'flow' | 'connection'>): string | undefined {
  return flow === null || connection === null ? undefined : `${flow.replace(':', '~')}~${connection}`;
}

/**
 * What the phone had before it came back by this connection. Its Contact may have the new port in it, and is another one then: it
 * is the same phone where its REGISTERs have the same Call-ID.
 */
function formerFlows(one: Omit<Binding, 'before'>, bindings: readonly Binding[]): readonly string[] {
  const now = flowOf(one);
  const isIts = (other: Binding): boolean =>
    other.contact === one.contact ||
    (one.callId !== '' && other.callId === one.callId && placeOf(other.contact) === placeOf(one.contact));
  const flows = bindings.filter(isIts).flatMap(other => [...other.before, flowOf(other) ?? []].flat());
  return [...new Set(flows)].filter(flow => flow !== now).slice(-mostBefore);
}

/** A contact without its port and parameters. */
function placeOf(contact: string): string {
  return contact.replace(/^(sips?:(?:[^@]*@)?[^:;?]*).*$/s, '$1');
}

export function bindingKey(subscriber: string, contact: string): string {
  return `${subscriber} ${contact}`;
}
