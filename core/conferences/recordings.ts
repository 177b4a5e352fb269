// Recordings of rooms: begun and ended by command, going on in a new segment when a conference node dies, kept as files.
import { HoldfastError } from '../errors.js';
import type { Logger } from '../log.js';
import type { AsteriskFarm } from '../ports/asterisk.js';
import { RecordingBook, type RecordingFolder } from '../recordings/recording-book.js';
import { nextSegment, stopped } from '../recordings/recording-segments.js';
import type { Store } from '../store/store.js';
import type { ConferenceRecord } from './conference-record.js';
import { following, formatRecording, newRecording, recordingSchema, type Recording } from './recording-record.js';

export interface RecordingsOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly folder: RecordingFolder;
  readonly conference: (id: string) => ConferenceRecord | undefined;
  readonly log: Logger;
  /** Told of the beginning of a recording, and when all its files are in their folder. */
  readonly told: (type: 'started' | 'done', recording: Recording) => void;
}

export class Recordings {
  readonly #options: RecordingsOptions;
  readonly #book: RecordingBook<Recording>;

  constructor(options: RecordingsOptions) {
    this.#options = options;
    this.#book = new RecordingBook({
      ...options,
      table: options.store.table('recordings', recordingSchema),
      format: formatRecording,
      record: ({ conference }, { name }, ari) =>
        ari.bridges.record({ bridgeId: conference, name, format: 'wav', ifExists: 'fail' }),
      carriedOn: (recording, node) => this.#carriedOn(recording, node),
      done: recording => options.told('done', recording),
    });
  }

  async load(): Promise<void> {
    await this.#book.load();
  }

  /** The one that goes on of this conference. */
  of(conference: string): Recording | undefined {
    return this.#book.list().find(one => one.conference === conference && one.endedMs === null);
  }

  /** Throws CONFERENCE_REFUSED where it is recorded already, HOST_FAILED, and what ARI refused; then nothing is recorded. */
  async start(conference: ConferenceRecord & { readonly room: string }): Promise<Recording> {
    const going = this.of(conference.id);
    if (going) {
      throw new HoldfastError('CONFERENCE_REFUSED', `room ${conference.room} is being recorded, as ${going.id}`);
    }
    const recording = newRecording(conference, Date.now());
    await this.#book.start(recording);
    this.#options.told('started', recording);
    return recording;
  }

  /** Resolves when its files are in their folder. Throws CONFERENCE_REFUSED where nothing is recorded. */
  async stop({ id, room }: ConferenceRecord): Promise<Recording> {
    const going = this.of(id);
    if (!going) throw new HoldfastError('CONFERENCE_REFUSED', `room ${room ?? id} is not being recorded`);
    const { files } = await this.#book.stop(going);
    await files;
    return going;
  }

  /** Follows its room: who comes and goes, where it is mixed, and its end. */
  changed(before: ConferenceRecord | undefined, after: ConferenceRecord | undefined): void {
    const going = before && this.of(before.id);
    if (!going) return;
    const now = following(going, before, after, Date.now());
    if (now !== going) this.#book.change(now);
  }

  /** A conference node is there again: what it recorded is looked after, also since an earlier daemon's time. */
  takeUp(node: string): void {
    this.#book.takeUp(node);
  }

  /** What recorded it is gone, and its room may be too. */
  #carriedOn(recording: Recording, node: string): Recording {
    const conference = this.#options.conference(recording.conference);
    if (conference && conference.node !== node) return recording;
    return conference ? nextSegment(recording, node, Date.now()) : stopped(recording, Date.now());
  }
}
