// The bindings that the registrars hold (RFC 3261 §10), kept by the daemon so that they outlive every one of them.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Contact, Location } from '../plugin-api.js';
import type { AsteriskFarm, AsteriskListener } from '../ports/asterisk.js';
import { readContact } from './contact-fields.js';
import type { Store, Table } from '../store/store.js';

const binding = z.object({
  subscriber: z.string(),
  /** Contact URI as the phone registered it. */
  contact: z.string(),
  /** Route values towards it (RFC 3327), nearest first. */
  path: z.array(z.string()).default([]),
  /** How much the phone wants to be the one that is called, 0 to 1. */
  q: z.number().default(1),
  /** `IP:port` that a phone behind NAT sends from. */
  flow: z.string().nullable().default(null),
  userAgent: z.string().default(''),
  /** ms since the epoch */
  expiresMs: z.number(),
  /** Registrar that took the REGISTER. */
  node: z.string(),
});
export type Binding = z.infer<typeof binding>;

export interface BindingsOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly log: Logger;
}

/**
 * A registrar tells of each contact that comes, goes or is refreshed; its expiry is then asked for. A registrar's death
 * takes nothing away: a binding ends by its own expiry, or when a living registrar says that it is gone.
 */
export class Bindings implements Location {
  readonly #options: BindingsOptions;
  readonly #table: Table<Binding>;
  readonly #bindings = new Map<string, Binding>();

  constructor(options: BindingsOptions) {
    this.#options = options;
    this.#table = options.store.table('bindings', binding);
  }

  async load(): Promise<void> {
    for await (const [key, { value }] of this.#table.range()) this.#bindings.set(key, value);
    await this.#prune();
  }

  contacts(subscriber: string): readonly string[] {
    return this.bound(subscriber).map(({ uri }) => uri);
  }

  /** Those that have not expired, the best first, and among equals the one that was registered last. */
  bound(subscriber: string): readonly Contact[] {
    const now = Date.now();
    return [...this.#bindings.values()]
      .filter(one => one.subscriber === subscriber && one.expiresMs > now)
      .sort((a, b) => b.q - a.q || b.expiresMs - a.expiresMs)
      .map(({ contact, path, q }) => ({ uri: contact, q, ...(path.length === 0 ? {} : { path }) }));
  }

  list(): Binding[] {
    const now = Date.now();
    return [...this.#bindings.values()].filter(one => one.expiresMs > now);
  }

  /** What is heard of one registrar. */
  listener(node: string): AsteriskListener {
    const guarded = (work: Promise<void>): void => {
      work.catch((error: unknown) =>
        this.#options.log.warn({ node, error }, `bindings of ${node} not read: ${messageOf(error)}`),
      );
    };
    return {
      connected: () => guarded(this.#refresh(node)),
      disconnected: () => undefined,
      event: event => {
        if (event.type !== 'ContactStatusChange') return;
        const { aor, uri } = event.contact_info;
        guarded(this.#read(node, aor, uri));
      },
    };
  }

  /** After a blind time: what this registrar told us before may have been refreshed or removed. */
  async #refresh(node: string): Promise<void> {
    await this.#prune();
    const own = this.list().filter(one => one.node === node);
    for (const { subscriber, contact } of own) await this.#read(node, subscriber, contact);
  }

  /** The registrar's own object of a contact: its id is the AoR and the MD5 of the URI (res_pjsip_registrar.c). */
  async #read(node: string, subscriber: string, contact: string): Promise<void> {
    const id = `${subscriber};@${createHash('md5').update(contact).digest('hex')}`;
    const key = `${subscriber} ${contact}`;
    try {
      const fields = await this.#options.asterisks
        .node(node)
        .ari.asterisk.getObject({ configClass: 'res_pjsip', objectType: 'contact', id });
      const held = readContact(fields);
      if (held === undefined) return;
      const { uri: _, ...known } = held;
      await this.#put(key, { subscriber, contact, ...known, path: [...held.path], node });
    } catch (error) {
      if (!HoldfastError.is(error, 'ARI_REFUSED') || error.details['status'] !== 404) throw error;
      if (this.#bindings.get(key)?.node === node) await this.#remove(key);
    }
  }

  async #put(key: string, one: Binding): Promise<void> {
    const known = this.#bindings.get(key);
    this.#bindings.set(key, one);
    await this.#table.put(key, one);
    if (known) return;
    this.#options.log.info({ ...one }, `${one.subscriber} is registered at ${one.contact} (${one.node})`);
  }

  async #remove(key: string): Promise<void> {
    const known = this.#bindings.get(key);
    this.#bindings.delete(key);
    await this.#table.delete(key);
    if (known) this.#options.log.info({ ...known }, `${known.subscriber} is no longer registered at ${known.contact}`);
  }

  async #prune(): Promise<void> {
    const now = Date.now();
    for (const [key, { expiresMs }] of this.#bindings) if (expiresMs <= now) await this.#remove(key);
  }
}
