// Waits for what a channel of ours does next: ARI's answer to a request does not say that it has happened.
import { HoldfastError } from '../errors.js';

const deadlineMs = 5_000;

export class StasisArrivals {
  readonly #waiting = new Map<string, () => void>();

  /**
   * Runs `create` and resolves once the channel's StasisStart has come too: ARI refuses to dial or bridge one that is not
   * there yet. Throws what `create` threw, or ARI_TIMEOUT.
   */
  create(channelId: string, create: () => Promise<unknown>): Promise<void> {
    return this.#both(`StasisStart of ${channelId}`, create);
  }

  /** Runs `dial` and resolves once the far end has answered. Throws what `dial` threw, or ARI_TIMEOUT. */
  answer(channelId: string, dial: () => Promise<unknown>): Promise<void> {
    return this.#both(`answer of ${channelId}`, dial);
  }

  /** Told of every StasisStart; true when somebody waited for it. */
  arrived(channelId: string): boolean {
    return this.#come(`StasisStart of ${channelId}`);
  }

  /** Told of every answer; true when somebody waited for it. */
  answered(channelId: string): boolean {
    return this.#come(`answer of ${channelId}`);
  }

  #come(what: string): boolean {
    const resolve = this.#waiting.get(what);
    resolve?.();
    return resolve !== undefined;
  }

  /** The two come in any order, a few milliseconds apart. */
  async #both(what: string, request: () => Promise<unknown>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const come = new Promise<void>((resolve, reject) => {
      this.#waiting.set(what, resolve);
      timer = setTimeout(() => reject(new HoldfastError('ARI_TIMEOUT', `no ${what} in ${deadlineMs} ms`)), deadlineMs);
    });
    come.catch(() => undefined);
    try {
      await request();
      await come;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(what);
    }
  }
}
