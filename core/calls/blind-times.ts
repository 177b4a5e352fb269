// Times in which nobody heard a node: when it is heard again, its calls are told what they have missed, and those that an earlier
// daemon left do again what their records say.
import type { Conferences } from '../conferences/conferences.js';
import type { Logger } from '../log.js';
import type { AriChannel, AriSnapshot } from '../ports/asterisk.js';
import type { CallBook } from './call-book.js';
import { missedEvents, resumeActions } from './call-resume.js';
import type { LiveCall } from './live-call.js';

export interface BlindTimesOptions {
  readonly book: CallBook;
  readonly conferences: Pick<Conferences, 'takeUp'>;
  readonly log: Logger;
}

export class BlindTimes {
  readonly #options: BlindTimesOptions;
  /** When we last knew what happened on a node, ms since the epoch. */
  readonly #sinceMs = new Map<string, number>();
  /** The same of nodes that we have never heard. */
  #startedMs = Date.now();
  /** Calls of an earlier daemon whose node was not heard yet. */
  readonly #left = new Set<string>();

  constructor(options: BlindTimesOptions) {
    this.#options = options;
  }

  /** An earlier daemon lived last then, and has left these calls. */
  resumed(startedMs: number, callIds: Iterable<string>): void {
    this.#startedMs = startedMs;
    for (const id of callIds) this.#left.add(id);
  }

  begin(node: string): void {
    this.#sinceMs.set(node, Date.now());
  }

  async end(node: string, snapshot: AriSnapshot): Promise<void> {
    const { book, conferences } = this.#options;
    const channels = new Map(snapshot.channels.map(channel => [channel.id, channel]));
    for (const live of book.all()) this.#takeUp(live, node, channels);
    await conferences.takeUp(node, snapshot, legId => (book.leg(legId)?.recovering ?? null) !== null);
  }

  #takeUp(live: LiveCall, node: string, channels: ReadonlyMap<string, AriChannel>): void {
    if (!live.record.legs.some(leg => leg.node === node)) return;
    const blindSinceMs = this.#sinceMs.get(node) ?? this.#startedMs;
    for (const event of missedEvents(live.record, node, channels, blindSinceMs, leg => live.isDialling(leg))) {
      live.dispatch(event);
    }
    const { id } = live.record;
    if (!this.#left.delete(id)) return;
    live.resume(resumeActions(live.record, channels));
    this.#freeStuck(live);
    live.dispatch({ type: 'flow', event: { type: 'takenUp', blindSinceMs } });
    this.#options.log.info({ call: id, node, state: live.record.state }, `took up call ${id} again`);
  }

  /** A leg that is to give way to a call which has ended, or thought better of it, while no daemon lived. */
  #freeStuck(live: LiveCall): void {
    const calls = this.#options.book.list();
    const awaited = new Set(calls.map(call => (call.ending ? undefined : call.transfer?.other?.leg)));
    for (const { id: leg, gaveWay, ending } of live.record.legs)
      if (gaveWay && !ending && !awaited.has(leg)) live.dispatch({ type: 'staysAfterAll', leg });
  }
}
