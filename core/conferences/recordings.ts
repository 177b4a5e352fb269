// Recordings of rooms: begun and ended by command, going on in a new segment when a conference node dies, kept as files.
import { KeyedQueue } from '../calls/keyed-queue.js';
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AriClient, AsteriskFarm } from '../ports/asterisk.js';
import type { Store, Table } from '../store/store.js';
import type { ConferenceRecord } from './conference-record.js';
import {
  following,
  formatRecording,
  kept,
  newRecording,
  nextSegment,
  openSegment,
  recordingSchema,
  stopped,
  type Recording,
  type RecordingSegment,
} from './recording-record.js';

/** Where recordings are kept. Each throws HOST_FAILED. */
export interface RecordingFolder {
  /** Takes a segment's file off its node, also off one that is dead; false where there is none. */
  take(recording: string, segment: RecordingSegment): Promise<boolean>;
  /** Writes the file of times beside it. */
  write(recording: string, text: string): Promise<void>;
}

export interface RecordingsOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly folder: RecordingFolder;
  readonly conference: (id: string) => ConferenceRecord | undefined;
  readonly log: Logger;
  /** Told of the beginning of a recording, and when all its files are in their folder. */
  readonly told: (type: 'started' | 'done', recording: Recording) => void;
}

/** How long a bridge may take to be there, or a file to be closed. */
const patienceMs = 10_000;
const everyMs = 50;

export class Recordings {
  readonly #options: RecordingsOptions;
  readonly #table: Table<Recording>;
  /** All that are not done yet, by id. */
  readonly #recordings = new Map<string, Recording>();
  readonly #queue = new KeyedQueue();

  constructor(options: RecordingsOptions) {
    this.#options = options;
    this.#table = options.store.table('recordings', recordingSchema);
  }

  async load(): Promise<void> {
    for await (const [id, { value }] of this.#table.range()) this.#recordings.set(id, value);
  }

  /** The one that goes on of this conference. */
  of(conference: string): Recording | undefined {
    return [...this.#recordings.values()].find(one => one.conference === conference && one.endedMs === null);
  }

  /** Throws CONFERENCE_REFUSED where it is recorded already, HOST_FAILED, and what ARI refused; then nothing is recorded. */
  async start(conference: ConferenceRecord & { readonly room: string }): Promise<Recording> {
    const going = this.of(conference.id);
    if (going) {
      throw new HoldfastError('CONFERENCE_REFUSED', `room ${conference.room} is being recorded, as ${going.id}`);
    }
    const recording = newRecording(conference, Date.now());
    try {
      await this.#save(recording);
      await this.#queue.run(recording.id, () => this.#begin(recording.id));
    } catch (error) {
      // Nothing is recorded: it must not stand in the way of the next one.
      await this.#forget(recording.id);
      throw error;
    }
    this.#options.told('started', recording);
    return recording;
  }

  /** Resolves when its files are in their folder. Throws CONFERENCE_REFUSED where nothing is recorded. */
  async stop({ id, room }: ConferenceRecord): Promise<Recording> {
    const going = this.of(id);
    if (!going) throw new HoldfastError('CONFERENCE_REFUSED', `room ${room ?? id} is not being recorded`);
    await this.#save(stopped(going, Date.now()));
    await this.#queue.run(going.id, () => this.#collect(going.id));
    return going;
  }

  /** Follows its room: who comes and goes, where it is mixed, and its end. */
  changed(before: ConferenceRecord | undefined, after: ConferenceRecord | undefined): void {
    const going = before && this.of(before.id);
    if (!going) return;
    const now = following(going, before, after, Date.now());
    if (now === going) return;
    const moved = now.segments.length > going.segments.length;
    void this.#guarded(now.id, async () => {
      await this.#save(now);
      await this.#queue.run(now.id, async () => {
        if (moved) await this.#begin(now.id);
        if (moved || now.endedMs !== null) await this.#collect(now.id);
      });
    });
  }

  /** A conference node is there again: what it recorded is looked after, also since an earlier daemon's time. */
  takeUp(node: string): void {
    for (const { id, segments } of this.#recordings.values()) {
      if (segments.every(one => one.node !== node || one.kept)) continue;
      void this.#guarded(id, () =>
        this.#queue.run(id, async () => {
          const recording = this.#recordings.get(id);
          const open = recording && openSegment(recording);
          if (open?.node === node && !(await this.#isLive(open))) await this.#goOn(id, node);
          await this.#collect(id);
        }),
      );
    }
  }

  /** What recorded it is gone, and its room may be too. */
  async #goOn(id: string, node: string): Promise<void> {
    const recording = this.#recordings.get(id);
    if (!recording) return;
    const conference = this.#options.conference(recording.conference);
    if (conference && conference.node !== node) return;
    await this.#save(conference ? nextSegment(recording, node, Date.now()) : stopped(recording, Date.now()));
    await this.#begin(id);
  }

  /** Its bridge may still be on its way. */
  async #begin(id: string): Promise<void> {
    const endMs = Date.now() + patienceMs;
    for (;;) {
      const recording = this.#recordings.get(id);
      const segment = recording && openSegment(recording);
      if (!recording || !segment) return;
      try {
        await this.#ari(segment).bridges.record({
          ...{ bridgeId: recording.conference, name: segment.name, format: 'wav', ifExists: 'fail' },
        });
        this.#options.log.info(
          { conference: recording.conference, recording: id, node: segment.node },
          `recording ${segment.name} has begun on ${segment.node}`,
        );
        return;
      } catch (error) {
        const isComing = HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === 404;
        if (!isComing || Date.now() > endMs) throw error;
      }
      await pause();
    }
  }

  /** Takes the files of all segments that are over; once it has them all it is forgotten. */
  async #collect(id: string): Promise<void> {
    const { folder, log } = this.#options;
    for (const segment of this.#recordings.get(id)?.segments ?? []) {
      if (segment.kept || segment.endedMs === null) continue;
      await this.#close(segment);
      const found = await folder.take(id, segment);
      if (!found) log.warn({ recording: id, node: segment.node }, `${segment.name} has no file on ${segment.node}`);
      const now = this.#recordings.get(id);
      if (now) await this.#save(kept(now, segment.name));
    }
    const recording = this.#recordings.get(id);
    if (recording?.endedMs == null || recording.segments.some(one => !one.kept)) return;
    await this.#forget(id);
    this.#options.told('done', recording);
    log.info({ recording: id, segments: recording.segments.length }, `recording ${id} is done`);
  }

  /** Stops it where it still runs, and waits until its file is closed. A file of a node that cannot be asked is as it is. */
  async #close(segment: RecordingSegment): Promise<void> {
    if (!this.#options.asterisks.node(segment.node).connected) return;
    await this.#ari(segment)
      .recordings.stop({ recordingName: segment.name })
      .catch(() => undefined);
    const endMs = Date.now() + patienceMs;
    while (Date.now() < endMs && (await this.#isLive(segment))) await pause();
  }

  async #isLive(segment: RecordingSegment): Promise<boolean> {
    try {
      await this.#ari(segment).recordings.getLive({ recordingName: segment.name });
      return true;
    } catch (error) {
      return !(HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === 404);
    }
  }

  #ari({ node }: RecordingSegment): AriClient {
    return this.#options.asterisks.node(node).ari;
  }

  async #save(recording: Recording): Promise<void> {
    this.#recordings.set(recording.id, recording);
    await this.#table.put(recording.id, recording);
    await this.#options.folder.write(recording.id, formatRecording(recording));
  }

  async #forget(id: string): Promise<void> {
    this.#recordings.delete(id);
    await this.#table.delete(id);
  }

  async #guarded(id: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.error({ recording: id, error }, `recording ${id}: ${messageOf(error)}`);
    }
  }
}

function pause(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, everyMs));
}
