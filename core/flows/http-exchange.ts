// The HTTP requests of flows: one connection pool, redirections not followed, answers of limited size.
import { Agent, request } from 'undici';
import type { HttpExchange } from './actions/fetch.js';

/** More of an answer is not read. */
const mostBytes = 300 * 1024;

/** Connections are kept for the next call. */
export function httpExchange(): HttpExchange {
  const agent = new Agent({ connections: 64, pipelining: 1, keepAliveTimeout: 10_000 });
  return async ({ url, method, headers, body }, signal) => {
    const answer = await request(url, {
      ...{
        dispatcher: agent,
        method,
        signal,
        headers: { 'user-agent': 'Holdfast', accept: 'application/json', ...headers },
      },
      ...(body === undefined ? {} : { body }),
    });
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const part of answer.body as AsyncIterable<Buffer>) {
      parts.push(part);
      if ((bytes += part.length) > mostBytes) break;
    }
    return { status: answer.statusCode, text: Buffer.concat(parts).toString('utf8') };
  };
}
