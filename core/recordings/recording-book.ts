// Recordings that are under way: begun on their nodes, going on in a new segment when one dies, their files taken into their folder.
import { KeyedQueue } from '../calls/keyed-queue.js';
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AriClient, AsteriskFarm } from '../ports/asterisk.js';
import type { Table } from '../store/store.js';
import { kept, openSegment, stopped, type Recorded, type RecordingSegment } from './recording-segments.js';

/** Where recordings are kept. Each throws HOST_FAILED. */
export interface RecordingFolder {
  /** Takes a segment's file off its node, also off one that is dead; false where there is none. */
  take(recording: string, segment: RecordingSegment): Promise<boolean>;
  /** Writes the file of times beside it. */
  write(recording: string, text: string): Promise<void>;
}

export interface RecordingBookOptions<T extends Recorded> {
  readonly table: Table<T>;
  readonly asterisks: AsteriskFarm;
  readonly folder: RecordingFolder;
  readonly log: Logger;
  /** What the file beside its segments says. */
  readonly format: (recording: T) => string;
  /** Has the segment's node record; refused with 404 while that is still on its way there. */
  readonly record: (recording: T, segment: RecordingSegment, ari: AriClient) => Promise<void>;
  /** Ends what listened for a segment, where something did. */
  readonly release?: (segment: RecordingSegment, ari: AriClient) => Promise<unknown>;
  /** As it goes on where what recorded it on this node is gone: with another segment, or ended. */
  readonly carriedOn: (recording: T, node: string) => T;
  /** All its files are in their folder. */
  readonly done: (recording: T) => Promise<void> | void;
}

/** How long what is recorded may take to be there, or a file to be closed. */
const patienceMs = 10_000;
const everyMs = 50;

export class RecordingBook<T extends Recorded> {
  readonly #options: RecordingBookOptions<T>;
  /** All that are not done yet, by id. */
  readonly #recordings = new Map<string, T>();
  readonly #queue = new KeyedQueue();
  /** Two that write one file of times at once would take it from each other. */
  readonly #writes = new KeyedQueue();

  constructor(options: RecordingBookOptions<T>) {
    this.#options = options;
  }

  async load(): Promise<readonly T[]> {
    for await (const [id, { value }] of this.#options.table.range()) this.#recordings.set(id, value);
    return this.list();
  }

  list(): readonly T[] {
    return [...this.#recordings.values()];
  }

  get(id: string): T | undefined {
    return this.#recordings.get(id);
  }

  /** Throws HOST_FAILED, and what ARI refused; then nothing is recorded. */
  async start(recording: T): Promise<void> {
    try {
      await this.#save(recording);
      await this.#queue.run(recording.id, () => this.#begin(recording.id));
    } catch (error) {
      // Nothing is recorded: it must not stand in the way of the next one.
      await this.#forget(recording.id);
      throw error;
    }
  }

  /** Resolves once it is in the store that it is over; `files` does when they are in their folder. */
  async stop(recording: T): Promise<{ readonly files: Promise<void> }> {
    await this.#save(stopped(recording, Date.now()));
    return { files: this.#queue.run(recording.id, () => this.#collect(recording.id)) };
  }

  /** Something has happened to what is recorded. */
  change(now: T): void {
    const before = this.#recordings.get(now.id);
    const isNew = now.segments.length > (before?.segments.length ?? 0);
    void this.#guarded(now.id, async () => {
      await this.#save(now);
      await this.#queue.run(now.id, async () => {
        if (isNew) await this.#begin(now.id, isOurs);
        await this.#collect(now.id);
      });
    });
  }

  /** A node is there again: what it recorded is looked after, also since an earlier daemon's time. */
  takeUp(node: string): void {
    for (const { id, segments } of this.#recordings.values()) {
      if (segments.every(one => one.node !== node || one.kept)) continue;
      void this.#guarded(id, () =>
        this.#queue.run(id, async () => {
          const recording = this.#recordings.get(id);
          const open = recording && openSegment(recording);
          if (open?.node === node && !(await this.#isLive(open))) await this.#carryOn(recording, node);
          await this.#collect(id);
        }),
      );
    }
  }

  async #carryOn(recording: T | undefined, node: string): Promise<void> {
    const now = recording && this.#options.carriedOn(recording, node);
    if (!now || now === recording) return;
    await this.#save(now);
    await this.#begin(now.id, isOurs);
  }

  /** What it records may still be on its way. One that went on elsewhere is tried whatever was said: nobody is there to order it again. */
  async #begin(id: string, mayPass: (error: unknown) => boolean = isNotThere): Promise<void> {
    const endMs = Date.now() + patienceMs;
    for (;;) {
      const recording = this.#recordings.get(id);
      const segment = recording && openSegment(recording);
      if (!recording || !segment) return;
      const { name, node } = segment;
      const ari = this.#ari(segment);
      try {
        await this.#options.record(recording, segment, ari);
        this.#options.log.info({ recording: id, node }, `recording ${name} has begun on ${node}`);
        return;
      } catch (error) {
        if (!mayPass(error) || Date.now() > endMs) throw error;
        this.#options.log.debug({ recording: id, node, error }, `recording ${name} could not begin on ${node} yet`);
        await this.#options.release?.(segment, ari).catch(() => undefined);
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
    await this.#options.done(recording);
    await this.#forget(id);
    log.info({ recording: id, segments: recording.segments.length }, `recording ${id} is done`);
  }

  /** Stops it where it still runs, and waits until its file is closed. A file of a node that cannot be asked is as it is. */
  async #close(segment: RecordingSegment): Promise<void> {
    if (!this.#options.asterisks.node(segment.node).connected) return;
    const ari = this.#ari(segment);
    await ari.recordings.stop({ recordingName: segment.name }).catch(() => undefined);
    const endMs = Date.now() + patienceMs;
    while (Date.now() < endMs && (await this.#isLive(segment))) await pause();
    await this.#options.release?.(segment, ari).catch(() => undefined);
  }

  async #isLive(segment: RecordingSegment): Promise<boolean> {
    try {
      await this.#ari(segment).recordings.getLive({ recordingName: segment.name });
      return true;
    } catch (error) {
      return !isNotThere(error);
    }
  }

  #ari({ node }: RecordingSegment): AriClient {
    return this.#options.asterisks.node(node).ari;
  }

  async #save(recording: T): Promise<void> {
    const { table, folder, format } = this.#options;
    this.#recordings.set(recording.id, recording);
    await table.put(recording.id, recording);
    await this.#writes.run(recording.id, () =>
      folder.write(recording.id, format(this.#recordings.get(recording.id) ?? recording)),
    );
  }

  async #forget(id: string): Promise<void> {
    this.#recordings.delete(id);
    await this.#options.table.delete(id);
  }

  async #guarded(id: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.error({ recording: id, error }, `recording ${id}: ${messageOf(error)}`);
    }
  }
}

function isOurs(error: unknown): boolean {
  return HoldfastError.is(error);
}

function isNotThere(error: unknown): boolean {
  return HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === 404;
}

function pause(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, everyMs));
}
