// Ends RTPEngine sessions that no call knows: a BYE that nobody answered leaves one, and the edge deletes only on answers.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { MediaEngines } from '../ports/media.js';

export interface MediaSweepOptions {
  readonly media: MediaEngines;
  readonly engines: () => readonly string[];
  /** SIP Call-IDs of every leg there is; undefined while one of them is not known yet. */
  readonly callIds: () => ReadonlySet<string> | undefined;
  readonly log: Logger;
}

/** Sessions asked for per engine and sweep. */
const mostSessions = 10_000;

/** A session is ended when two sweeps in a row found it without a call: one that is just being set up is not touched. */
export class MediaSweep {
  readonly #options: MediaSweepOptions;
  #suspects = new Set<string>();
  #running = false;

  constructor(options: MediaSweepOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      const suspects = new Set<string>();
      for (const engine of this.#options.engines()) await this.#sweep(engine, suspects);
      this.#suspects = suspects;
    } finally {
      this.#running = false;
    }
  }

  async #sweep(engine: string, suspects: Set<string>): Promise<void> {
    const { media, callIds, log } = this.#options;
    try {
      const sessions = await media.list(engine, mostSessions);
      // After the list: a call that has begun meanwhile is known.
      const known = callIds();
      for (const callId of sessions) {
        if (!known || known.has(callId)) continue;
        const key = `${engine} ${callId}`;
        if (!this.#suspects.has(key)) suspects.add(key);
        else if (await media.delete(engine, callId)) {
          log.info({ node: engine, sipCallId: callId }, `ended a media session of nobody's on ${engine}`);
        }
      }
    } catch (error) {
      log.debug({ node: engine, error }, `sessions of ${engine} not swept: ${messageOf(error)}`);
    }
  }
}
