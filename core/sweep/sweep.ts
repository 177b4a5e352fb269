// Ends what belongs to nobody, wherever it is left: at the second look, when it has been seen for long enough.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

/** Something that no call knows. */
export interface Stray {
  /** Nothing else at its place ever bears it. */
  readonly id: string;
  /** In words, for the log: `bridge x-conf on call-1, which no call has`. */
  readonly what: string;
  /** For the log line. */
  readonly fields: Readonly<Record<string, string>>;
  /** Ends it, unless somebody knows it by now; false where it was gone, or known. */
  readonly end: () => Promise<boolean>;
}

/** A place where something may be left. */
export interface SweptPlace {
  readonly name: string;
  readonly everyMs: number;
  readonly look: () => Promise<readonly Stray[]>;
}

export interface SweepOptions {
  /** Those that can be looked at now. */
  readonly places: () => readonly SweptPlace[];
  /** How long a stray must have been seen. */
  readonly graceMs: () => number;
  readonly log: Logger;
  /** ms since any epoch; a test's clock. */
  readonly now?: () => number;
}

/** A node with thousands of them, as after a flood, takes a while for each, and works at several. */
const endsAtOnce = 4;

interface Seen {
  lookedMs: number;
  looking: boolean;
  /** When each stray was seen first, by its id. */
  strays: ReadonlyMap<string, number>;
}

/**
 * What is just being set up or taken down belongs to nobody for a moment: a stray is ended only when looks in a row, over the whole
 * time of grace, have found it.
 */
export class Sweep {
  readonly #options: SweepOptions;
  readonly #now: () => number;
  readonly #seen = new Map<string, Seen>();

  constructor(options: SweepOptions) {
    this.#options = options;
    this.#now = options.now ?? ((): number => performance.now());
  }

  /** Looks at the places whose time has come. To be called often. */
  async run(): Promise<void> {
    const places = this.#options.places();
    const names = new Set(places.map(place => place.name));
    for (const name of this.#seen.keys()) if (!names.has(name)) this.#seen.delete(name);
    await Promise.all(places.map(place => this.#visit(place)));
  }

  async #visit(place: SweptPlace): Promise<void> {
    const seen = this.#seen.get(place.name) ?? { lookedMs: -Infinity, looking: false, strays: none };
    if (seen.looking || this.#now() - seen.lookedMs < place.everyMs) return;
    this.#seen.set(place.name, seen);
    seen.looking = true;
    try {
      await this.#look(place, seen);
    } catch (error) {
      // Nobody knows what was there meanwhile.
      seen.strays = none;
      this.#options.log.debug({ place: place.name, error }, `${place.name} not swept: ${messageOf(error)}`);
    } finally {
      seen.lookedMs = this.#now();
      seen.looking = false;
    }
  }

  async #look(place: SweptPlace, seen: Seen): Promise<void> {
    const strays = await place.look();
    const nowMs = this.#now();
    const before = seen.strays;
    seen.strays = new Map(strays.map(({ id }) => [id, before.get(id) ?? nowMs]));
    const overdue = strays.filter(({ id }) => nowMs - (before.get(id) ?? nowMs) >= this.#options.graceMs());
    const oneAfterTheOther = async (): Promise<void> => {
      for (let stray = overdue.shift(); stray; stray = overdue.shift()) await this.#end(stray);
    };
    await Promise.all(Array.from({ length: endsAtOnce }, oneAfterTheOther));
  }

  async #end({ what, fields, end }: Stray): Promise<void> {
    const { log } = this.#options;
    try {
      if (await end()) log.info({ ...fields, limit: 'strayGraceSeconds' }, `ended ${what}`);
    } catch (error) {
      log.warn({ ...fields, error }, `not ended: ${what}: ${messageOf(error)}`);
    }
  }
}

const none: ReadonlyMap<string, number> = new Map();
