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

interface TracedCall {
  readonly messages: TraceMessage[];
  bytes: number;
  heardMs: number;
}

/** What a message costs beside the characters of its strings: the object, its strings' headers, the array's slot. */
const messageOverheadBytes = 400;
const callOverheadBytes = 200;
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
    const key = keyOf(message.callId);
    const call = this.#calls.get(key) ?? { messages: [], bytes: callOverheadBytes, heardMs: nowMs };
    if (!this.#calls.delete(key)) this.#bytes += callOverheadBytes;
    this.#calls.set(key, call);
    call.heardMs = nowMs;
    call.messages.push(message);
    this.#resize(call, sizeOf(message));
    if (call.messages.length > this.#limits.messagesPerCall) {
      const oldest = call.messages.shift();
      if (oldest) this.#resize(call, -sizeOf(oldest));
    }
    this.#evict(nowMs);
  }

  /** The copies of one Call-ID in order of arrival, as far as they are still kept. */
  messages(callId: string, nowMs: number): readonly TraceMessage[] {
    this.#evict(nowMs);
    return this.#calls.get(keyOf(callId))?.messages ?? [];
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

function sizeOf(message: TraceMessage): number {
  const { source, destination, callId, startLine, reason, fromTag, toTag, viaBranch, nextViaBranch, raw } = message;
  const texts = [source, destination, callId, startLine, reason, fromTag, toTag, viaBranch, nextViaBranch, raw];
  return texts.reduce((sum, text) => sum + (text?.length ?? 0), messageOverheadBytes);
}
