// Waits for channels we make to enter our application: ARI refuses to dial or bridge one that is not there yet.
import { HoldfastError } from '../errors.js';

/** Asterisk's answer to `create` and the channel's StasisStart come in any order, a few milliseconds apart. */
const deadlineMs = 5_000;

export class StasisArrivals {
  readonly #waiting = new Map<string, () => void>();

  /**
   * Runs `create` and resolves once the channel's StasisStart has come too. Throws what `create` threw, or ARI_TIMEOUT.
   */
  async create(channelId: string, create: () => Promise<unknown>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const arrived = new Promise<void>((resolve, reject) => {
      this.#waiting.set(channelId, resolve);
      timer = setTimeout(
        () => reject(new HoldfastError('ARI_TIMEOUT', `no StasisStart of ${channelId} in ${deadlineMs} ms`)),
        deadlineMs,
      );
    });
    arrived.catch(() => undefined);
    try {
      await create();
      await arrived;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(channelId);
    }
  }

  /** Told of every StasisStart; true when somebody waited for it. */
  arrived(channelId: string): boolean {
    const resolve = this.#waiting.get(channelId);
    resolve?.();
    return resolve !== undefined;
  }
}
