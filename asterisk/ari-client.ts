// ARI over HTTP: one table of operations under ARI's own names, each with a deadline and a typed error.
import { Pool } from 'undici';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../core/errors.js';
import type { AriClient } from '../core/ports/asterisk.js';

export interface AriRequesterOptions {
  readonly node: string;
  /** e.g. `http://127.40.0.31:8088` */
  readonly origin: string;
  readonly user: string;
  readonly password: string;
  /** Milliseconds for one request. Default 5000. */
  readonly timeoutMs?: number;
}

/** Connections per node: Asterisk's listen backlog is 10 (main/tcptls.c), and a lost SYN costs a second. */
const connections = 8;

type Params = Readonly<Record<string, string | number | undefined>>;
type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

const refusal = z.looseObject({ message: z.string() });

/** Sends requests to one Asterisk. Throws ARI_TIMEOUT, ARI_UNREACHABLE, ARI_REFUSED or ARI_INVALID_REPLY. */
export class AriRequester {
  readonly #options: AriRequesterOptions;
  readonly #pool: Pool;
  readonly #authorization: string;

  constructor(options: AriRequesterOptions) {
    this.#options = options;
    this.#pool = new Pool(options.origin, { connections, pipelining: 1, keepAliveTimeout: 60_000 });
    this.#authorization = `Basic ${Buffer.from(`${options.user}:${options.password}`).toString('base64')}`;
  }

  /** `path` below /ari, with the query's undefined values left out. Resolves with the parsed body, or undefined for none. */
  async request(method: Method, path: string, query: Params = {}, body?: unknown): Promise<unknown> {
    const { node, timeoutMs = 5000 } = this.#options;
    const operation = `${method} ${path}`;
    const given = Object.entries(query).filter((entry): entry is [string, string | number] => entry[1] !== undefined);
    const search =
      given.length === 0
        ? ''
        : `?${new URLSearchParams(Object.fromEntries(given.map(([key, value]) => [key, String(value)]))).toString()}`;
    try {
      const response = await this.#pool.request({
        method,
        path: `/ari${path}${search}`,
        headers: {
          authorization: this.#authorization,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await response.body.text();
      if (response.statusCode >= 300) throw refused(node, operation, response.statusCode, text);
      return text === '' ? undefined : parse(node, operation, text);
    } catch (error) {
      throw asHoldfastError(error, node, operation, timeoutMs);
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

function refused(node: string, operation: string, status: number, text: string): HoldfastError {
  let message = text.slice(0, 200);
  try {
    message = refusal.parse(JSON.parse(text)).message;
  } catch {
    // Not ARI's own error body: its beginning has to do.
  }
  return new HoldfastError('ARI_REFUSED', `${node} refused ${operation}: ${status} ${message}`, {
    details: { node, operation, status },
  });
}

function parse(node: string, operation: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new HoldfastError('ARI_INVALID_REPLY', `${node} answered ${operation} with what is not JSON`, {
      cause: error,
      details: { node, operation, reply: text.slice(0, 200) },
    });
  }
}

function asHoldfastError(error: unknown, node: string, operation: string, timeoutMs: number): HoldfastError {
  if (HoldfastError.is(error)) return error;
  const details = { node, operation };
  if (error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')) {
    return new HoldfastError('ARI_TIMEOUT', `${node} did not answer ${operation} in ${timeoutMs} ms`, {
      cause: error,
      details,
    });
  }
  return new HoldfastError('ARI_UNREACHABLE', `${node} could not be asked ${operation}: ${messageOf(error)}`, {
    cause: error,
    details,
    remedy: 'does this Asterisk run? see `holdfast nodes`',
  });
}

/** The operations that core uses, under the names and with the parameters of rest-api/api-docs. */
export function ariClient(requester: AriRequester): AriClient {
  const get = async <T>(path: string, query?: Params): Promise<T> => (await requester.request('GET', path, query)) as T;
  const post = async <T>(path: string, query?: Params, body?: unknown): Promise<T> =>
    (await requester.request('POST', path, query, body)) as T;
  const remove = async (path: string, query?: Params): Promise<void> => {
    await requester.request('DELETE', path, query);
  };
  const channel = (id: string): string => `/channels/${encodeURIComponent(id)}`;
  const bridge = (id: string): string => `/bridges/${encodeURIComponent(id)}`;
  const withBody = (variables: Readonly<Record<string, string>> | undefined): unknown =>
    variables === undefined || Object.keys(variables).length === 0 ? undefined : { variables };
  return {
    channels: {
      list: () => get('/channels'),
      get: ({ channelId }) => get(channel(channelId)),
      create: ({ variables, ...query }) => post('/channels/create', query, withBody(variables)),
      dial: ({ channelId, ...query }) => post(`${channel(channelId)}/dial`, query),
      originate: ({ variables, ...query }) => post('/channels', query, withBody(variables)),
      answer: ({ channelId }) => post(`${channel(channelId)}/answer`),
      ring: ({ channelId }) => post(`${channel(channelId)}/ring`),
      progress: ({ channelId }) => post(`${channel(channelId)}/progress`),
      hangup: ({ channelId, ...query }) => remove(channel(channelId), query),
      continueInDialplan: ({ channelId, ...query }) => post(`${channel(channelId)}/continue`, query),
      getChannelVar: ({ channelId, ...query }) => get(`${channel(channelId)}/variable`, query),
      setChannelVar: ({ channelId, ...query }) => post(`${channel(channelId)}/variable`, query),
      sendDTMF: ({ channelId, ...query }) => post(`${channel(channelId)}/dtmf`, query),
      play: ({ channelId, ...query }) => post(`${channel(channelId)}/play`, query),
    },
    bridges: {
      list: () => get('/bridges'),
      createWithId: ({ bridgeId, ...query }) => post(bridge(bridgeId), query),
      addChannel: ({ bridgeId, ...query }) => post(`${bridge(bridgeId)}/addChannel`, query),
      removeChannel: ({ bridgeId, ...query }) => post(`${bridge(bridgeId)}/removeChannel`, query),
      destroy: ({ bridgeId }) => remove(bridge(bridgeId)),
    },
    asterisk: {
      getInfo: () => get('/asterisk/info'),
      ping: () => get('/asterisk/ping'),
      getObject: ({ configClass, objectType, id }) =>
        get(`/asterisk/config/dynamic/${[configClass, objectType, id].map(encodeURIComponent).join('/')}`),
    },
  };
}
