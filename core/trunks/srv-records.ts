// SRV records of the names of gateways and registrars (RFC 2782), asked for as long as they are wanted.
import { resolveSrv } from 'node:dns/promises';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { SrvRecord } from './gateway-list.js';

export interface SrvRecordsOptions {
  /** Of a name such as `_sip._udp.example.net`. Default: the machine's DNS. */
  readonly resolve?: (name: string) => Promise<readonly SrvRecord[]>;
  readonly log: Logger;
}

/** DNS tells no time to live of SRV records here. */
const resolveEveryMs = 60_000;

export class SrvRecords {
  readonly #options: SrvRecordsOptions;
  readonly #records = new Map<string, readonly SrvRecord[]>();
  readonly #asked = new Map<string, { readonly againMs: number; readonly done: Promise<void> }>();

  constructor(options: SrvRecordsOptions) {
    this.#options = options;
  }

  /** What is known of a name; bound, as it is handed around. */
  readonly of = (name: string): readonly SrvRecord[] => this.#records.get(name) ?? [];

  /** Asks where that is due; resolves when there has been an answer since, or none could be had. */
  refresh(name: string, nowMs: number): Promise<void> {
    const asked = this.#asked.get(name);
    if (asked && asked.againMs > nowMs) return asked.done;
    const done = this.#resolve(name);
    this.#asked.set(name, { againMs: nowMs + resolveEveryMs, done });
    return done;
  }

  /** What was known stays where DNS fails. */
  async #resolve(name: string): Promise<void> {
    const { resolve = resolveSrv, log } = this.#options;
    try {
      this.#records.set(name, await resolve(name));
    } catch (error) {
      if (isNone(error)) this.#records.delete(name);
      else log.warn({ name, error }, `SRV records of ${name} are not known: ${messageOf(error)}`);
    }
  }
}

/** The name has none. */
function isNone(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENODATA' || code === 'ENOTFOUND';
}
