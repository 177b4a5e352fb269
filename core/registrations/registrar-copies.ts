// Every registrar holds every binding: what one of them hears from a phone, the others are given, so that any of them may go on for any other.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AriEvent, AsteriskFarm, AsteriskListener } from '../ports/asterisk.js';
import type { Store, Table } from '../store/store.js';
import { bindingKey, type Binding, type Bindings } from './bindings.js';
import type { HeldContact } from './contact-fields.js';
import { heardChange, reconcile, type Verdict } from './reconcile.js';
import { RegistrarCopy, type ContactName } from './registrar-copy.js';

export interface RegistrarCopiesOptions {
  readonly store: Store;
  readonly bindings: Bindings;
  readonly asterisks: AsteriskFarm;
  /** Names of the subscribers that every registrar has. */
  readonly subscribers: () => ReadonlySet<string>;
  /** For how long a registration is taken to be granted where its registrar died before it could be asked. */
  readonly presumedSeconds: () => number;
  readonly log: Logger;
}

type ContactStatusChange = Extract<AriEvent, { type: 'ContactStatusChange' }>;

const againMs = 1_000;

export class RegistrarCopies {
  readonly #options: RegistrarCopiesOptions;
  readonly #processes: Table<{ startupTime: string }>;
  readonly #copies = new Map<string, RegistrarCopy>();

  constructor(options: RegistrarCopiesOptions) {
    this.#options = options;
    this.#processes = options.store.table('registrar-processes', z.object({ startupTime: z.string() }));
  }

  /** True when the registrar holds all bindings: only then may it get traffic. */
  isSynced(node: string): boolean {
    return this.#copies.get(node)?.isSynced ?? false;
  }

  /** What is heard of one registrar. */
  listener(node: string): AsteriskListener {
    return {
      connected: ({ startupTime }) => {
        const { ari } = this.#options.asterisks.node(node);
        const copy = new RegistrarCopy({ node, ari, startupTime });
        this.#copies.set(node, copy);
        this.#resync(copy);
      },
      disconnected: () => void this.#copies.delete(node),
      event: event => {
        const copy = this.#copies.get(node);
        if (copy && event.type === 'ContactStatusChange') this.#heard(copy, event);
      },
    };
  }

  /** After a start, and after the subscribers of the config have changed: nobody is registered who is none of them. */
  async forgetStrangers(): Promise<void> {
    const known = this.#options.subscribers();
    for (const { subscriber, contact } of this.#options.bindings.list()) {
      if (!known.has(subscriber)) await this.#forget({ subscriber, uri: contact });
    }
  }

  #heard(copy: RegistrarCopy, { contact_info: info }: ContactStatusChange): void {
    const contact = { subscriber: info.aor, uri: info.uri };
    const read = copy.readAhead(contact);
    this.#queue(copy, async () => {
      const answer = await read().then(
        held => ({ held }),
        (error: unknown) => ({ error }),
      );
      if ('error' in answer) return this.#presume(copy, contact, info.contact_status, answer.error);
      const { held } = answer;
      const key = bindingKey(info.aor, info.uri);
      const bound = this.#options.bindings.get(key);
      const verdict = heardChange({ held, before: copy.known(key), bound, nowMs: Date.now() });
      return this.#settle(verdict, copy, contact, held);
    });
  }

  /** It died with what it had just granted: of that we know who and where, not for how long, nor behind which NAT. */
  async #presume(copy: RegistrarCopy, { subscriber, uri }: ContactName, status: string, error: unknown): Promise<void> {
    const { bindings, presumedSeconds, log } = this.#options;
    log.debug({ node: copy.node, uri, error }, `${uri} could not be read any more: ${messageOf(error)}`);
    if (status === 'Removed') return this.#forget({ subscriber, uri });
    const known = bindings.get(bindingKey(subscriber, uri));
    const expiresMs = Math.max(known?.expiresMs ?? 0, Math.ceil(Date.now() / 1000 + presumedSeconds()) * 1000);
    const plain = { path: [], pathHeader: '', q: 1, flow: null, connection: null, callId: '', userAgent: '' };
    return this.#keep({ ...plain, ...known, subscriber, contact: uri, expiresMs, node: copy.node });
  }

  async #sync(copy: RegistrarCopy): Promise<void> {
    const { bindings, subscribers, log } = this.#options;
    const { node, startupTime } = copy;
    await bindings.prune();
    const restarted = (await this.#processes.get(node))?.value.startupTime !== startupTime;
    const found = await copy.readAll(subscribers());
    const held = new Map(found.map(one => [bindingKey(one.subscriber, one.uri), one]));
    const lacking = bindings.list().map(({ subscriber, contact }) => ({ subscriber, uri: contact, held: undefined }));
    const all = [...found, ...lacking.filter(one => !held.has(bindingKey(one.subscriber, one.uri)))];
    for (const contact of all) {
      const key = bindingKey(contact.subscriber, contact.uri);
      const kept = bindings.get(key);
      const bound = kept && { ...kept, isOwn: kept.node === node };
      const removedExpiresMs = bindings.removedExpiresMs(key);
      const verdict = reconcile({ held: contact.held, bound, removedExpiresMs, restarted });
      await this.#settle(verdict, copy, contact, contact.held);
    }
    await this.#processes.put(node, { startupTime });
    copy.isSynced = true;
    log.debug({ node, found: found.length }, `${node} holds all bindings`);
  }

  async #settle(
    verdict: Verdict,
    copy: RegistrarCopy,
    contact: ContactName,
    held: HeldContact | undefined,
  ): Promise<void> {
    const { subscriber, uri } = contact;
    copy.note(bindingKey(subscriber, uri), held);
    if (verdict === 'forget') return this.#forget(contact);
    if (verdict === 'ours' || !held) return this.#bring(copy, contact);
    const { uri: _, ...known } = held;
    return this.#keep({ subscriber, contact: uri, ...known, node: copy.node });
  }

  async #keep(binding: Omit<Binding, 'before'>): Promise<void> {
    const { subscriber, contact: uri } = binding;
    // A registrar's word of somebody whom a reload has just taken out may come late.
    if (!this.#options.subscribers().has(subscriber)) return this.#forget({ subscriber, uri });
    await this.#options.bindings.put(binding);
    this.#tellAll({ subscriber, uri });
  }

  async #forget(contact: ContactName): Promise<void> {
    await this.#options.bindings.remove(bindingKey(contact.subscriber, contact.uri));
    this.#tellAll(contact);
  }

  #tellAll(contact: ContactName): void {
    for (const copy of this.#copies.values()) this.#queue(copy, () => this.#bring(copy, contact));
  }

  /** As the binding is when its turn comes, which may be another than when it was queued. */
  async #bring(copy: RegistrarCopy, contact: ContactName): Promise<void> {
    const bound = this.#options.bindings.get(bindingKey(contact.subscriber, contact.uri));
    try {
      await copy.bring(contact, bound && bound.expiresMs > Date.now() ? bound : undefined);
    } catch (error) {
      // One that it will not take keeps no other from being given.
      if (!HoldfastError.is(error, 'ARI_REFUSED')) throw error;
      this.#options.log.warn({ node: copy.node, ...contact, error }, `${contact.uri}: ${messageOf(error)}`);
    }
  }

  /** What fails shows that we do not know any more what it holds. */
  #queue(copy: RegistrarCopy, work: () => Promise<void>): void {
    copy.queue(work, async (error: unknown) => {
      if (this.#isCurrent(copy, error) && copy.isSynced) this.#resync(copy);
    });
  }

  #resync(copy: RegistrarCopy): void {
    copy.isSynced = false;
    copy.queue(
      () => this.#sync(copy),
      async (error: unknown) => {
        if (!this.#isCurrent(copy, error)) return;
        await sleep(againMs);
        this.#resync(copy);
      },
    );
  }

  /** What fails with one that is gone is nothing to tell of. */
  #isCurrent(copy: RegistrarCopy, error: unknown): boolean {
    const { node } = copy;
    if (this.#copies.get(node) !== copy) return false;
    this.#options.log.warn({ node, error }, `what ${node} holds of the bindings is not known: ${messageOf(error)}`);
    return true;
  }
}
