// Serves /metrics on a private address or a unix socket. That it cannot is said in the log, and hinders nothing.
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { MetricsConfig } from '../config/holdfast-config.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { contentType, exposition, type Metric } from './exposition.js';

export interface MetricsServerOptions {
  readonly collect: () => Promise<readonly Metric[]>;
  readonly log: Logger;
  /** Absolute path of a socket that the config names. */
  readonly socketPath: (socket: string) => string;
  /** Told whether anybody may ask from now on. */
  readonly serving: (on: boolean) => void;
  readonly retryMs?: number;
}

const mostConnections = 32;
const requestMs = 10_000;

export class MetricsServer {
  readonly #options: MetricsServerOptions;
  #listen: MetricsConfig | undefined;
  #server: Server | undefined;
  #retry: NodeJS.Timeout | undefined;
  #collecting: Promise<string> | undefined;
  #trouble: string | undefined;

  constructor(options: MetricsServerOptions) {
    this.#options = options;
  }

  /** Why nobody can ask now, though somebody may. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Serves there from now on, and nowhere else; undefined: not at all. Gives why it cannot yet. */
  async serve(listen: MetricsConfig | undefined): Promise<string | undefined> {
    if (this.#server !== undefined && JSON.stringify(listen) === JSON.stringify(this.#listen)) return undefined;
    await this.close();
    this.#listen = listen;
    return listen === undefined ? undefined : this.#open(listen);
  }

  async close(): Promise<void> {
    clearTimeout(this.#retry);
    this.#listen = undefined;
    this.#trouble = undefined;
    const server = this.#server;
    this.#server = undefined;
    this.#options.serving(false);
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  }

  async #open(listen: MetricsConfig): Promise<string | undefined> {
    const { log, serving, socketPath, retryMs = 10_000 } = this.#options;
    const server = createServer(
      { requestTimeout: requestMs },
      (request, response) => void this.#answer(request, response),
    );
    server.maxConnections = mostConnections;
    const path = 'socket' in listen ? socketPath(listen.socket) : undefined;
    const place = 'socket' in listen ? `unix:${path ?? ''}` : `http://${listen.host}:${listen.port}/metrics`;
    try {
      // What an earlier daemon left; its control socket was asked before, so that none is alive.
      if (path !== undefined && lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path);
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        if ('socket' in listen) server.listen(path, resolve);
        else server.listen(listen.port, listen.host, resolve);
      });
      if (path !== undefined) chmodSync(path, 0o660);
      this.#server = server;
      this.#trouble = undefined;
      serving(true);
      log.info({ metrics: place }, `metrics are served at ${place}`);
      return undefined;
    } catch (error) {
      server.close();
      const remedy = 'end what has this address, or change metrics.listen';
      this.#trouble = `metrics cannot be served at ${place}: ${messageOf(error)}; ${remedy}`;
      log.error({ metrics: place, error, retryMs }, this.#trouble);
      this.#retry = setTimeout(() => {
        if (this.#listen === listen) void this.#open(listen);
      }, retryMs);
      this.#retry.unref();
      return this.#trouble;
    }
  }

  async #answer({ method, url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = url.split('?')[0];
    if (path !== '/metrics') response.writeHead(404).end('there is only /metrics\n');
    else if (method !== 'GET' && method !== 'HEAD') response.writeHead(405, { allow: 'GET, HEAD' }).end();
    else {
      try {
        const text = await this.#text();
        response.writeHead(200, { 'content-type': contentType }).end(text);
      } catch (error) {
        this.#options.log.warn({ error }, `metrics cannot be gathered: ${messageOf(error)}`);
        response.writeHead(500).end(`${messageOf(error)}\n`);
      }
    }
  }

  /** Several who ask at once share one answer. */
  #text(): Promise<string> {
    this.#collecting ??= this.#options
      .collect()
      .then(exposition)
      .finally(() => (this.#collecting = undefined));
    return this.#collecting;
  }
}
