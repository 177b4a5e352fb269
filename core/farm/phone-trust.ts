// Tells every Kamailio from where registered phones send: these are never limited, whichever instance they come by.
import type { EdgeFarm } from '../ports/edge.js';
import type { Binding } from '../registrations/bindings.js';

export interface PhoneTrustOptions {
  readonly edge: Pick<EdgeFarm, 'trust'>;
  readonly instances: () => readonly string[];
  readonly bindings: () => readonly Binding[];
}

const everyMs = 5_000;
/** As long as a Kamailio trusts a phone that it has seen itself; told again after half of it. */
const trustSeconds = 3_600;

export class PhoneTrust {
  readonly #options: PhoneTrustOptions;
  /** `instance address` → when it was told, ms. */
  readonly #told = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PhoneTrustOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.tend(Date.now()), everyMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** It lost its tables. */
  forget(instance: string): void {
    for (const key of this.#told.keys()) if (key.startsWith(`${instance} `)) this.#told.delete(key);
  }

  async tend(nowMs: number): Promise<void> {
    // A phone behind NAT has another address now and then: what is no longer trusted is told anew if it comes back.
    for (const [key, toldMs] of this.#told) if (nowMs - toldMs > trustSeconds * 1000) this.#told.delete(key);
    const addresses = new Set(this.#options.bindings().flatMap(addressOf));
    for (const instance of this.#options.instances()) {
      for (const address of addresses) {
        const key = `${instance} ${address}`;
        if (nowMs - (this.#told.get(key) ?? 0) < (trustSeconds * 1000) / 2) continue;
        try {
          await this.#options.edge.trust(instance, address, trustSeconds);
          this.#told.set(key, nowMs);
        } catch {
          // It does not answer: told when it does.
          break;
        }
      }
    }
  }
}

/** Where its packets come from. */
function addressOf({ flow, contact }: Binding): readonly string[] {
  const address = flow?.replace(/:\d+$/, '') ?? /^sips?:(?:[^@]*@)?(\d+\.\d+\.\d+\.\d+)/i.exec(contact)?.[1];
  return address === undefined ? [] : [address];
}
