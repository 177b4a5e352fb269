// One registrar while its events are heard: what it holds, and what is asked of it and told to it, one thing after the other.
import { createHash } from 'node:crypto';
import { HoldfastError } from '../errors.js';
import type { AriClient } from '../ports/asterisk.js';
import { bindingKey, type Binding } from './bindings.js';
import { readContact, type HeldContact } from './contact-fields.js';
import { isSame, soonMs, type KnownContact } from './reconcile.js';

/** Requests at a time, when all that it holds is read. */
const readsAtOnce = 16;

/** A contact of a phone, whether it is there or not. */
export interface ContactName {
  readonly subscriber: string;
  readonly uri: string;
}

export interface FoundContact extends ContactName {
  readonly held: HeldContact;
}

export class RegistrarCopy {
  readonly node: string;
  readonly startupTime: string;
  readonly #ari: AriClient;
  readonly #held = new Map<string, KnownContact>();
  /** Contacts that are being read. One that we write meanwhile was read too early. */
  readonly #readings = new Set<{ readonly key: string; isOld: boolean }>();
  #tail = Promise.resolve();
  /** True when it holds all bindings. */
  isSynced = false;

  constructor({ node, ari, startupTime }: { node: string; ari: AriClient; startupTime: string }) {
    this.node = node;
    this.startupTime = startupTime;
    this.#ari = ari;
  }

  /** Does it when all that was queued before is done. */
  queue(work: () => Promise<void>, failed: (error: unknown) => Promise<void>): void {
    this.#tail = this.#tail.then(work).catch(failed);
  }

  /** What we last knew it to hold. */
  known(key: string): KnownContact | undefined {
    return this.#held.get(key);
  }

  note(key: string, held: KnownContact | undefined): void {
    if (held) this.#held.set(key, held);
    else this.#held.delete(key);
  }

  /**
   * Reads a contact at once, as a registrar that has said 200 may be gone in the next moment, for a turn in the queue that comes later: it is read
   * again then if this failed, or if it was before a write of ours.
   */
  readAhead(contact: ContactName): () => Promise<HeldContact | undefined> {
    const reading = { key: bindingKey(contact.subscriber, contact.uri), isOld: false };
    this.#readings.add(reading);
    const answer = this.#read(contact).catch(() => void (reading.isOld = true));
    return async () => {
      const held = await answer;
      this.#readings.delete(reading);
      return reading.isOld ? this.#read(contact) : held;
    };
  }

  /** Every contact that it holds of these subscribers. ARI lists no objects, but an AoR has its contacts among its fields. */
  async readAll(subscribers: Iterable<string>): Promise<FoundContact[]> {
    const found: FoundContact[] = [];
    const waiting = [...subscribers];
    const reader = async (): Promise<void> => {
      for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
        const asked = { configClass: 'res_pjsip', objectType: 'aor', id: name };
        const fields = (await ifThere(this.#ari.asterisk.getObject(asked))) ?? [];
        for (const { value } of fields.filter(({ attribute }) => attribute === 'contact')) {
          const held = await this.#read({ subscriber: name, uri: value });
          if (held) found.push({ subscriber: name, uri: held.uri, held });
        }
      }
    };
    await Promise.all(Array.from({ length: readsAtOnce }, reader));
    return found;
  }

  /** Has it hold of this contact what is bound, or nothing: what is about to end there does so by itself. */
  async bring({ subscriber, uri }: ContactName, bound: Binding | undefined): Promise<void> {
    const key = bindingKey(subscriber, uri);
    const held = this.#held.get(key);
    if (bound ? held && isSame(held, bound) : !held || held.expiresMs <= Date.now() + soonMs) return;
    const named = { configClass: 'res_pjsip', objectType: 'contact', id: contactId({ subscriber, uri }) };
    this.#outdate(key);
    try {
      if (bound) await this.#ari.asterisk.updateObject({ ...named, fields: fieldsOf(bound) });
      else await ifThere(this.#ari.asterisk.deleteObject(named));
    } finally {
      this.#outdate(key);
    }
    this.note(key, bound);
  }

  #outdate(key: string): void {
    for (const reading of this.#readings) if (reading.key === key) reading.isOld = true;
  }

  async #read(contact: ContactName): Promise<HeldContact | undefined> {
    const asked = { configClass: 'res_pjsip', objectType: 'contact', id: contactId(contact) };
    const fields = await ifThere(this.#ari.asterisk.getObject(asked));
    return fields && readContact(fields);
  }
}

function fieldsOf({ subscriber, contact, expiresMs, pathHeader, userAgent }: Binding): {
  attribute: string;
  value: string;
}[] {
  return Object.entries({
    uri: contact,
    expiration_time: String(expiresMs / 1000),
    path: pathHeader,
    user_agent: userAgent,
    endpoint: subscriber,
  }).map(([attribute, value]) => ({ attribute, value }));
}

/** The AoR and the MD5 of the URI (res_pjsip_registrar.c). */
function contactId({ subscriber, uri }: ContactName): string {
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
