// The messages on the control socket: one JSON object a line, a request one way, progress and one outcome the other.
import { StringDecoder } from 'node:string_decoder';
import { z } from 'zod';
import { HoldfastError, messageOf, type ErrorCode } from '../errors.js';

/** A request is a command line's worth of text. */
export const maxRequestBytes = 64 * 1024;
/** Thousands of calls fit; more than that is no answer but a fault. */
export const maxReplyBytes = 32 * 1024 * 1024;

export const requestMessage = z.strictObject({
  id: z.number().int().nonnegative(),
  op: z.string().max(64),
  params: z.unknown(),
});

export const errorShape = z.object({
  code: z.custom<ErrorCode>(value => typeof value === 'string' && /^[A-Z_]{1,64}$/.test(value)),
  message: z.string(),
  remedy: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});
export type ErrorShape = z.output<typeof errorShape>;

export const replyMessage = z.union([
  z.object({ id: z.number(), progress: z.string() }),
  z.object({ id: z.number(), error: errorShape }),
  z.object({ id: z.number(), result: z.unknown() }),
]);
export type ReplyMessage = z.output<typeof replyMessage>;

/** An error as it travels. What is not ours has no code of its own: its text goes, its stack does not. */
export function toErrorShape(error: unknown): ErrorShape {
  if (!HoldfastError.is(error)) return { code: 'DAEMON_REFUSED', message: messageOf(error) };
  const { code, message, remedy, details } = error;
  return { code, message, details: plain(details), ...(remedy === undefined ? {} : { remedy }) };
}

export function fromErrorShape({ code, message, remedy, details }: ErrorShape): HoldfastError {
  return new HoldfastError(code, message, {
    ...(remedy === undefined ? {} : { remedy }),
    ...(details === undefined ? {} : { details }),
  });
}

/** Details are for reading; one that JSON cannot hold must not lose the whole answer. */
function plain(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  try {
    return JSON.parse(JSON.stringify(details)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** Cuts a byte stream into lines and never holds more than `maxBytes` of an unfinished one. */
export class LineReader {
  readonly #maxBytes: number;
  readonly #decoder = new StringDecoder('utf8');
  #rest: string[] = [];
  #restBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that `chunk` completes, or undefined when a line is too long: the stream is then of no further use. */
  push(chunk: Buffer): readonly string[] | undefined {
    const parts = this.#decoder.write(chunk).split('\n');
    const last = parts.pop() ?? '';
    if (parts.length > 0) {
      parts[0] = [...this.#rest, parts[0] ?? ''].join('');
      this.#rest = [];
      this.#restBytes = 0;
    }
    this.#rest.push(last);
    this.#restBytes += last.length;
    const tooLong = this.#restBytes > this.#maxBytes || parts.some(line => line.length > this.#maxBytes);
    return tooLong ? undefined : parts.filter(line => line.trim() !== '');
  }
}
