// Recordings of calls: one at a time for each, on the call's own node, wherever the call is mixed and whoever the caller talks to.
import type { CallRecord } from '../calls/call-record.js';
import type { StasisArrivals } from '../calls/stasis-arrivals.js';
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { stasisApp, type AriClient, type AsteriskFarm } from '../ports/asterisk.js';
import type { Store } from '../store/store.js';
import {
  callRecordingSchema,
  followed,
  formatCallRecording,
  newCallRecording,
  type CallRecording,
  type RecordingWish,
} from './call-recording-record.js';
import { RecordingBook, type RecordingFolder } from './recording-book.js';
import { closed, stopped, type RecordingSegment } from './recording-segments.js';

export interface CallRecordingsOptions {
  readonly store: Store;
  readonly asterisks: AsteriskFarm;
  readonly arrivals: StasisArrivals;
  readonly folder: RecordingFolder;
  readonly call: (id: string) => CallRecord | undefined;
  readonly log: Logger;
  /** Told of the beginning of a recording, and when all its files are in their folder. */
  readonly told: (type: 'started' | 'done', recording: CallRecording) => Promise<void>;
}

export class CallRecordings {
  readonly #options: CallRecordingsOptions;
  readonly #book: RecordingBook<CallRecording>;
  /** Id of the one that goes on, by call. */
  readonly #going = new Map<string, string>();
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(options: CallRecordingsOptions) {
    this.#options = options;
    this.#book = new RecordingBook({
      ...options,
      table: options.store.table('call-recordings', callRecordingSchema),
      format: formatCallRecording,
      record: (recording, segment, ari) => this.#record(recording, segment, ari),
      release: (segment, ari) => ari.channels.hangup({ channelId: listenerId(segment) }),
      carriedOn: recording => this.#carriedOn(recording),
      done: recording => options.told('done', recording),
    });
  }

  async load(): Promise<void> {
    for (const recording of await this.#book.load()) if (recording.endedMs === null) this.#goesOn(recording);
  }

  /** The one that goes on of this call. */
  of(callId: string): CallRecording | undefined {
    return this.#book.get(this.#going.get(callId) ?? '');
  }

  /** A call that is recorded already stays so. Throws CALL_NOT_FOUND, HOST_FAILED, and what ARI refused; then nothing is recorded. */
  async start(callId: string, wish: RecordingWish): Promise<CallRecording> {
    const going = this.of(callId);
    if (going) return going;
    const call = this.#options.call(callId);
    if (!call || call.ending) throw new HoldfastError('CALL_NOT_FOUND', `call ${callId} is over`);
    const recording = newCallRecording(call, wish, Date.now());
    this.#goesOn(recording);
    try {
      await this.#book.start(recording);
    } catch (error) {
      this.#isOver(recording);
      throw error;
    }
    await this.#options.told('started', recording);
    return recording;
  }

  /** Resolves once it is over; its files come into their folder a moment later. Nothing to do for a call that is not recorded. */
  async stop(callId: string): Promise<void> {
    const going = this.of(callId);
    if (!going) return;
    this.#isOver(going);
    const { files } = await this.#book.stop(going);
    files.catch((error: unknown) =>
      this.#options.log.error({ call: callId, recording: going.id, error }, `${going.id}: ${messageOf(error)}`),
    );
  }

  /** Follows its call: from node to node, and to its end. */
  changed({ id }: CallRecord, after: CallRecord): void {
    const going = this.of(id);
    if (!going) return;
    const now = followed(going, after, Date.now());
    if (now === going) return;
    if (now.endedMs !== null) this.#isOver(now);
    this.#book.change(now);
  }

  /** A call node is there again: what it recorded is looked after, also since an earlier daemon's time. */
  takeUp(node: string): void {
    this.#book.takeUp(node);
  }

  /** Channels that listen on this node. */
  listenersOn(node: string): readonly string[] {
    const segments = this.#book.list().flatMap(one => one.segments);
    return segments.filter(one => one.node === node && !one.kept).map(listenerId);
  }

  /**
   * A channel of its own hears what passes through the leg (ARI's snoop): a leg that is in a bridge cannot be recorded itself, and
   * a bridge's recording would end with the bridge.
   */
  async #record({ id, sides }: CallRecording, segment: RecordingSegment, ari: AriClient): Promise<void> {
    const [channelId, snoopId] = [segment.leg ?? '', listenerId(segment)];
    const spy = sides === 'both' ? 'both' : 'in';
    const snoop = { channelId, snoopId, spy, app: stasisApp, appArgs: 'listener' } as const;
    await this.#options.arrivals.create(snoopId, () => ari.channels.snoopChannelWithId(snoop));
    await ari.channels.record({ channelId: snoopId, name: segment.name, format: 'wav', ifExists: 'fail' });
    this.#options.log.debug({ recording: id, leg: channelId }, `${snoopId} listens to ${channelId}`);
  }

  #carriedOn(recording: CallRecording): CallRecording {
    const call = this.#options.call(recording.call);
    const nowMs = Date.now();
    const now = call ? followed(closed(recording, nowMs), call, nowMs) : stopped(recording, nowMs);
    if (now.endedMs !== null) this.#isOver(now);
    return now;
  }

  #goesOn({ id, call, untilMs }: CallRecording): void {
    this.#going.set(call, id);
    if (untilMs === null) return;
    const end = (): void => void this.stop(call).catch(() => undefined);
    this.#timers.set(id, setTimeout(end, Math.max(0, untilMs - Date.now())).unref());
  }

  #isOver({ id, call }: CallRecording): void {
    this.#going.delete(call);
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }
}

function listenerId({ name }: RecordingSegment): string {
  return `listener-${name}`;
}
