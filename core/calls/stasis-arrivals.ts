// Waits for a channel of ours to come into our application: ARI's answer to a request does not say that it has happened.
import { HoldfastError } from '../errors.js';

const deadlineMs = 5_000;

interface Waiting {
  readonly arrived: () => void;
  readonly ended: () => void;
}

export class StasisArrivals {
  readonly #waiting = new Map<string, Waiting>();

  /**
   * Runs `make` (ARI's create or originate) and resolves once the channel's StasisStart has come too, in any order: ARI refuses to
   * dial or bridge one that is not there yet. Throws what `make` threw, or ARI_TIMEOUT, or ARI_REFUSED for one that ended before.
   */
  async create(channelId: string, make: () => Promise<unknown>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const come = new Promise<void>((resolve, reject) => {
      const refuse = (): void => reject(new HoldfastError('ARI_REFUSED', `${channelId} ended before its StasisStart`));
      this.#waiting.set(channelId, { arrived: resolve, ended: refuse });
      const late = (): void =>
        reject(new HoldfastError('ARI_TIMEOUT', `no StasisStart of ${channelId} in ${deadlineMs} ms`));
      timer = setTimeout(late, deadlineMs);
    });
    come.catch(() => undefined);
    try {
      await make();
      await come;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(channelId);
    }
  }

  /** Told of every StasisStart; true when somebody waited for it. */
  arrived(channelId: string): boolean {
    const waiting = this.#waiting.get(channelId);
    waiting?.arrived();
    return waiting !== undefined;
  }

  /** Told of every ChannelDestroyed. */
  ended(channelId: string): void {
    this.#waiting.get(channelId)?.ended();
  }
}
