// One engine's ng door: npm `rtpengine-client` with deadlines, retransmission, abort signals and our errors around it.
import type { RemoteInfo } from 'node:dgram';
import { Client, RtpEngineError } from 'rtpengine-client';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../core/errors.js';

export interface NgClientOptions {
  /** Where the engine listens for ng. */
  readonly host: string;
  readonly port: number;
  /** Address that requests are sent from; default: the kernel's choice. */
  readonly localAddress?: string;
  /** Told of every datagram that is no answer of this engine to an open request. */
  readonly onGarbage?: (from: string, bytes: number) => void;
}

export interface NgRequestOptions {
  /** Default 1000. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** What ng `statistics` says, as far as we read it. */
export interface NgStatistics {
  readonly sessions: number;
  readonly uptimeSeconds: number;
  /** How many `statistics` requests the engine's process has answered before this one. */
  readonly statisticsRequests: number;
}

type NgCommand = 'ping' | 'statistics' | 'list' | 'query' | 'delete';

/** All five commands may be repeated without harm, so a lost datagram costs this much and not the deadline. */
const retransmitMs = 250;
const defaultDeadlineMs = 1000;

const pong = z.looseObject({ result: z.literal('pong') });
const listReply = z.looseObject({ calls: z.array(z.string()) });
const anyReply = z.record(z.string(), z.unknown());
const deleteReply = z.looseObject({ warning: z.string().optional() });
const count = z.coerce.number().int().nonnegative();
const statisticsReply = z.looseObject({
  statistics: z.looseObject({
    currentstatistics: z.looseObject({ sessionstotal: count }),
    totalstatistics: z.looseObject({ uptime: count }),
    controlstatistics: z.looseObject({ totalstatscount: count }),
  }),
});

/**
 * The library prints to stdout and emits `error` for whatever reaches its port. Only an answer of the engine itself to
 * an open request (the 36 characters of a cookie, a space, bencode) may get that far.
 */
class EngineSocket extends Client {
  readonly #from: string;
  readonly #onGarbage: (from: string, bytes: number) => void;

  constructor(options: NgClientOptions) {
    const local = options.localAddress === undefined ? {} : { localAddress: options.localAddress };
    super({ timeout: defaultDeadlineMs, rejectOnError: true, ...local });
    this.#from = `${options.host}:${options.port}`;
    this.#onGarbage = options.onGarbage ?? (() => undefined);
  }

  protected override _onMessage(message: Buffer, from: RemoteInfo): void {
    const source = `${from.address}:${from.port}`;
    // Cookie, space, a bencoded dictionary: anything else would make the library's decoder throw.
    const wellFormed = message[36] === 0x20 && message[37] === 0x64 && message.at(-1) === 0x65;
    if (source !== this.#from || !wellFormed) this.#onGarbage(source, message.length);
    // The answer to a request that was given up meanwhile is neither garbage nor of use.
    else if (this.messages.has(message.toString('latin1', 0, 36))) super._onMessage(message, from);
  }

  override close(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    this.messages.clear();
    super.close();
  }
}

/** Speaks ng to one engine. Every method throws NG_TIMEOUT, NG_REFUSED or NG_INVALID_REPLY, and what `signal` says. */
export class NgClient {
  readonly #options: NgClientOptions;
  readonly #socket: EngineSocket;
  #socketError: Error | undefined;
  #closed = false;

  constructor(options: NgClientOptions) {
    this.#options = options;
    this.#socket = new EngineSocket(options);
    // Without a listener an 'error' would end the process; what it says comes back as the cause of the next timeout.
    this.#socket.on('error', (error: Error) => (this.#socketError = error));
  }

  async ping(options?: NgRequestOptions): Promise<void> {
    await this.#request('ping', {}, pong, options);
  }

  async statistics(options?: NgRequestOptions): Promise<NgStatistics> {
    const { statistics } = await this.#request('statistics', {}, statisticsReply, options);
    return {
      sessions: statistics.currentstatistics.sessionstotal,
      uptimeSeconds: statistics.totalstatistics.uptime,
      statisticsRequests: statistics.controlstatistics.totalstatscount,
    };
  }

  /** Call-IDs with a session, at most `limit`. */
  async list(limit: number, options?: NgRequestOptions): Promise<readonly string[]> {
    return (await this.#request('list', { limit }, listReply, options)).calls;
  }

  /** The engine's own words about a Call-ID, or undefined where it does not know it. */
  async query(callId: string, options?: NgRequestOptions): Promise<Readonly<Record<string, unknown>> | undefined> {
    try {
      return await this.#request('query', { 'call-id': callId }, anyReply, options);
    } catch (error) {
      if (HoldfastError.is(error, 'NG_REFUSED') && /unknown call-id/i.test(error.message)) return undefined;
      throw error;
    }
  }

  /** True when there was a session. rtpengine answers `ok` with a warning where there was none. */
  async delete(callId: string, options?: NgRequestOptions): Promise<boolean> {
    const reply = await this.#request('delete', { 'call-id': callId }, deleteReply, options);
    return reply.warning === undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }

  async #request<T>(
    command: NgCommand,
    args: Readonly<Record<string, unknown>>,
    schema: z.ZodType<T>,
    { deadlineMs = defaultDeadlineMs, signal }: NgRequestOptions = {},
  ): Promise<T> {
    signal?.throwIfAborted();
    const reply = await this.#exchange(command, args, deadlineMs, signal);
    const parsed = schema.safeParse(reply);
    if (parsed.success) return parsed.data;
    throw this.#error('NG_INVALID_REPLY', command, 'answered something else than it should', parsed.error);
  }

  /** Sends until the first answer, the deadline or the abort. */
  async #exchange(
    command: NgCommand,
    args: Readonly<Record<string, unknown>>,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const { host, port } = this.#options;
    let stop = (): void => undefined;
    const answer = new Promise<unknown>((resolve, reject) => {
      const fail = (why: string, cause?: unknown): void => reject(this.#error('NG_TIMEOUT', command, why, cause));
      if (this.#closed) {
        fail('client is closed');
        return;
      }
      const send = (): void => {
        this.#socket[command](port, host, args).then(resolve, (error: unknown) => {
          // The library's own timeout of one attempt is none of ours; bare strings are the engine's error-reason.
          if (error instanceof RtpEngineError) return;
          if (typeof error === 'string') reject(this.#error('NG_REFUSED', command, `refused: ${error}`));
          else fail(`could not be sent: ${messageOf(error)}`, error);
        });
      };
      const onAbort = (): void => reject(signal?.reason as Error);
      const resend = setInterval(send, retransmitMs);
      const deadline = setTimeout(() => fail(`no answer in ${deadlineMs} ms`, this.#socketError), deadlineMs);
      signal?.addEventListener('abort', onAbort, { once: true });
      stop = () => {
        clearInterval(resend);
        clearTimeout(deadline);
        signal?.removeEventListener('abort', onAbort);
      };
      send();
    });
    return answer.finally(stop);
  }

  #error(code: 'NG_TIMEOUT' | 'NG_REFUSED' | 'NG_INVALID_REPLY', command: string, why: string, cause?: unknown) {
    const { host, port } = this.#options;
    return new HoldfastError(code, `[rtpengine ${host}:${port}] ng ${command}: ${why}`, {
      cause,
      details: { host, port, command },
    });
  }
}
