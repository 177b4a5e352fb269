// Every registrar holds every binding: what one of them hears from a phone, the others are given, so that any of them may go on for any other.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AriClient, AsteriskFarm, AsteriskListener } from '../ports/asterisk.js';
import type { Store, Table } from '../store/store.js';
import { bindingKey, type Bindings } from './bindings.js';
import { readContact, type HeldContact } from './contact-fields.js';
import { heardChange, isSame, reconcile, type KnownContact, type Verdict } from './reconcile.js';

export interface RegistrarCopiesOptions {
  readonly store: Store;
  readonly bindings: Bindings;
  readonly asterisks: AsteriskFarm;
  /** Names of the subscribers that every registrar has. */
  readonly subscribers: () => readonly string[];
  /** For how long a registration is taken to be granted where its registrar died before it could be asked. */
  readonly presumedSeconds: () => number;
  readonly log: Logger;
}

/** One registrar as we know it. */
interface Copy {
  readonly node: string;
  readonly ari: AriClient;
  /** What it holds, by key; only while its events are heard. */
  readonly held: Map<string, KnownContact>;
  /** How often we have written each of them: what was read before is old. */
  readonly writes: Map<string, number>;
  /** One thing after the other. */
  tail: Promise<void>;
  synced: boolean;
}

/** Requests to one registrar at a time, when all that it holds is read. */
const readsAtOnce = 16;
const againMs = 1_000;

export class RegistrarCopies {
  readonly #options: RegistrarCopiesOptions;
  readonly #processes: Table<{ startupTime: string }>;
  readonly #copies = new Map<string, Copy>();

  constructor(options: RegistrarCopiesOptions) {
    this.#options = options;
    this.#processes = options.store.table('registrar-processes', z.object({ startupTime: z.string() }));
  }

  /** True when the registrar holds all bindings: only then may it get traffic. */
  isSynced(node: string): boolean {
    return this.#copies.get(node)?.synced ?? false;
  }

  /** What is heard of one registrar. */
  listener(node: string): AsteriskListener {
    return {
      connected: ({ startupTime }) => {
        const { ari } = this.#options.asterisks.node(node);
        const copy: Copy = {
          ...{ node, ari, held: new Map(), writes: new Map(), synced: false },
          tail: this.#copies.get(node)?.tail ?? Promise.resolve(),
        };
        this.#copies.set(node, copy);
        this.#queue(copy, () => this.#syncUntilDone(copy, startupTime));
      },
      disconnected: () => void this.#copies.delete(node),
      event: event => {
        const copy = this.#copies.get(node);
        if (event.type !== 'ContactStatusChange' || !copy) return;
        const { aor, uri, contact_status: status } = event.contact_info;
        const key = bindingKey(aor, uri);
        const seen = copy.writes.get(key);
        // Read at once: a registrar that has said 200 may be gone in the next moment.
        const reading = this.#read(copy, contactId(aor, uri)).then(
          held => ({ held }),
          (error: unknown) => ({ error }),
        );
        this.#queue(copy, async () => {
          const read = await reading;
          const isOld = copy.writes.get(key) !== seen;
          if (isOld) await this.#changed(copy, aor, uri, await this.#read(copy, contactId(aor, uri)));
          else if ('held' in read) await this.#changed(copy, aor, uri, read.held);
          else await this.#presume(copy, aor, uri, status, read.error);
        });
      },
    };
  }

  /** After the subscribers of the config have changed: nobody is registered who is none of them. */
  async forgetStrangers(): Promise<void> {
    const known = new Set(this.#options.subscribers());
    for (const { subscriber, contact } of this.#options.bindings.list()) {
      if (!known.has(subscriber)) await this.#forget(subscriber, contact);
    }
  }

  #queue(copy: Copy, work: () => Promise<void>): void {
    copy.tail = copy.tail.then(work).catch((error: unknown) => {
      if (this.#copies.get(copy.node) !== copy) return;
      this.#options.log.warn({ node: copy.node, error }, `bindings of ${copy.node} not read: ${messageOf(error)}`);
    });
  }

  async #changed(copy: Copy, subscriber: string, uri: string, held: HeldContact | undefined): Promise<void> {
    const key = bindingKey(subscriber, uri);
    const before = copy.held.get(key);
    const bound = this.#options.bindings.get(key);
    await this.#act(heardChange({ held, before, bound, nowMs: Date.now() }), copy, subscriber, uri, held);
  }

  /** It died with what it had just granted: of that we know who and where, not for how long, nor behind which NAT. */
  async #presume(copy: Copy, subscriber: string, contact: string, status: string, error: unknown): Promise<void> {
    const { bindings, presumedSeconds, log } = this.#options;
    const known = bindings.get(bindingKey(subscriber, contact));
    log.debug({ node: copy.node, contact, error }, `${contact} could not be read any more: ${messageOf(error)}`);
    if (status === 'Removed') return this.#forget(subscriber, contact);
    const expiresMs = Math.max(known?.expiresMs ?? 0, Math.ceil(Date.now() / 1000 + presumedSeconds()) * 1000);
    const plain = { path: [], pathHeader: '', q: 1, flow: null, userAgent: '' };
    await bindings.put({ ...plain, ...known, subscriber, contact, expiresMs, node: copy.node });
    this.#others(copy, other => this.#give(other, bindingKey(subscriber, contact)));
  }

  async #syncUntilDone(copy: Copy, startupTime: string): Promise<void> {
    while (this.#copies.get(copy.node) === copy && !copy.synced) {
      try {
        await this.#sync(copy, startupTime);
      } catch (error) {
        this.#options.log.warn({ node: copy.node, error }, `bindings of ${copy.node} not read: ${messageOf(error)}`);
        await sleep(againMs);
      }
    }
  }

  async #sync(copy: Copy, startupTime: string): Promise<void> {
    const { bindings, log } = this.#options;
    await bindings.prune();
    const restarted = (await this.#processes.get(copy.node))?.value.startupTime !== startupTime;
    const found = await this.#readAll(copy);
    const all = new Map(bindings.list().map(one => [bindingKey(one.subscriber, one.contact), one]));
    for (const [key, { subscriber, held }] of found) {
      const bound = this.#boundAt(copy.node, key);
      const removedExpiresMs = bindings.removedExpiresMs(key);
      await this.#act(reconcile({ held, bound, removedExpiresMs, restarted }), copy, subscriber, held.uri, held);
      all.delete(key);
    }
    for (const [key, { subscriber, contact }] of all) {
      const bound = this.#boundAt(copy.node, key);
      const verdict = reconcile({ held: undefined, bound, removedExpiresMs: undefined, restarted });
      await this.#act(verdict, copy, subscriber, contact, undefined);
    }
    await this.#processes.put(copy.node, { startupTime });
    copy.synced = true;
    log.debug({ node: copy.node, found: found.size }, `${copy.node} holds all bindings`);
  }

  #boundAt(node: string, key: string): (KnownContact & { isOwn: boolean }) | undefined {
    const bound = this.#options.bindings.get(key);
    return bound && { expiresMs: bound.expiresMs, pathHeader: bound.pathHeader, isOwn: bound.node === node };
  }

  async #act(
    verdict: Verdict,
    copy: Copy,
    subscriber: string,
    uri: string,
    held: HeldContact | undefined,
  ): Promise<void> {
    const key = bindingKey(subscriber, uri);
    if (held) copy.held.set(key, held);
    else copy.held.delete(key);
    if (verdict === 'give') await this.#give(copy, key);
    if (verdict === 'erase') await this.#erase(copy, subscriber, uri);
    if (verdict === 'forget') await this.#forget(subscriber, uri);
    if (verdict !== 'take' || !held) return;
    const { uri: contact, ...known } = held;
    await this.#options.bindings.put({ subscriber, contact, ...known, node: copy.node });
    this.#others(copy, other => this.#give(other, key));
  }

  async #forget(subscriber: string, uri: string): Promise<void> {
    await this.#options.bindings.remove(bindingKey(subscriber, uri));
    this.#others(undefined, other => this.#erase(other, subscriber, uri));
  }

  #others(but: Copy | undefined, work: (copy: Copy) => Promise<void>): void {
    for (const copy of this.#copies.values()) if (copy !== but) this.#queue(copy, () => work(copy));
  }

  /** As the binding is when its turn comes. */
  async #give(copy: Copy, key: string): Promise<void> {
    const bound = this.#options.bindings.get(key);
    const held = copy.held.get(key);
    if (!bound || bound.expiresMs <= Date.now() || (held && isSame(held, bound))) return;
    const { subscriber, contact, expiresMs, pathHeader, userAgent } = bound;
    this.#noteWrite(copy, key);
    await copy.ari.asterisk.updateObject({
      ...{ configClass: 'res_pjsip', objectType: 'contact', id: contactId(subscriber, contact) },
      fields: Object.entries({
        uri: contact,
        expiration_time: String(expiresMs / 1000),
        path: pathHeader,
        user_agent: userAgent,
        endpoint: subscriber,
      }).map(([attribute, value]) => ({ attribute, value })),
    });
    copy.held.set(key, { expiresMs, pathHeader });
  }

  async #erase(copy: Copy, subscriber: string, uri: string): Promise<void> {
    const key = bindingKey(subscriber, uri);
    if (!copy.held.delete(key)) return;
    this.#noteWrite(copy, key);
    await ifThere(
      copy.ari.asterisk.deleteObject({
        ...{ configClass: 'res_pjsip', objectType: 'contact', id: contactId(subscriber, uri) },
      }),
    );
  }

  #noteWrite(copy: Copy, key: string): void {
    copy.writes.set(key, (copy.writes.get(key) ?? 0) + 1);
  }

  /** Every contact that the registrar holds, by key. */
  async #readAll(copy: Copy): Promise<Map<string, { readonly subscriber: string; readonly held: HeldContact }>> {
    const found = new Map<string, { readonly subscriber: string; readonly held: HeldContact }>();
    const waiting = [...this.#options.subscribers()];
    const reader = async (): Promise<void> => {
      for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
        const asked = { configClass: 'res_pjsip', objectType: 'aor', id: name };
        const fields = (await ifThere(copy.ari.asterisk.getObject(asked))) ?? [];
        for (const { value } of fields.filter(({ attribute }) => attribute === 'contact')) {
          const held = await this.#read(copy, contactId(name, value));
          if (held) found.set(bindingKey(name, held.uri), { subscriber: name, held });
        }
      }
    };
    await Promise.all(Array.from({ length: readsAtOnce }, reader));
    return found;
  }

  async #read(copy: Copy, id: string): Promise<HeldContact | undefined> {
    const asked = { configClass: 'res_pjsip', objectType: 'contact', id };
    const fields = await ifThere(copy.ari.asterisk.getObject(asked));
    return fields && readContact(fields);
  }
}

/** The AoR and the MD5 of the URI (res_pjsip_registrar.c). */
function contactId(subscriber: string, uri: string): string {
  return `${subscriber};@${createHash('md5').update(uri).digest('hex')}`;
}

async function ifThere<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === 404) return undefined;
    throw error;
  }
}
