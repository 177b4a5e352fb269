// ARI over HTTP to one Asterisk: kept-alive connections, a deadline for each request, errors of our own codes.
import { errors, Pool } from 'undici';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../core/errors.js';
import { exchange, ExchangeTimeout } from './http-exchange.js';
import { RequestTimes } from './request-times.js';

export interface AriRequesterOptions {
  readonly node: string;
  /** e.g. `http://127.40.0.31:8088` */
  readonly origin: string;
  readonly user: string;
  readonly password: string;
  /** Milliseconds for one request. Default 5000. */
  readonly timeoutMs?: number;
}

export interface AriRequest {
  /** The operation by ARI's name, for errors: `channels.hangup`. */
  readonly operation: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below /ari, with the query. */
  readonly path: string;
  readonly body?: unknown;
  /** What it answers is of no use: not even read as JSON. Default false. */
  readonly unread?: boolean;
}

/** Connections per node: Asterisk's listen backlog is 10 (main/tcptls.c), and a lost SYN costs a second. */
const connections = 8;
/** ms; below http.conf's `session_keep_alive`, so that no request meets a connection that is just being closed. */
const keepAliveTimeout = 30 * 60_000;
/** Bytes; ten thousand channels in one list are about half of it. */
const maxResponseSize = 16 << 20;

const refusal = z.looseObject({ message: z.string() });

/** Sends requests to one Asterisk. Throws ARI_TIMEOUT, ARI_UNREACHABLE, ARI_REFUSED or ARI_INVALID_REPLY. */
export class AriRequester {
  readonly #node: string;
  readonly #timeoutMs: number;
  readonly #newPool: () => Pool;
  #pool: Pool;
  /** Why nothing is asked at present; undefined: it is. */
  #abandoned: string | undefined;
  readonly #authorization: string;
  /** How long its requests take, with the wait for a connection. */
  readonly times = new RequestTimes();

  constructor({ node, origin, user, password, timeoutMs = 5000 }: AriRequesterOptions) {
    this.#node = node;
    this.#timeoutMs = timeoutMs;
    this.#newPool = () => new Pool(origin, { connections, pipelining: 1, keepAliveTimeout, maxResponseSize });
    this.#pool = this.#newPool();
    this.#authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  }

  /** Opens all connections, or keeps them open: a burst of requests, as a recovery is one, then waits for none. */
  connect(): void {
    const ping = { operation: 'asterisk.ping', method: 'GET', path: '/asterisk/ping', unread: true } as const;
    for (let i = 0; i < connections; i++) this.send(ping).catch(() => undefined);
  }

  /** Resolves with the parsed body, or undefined for an empty or unread one. */
  async send({ operation, method, path, body, unread = false }: AriRequest): Promise<unknown> {
    const request = {
      ...{ method, path: `/ari${path}` },
      ...(body === undefined
        ? { headers: { authorization: this.#authorization } }
        : {
            headers: { authorization: this.#authorization, 'content-type': 'application/json' },
            body: JSON.stringify(body),
          }),
    };
    if (this.#abandoned !== undefined) throw this.#failed(operation, new Error(this.#abandoned));
    try {
      const { status, text } = await this.times.time(() => exchange(this.#pool, request, this.#timeoutMs));
      if (status >= 300) throw this.#refused(operation, status, text);
      return text === '' || unread ? undefined : (JSON.parse(text) as unknown);
    } catch (error) {
      if (HoldfastError.is(error)) throw error;
      const unreadable = error instanceof SyntaxError || error instanceof errors.ResponseExceededMaxSizeError;
      if (unreadable) throw this.invalid(operation, error);
      throw this.#failed(operation, error);
    }
  }

  /** What to throw for a reply that is not what the operation promises. */
  invalid(operation: string, cause: unknown): HoldfastError {
    const message = `${this.#node} answered ${operation} with what cannot be read: ${messageOf(cause)}`;
    return new HoldfastError('ARI_INVALID_REPLY', message, { cause, details: { node: this.#node, operation } });
  }

  /** Requests under way fail with ARI_UNREACHABLE at once, and so do those that follow: a fence would keep each waiting until its deadline. */
  async abandon(why: string): Promise<void> {
    const abandoned = this.#pool;
    this.#abandoned = why;
    this.#pool = this.#newPool();
    await abandoned.destroy(new Error(why));
  }

  /** There is another process to be asked. */
  resume(): void {
    this.#abandoned = undefined;
  }

  /** Ends the connections; requests under way fail with ARI_UNREACHABLE. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #refused(operation: string, status: number, text: string): HoldfastError {
    const message = refusalOf(text) ?? text.slice(0, 200);
    return new HoldfastError('ARI_REFUSED', `${this.#node} refused ${operation}: ${status} ${message}`, {
      details: { node: this.#node, operation, status },
    });
  }

  #failed(operation: string, cause: unknown): HoldfastError {
    const context = { cause, details: { node: this.#node, operation } };
    if (cause instanceof ExchangeTimeout) {
      const message = `${this.#node} did not answer ${operation} in ${this.#timeoutMs} ms`;
      return new HoldfastError('ARI_TIMEOUT', message, context);
    }
    const message = `${this.#node} could not be asked ${operation}: ${messageOf(cause)}`;
    return new HoldfastError('ARI_UNREACHABLE', message, {
      ...context,
      remedy: 'does this Asterisk run? see `holdfast nodes`',
    });
  }
}

function refusalOf(text: string): string | undefined {
  try {
    return refusal.parse(JSON.parse(text)).message;
  } catch {
    // Not ARI's own error body, as the web server's 401 and 503.
    return undefined;
  }
}
