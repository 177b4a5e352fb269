// Keeps the messages of recent calls by Call-ID, in a memory that does not grow.
import { createHash } from 'node:crypto';
import type { TraceMessage } from './trace-message.js';

export interface TraceLimits {
  /** How many Call-IDs are kept; the one longest silent goes first. */
  readonly calls: number;
  /** How many copies of one Call-ID; the oldest go first. */
  readonly messagesPerCall: number;
  /** What all of it may take in memory, estimated. */
  readonly bytes: number;
  /** A Call-ID that was silent for so long is forgotten. */
  readonly ageMs: number;
}

export const defaultTraceLimits: TraceLimits = {
  calls: 20_000,
  messagesPerCall: 200,
  bytes: 64 * 1024 * 1024,
  ageMs: 10 * 60_000,
};

/**
 * Messages are kept as JSON text: one string each instead of an object of many is a fraction of the work for the garbage
 * collector, and as a copy it does not keep the datagram that its parts were cut out of.
 */
interface TracedCall {
  readonly key: string;
  readonly texts: string[];
  bytes: number;
  heardMs: number;
}

/** What a text costs beside its characters, and a Call-ID beside its texts: headers, slots, map entries. Estimated. */
const textOverheadBytes = 32;
const callOverheadBytes = 300;
const longestKey = 200;

export class TraceLog {
  readonly #limits: TraceLimits;
  /** In the order in which they were last heard of. */
  readonly #calls = new Map<string, TracedCall>();
  #bytes = 0;

  constructor(limits: Partial<TraceLimits> = {}) {
    this.#limits = { ...defaultTraceLimits, ...limits };
  }

  get calls(): number {
    return this.#calls.size;
  }

  /** Estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `nowMs` is the time of arrival, by a clock that only this log needs to understand. */
  add(message: TraceMessage, nowMs: number): void {
    const call = this.#heard(keyOf(message.callId));
    call.heardMs = nowMs;
    const text = JSON.stringify(message);
    call.texts.push(text);
    this.#resize(call, sizeOf(text));
    if (call.texts.length > this.#limits.messagesPerCall) this.#resize(call, -sizeOf(call.texts.shift() ?? ''));
    this.#evict(nowMs);
  }

  /** The copies of one Call-ID in order of arrival, as far as they are still kept. */
  messages(callId: string, nowMs: number): TraceMessage[] {
    this.#evict(nowMs);
    const texts = this.#calls.get(keyOf(callId))?.texts ?? [];
    return texts.map(text => JSON.parse(text) as TraceMessage);
  }

  /** Call-IDs that have `text` in them or in their first message's line, those last heard of first. */
  find(text: string, most: number, nowMs: number): string[] {
    this.#evict(nowMs);
    const found: string[] = [];
    for (const { texts } of [...this.#calls.values()].reverse()) {
      if (found.length === most) break;
      // Looked for before it is read: reading 20,000 of them would keep the thread from listening.
      const [first = '{}'] = texts;
      if (!first.includes(text)) continue;
      const { callId, startLine } = JSON.parse(first) as TraceMessage;
      if (callId.includes(text) || startLine.includes(text)) found.push(callId);
    }
    return found;
  }

  /** The call of this key, moved to the end of the order. */
  #heard(key: string): TracedCall {
    const known = this.#calls.get(key);
    const call = known ?? { key: Buffer.from(key).toString(), texts: [], bytes: 0, heardMs: 0 };
    if (known) this.#calls.delete(call.key);
    else this.#resize(call, callOverheadBytes + key.length);
    this.#calls.set(call.key, call);
    return call;
  }

  #resize(call: TracedCall, bytes: number): void {
    call.bytes += bytes;
    this.#bytes += bytes;
  }

  #evict(nowMs: number): void {
    for (const [key, call] of this.#calls) {
      const fits = this.#calls.size <= this.#limits.calls && this.#bytes <= this.#limits.bytes;
      if (fits && nowMs - call.heardMs <= this.#limits.ageMs) return;
      this.#calls.delete(key);
      this.#bytes -= call.bytes;
    }
  }
}

/** A Call-ID comes from the wire and may be as long as a datagram. */
function keyOf(callId: string): string {
  return callId.length <= longestKey ? callId : `sha256:${createHash('sha256').update(callId).digest('hex')}`;
}

function sizeOf(text: string): number {
  return textOverheadBytes + text.length;
}
