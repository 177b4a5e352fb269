// HOMER 7's HTTP API (homer-app, `/api/v3`): login or API token, one deadline for each request, errors of our own codes.
import { errors, Pool } from 'undici';
import { HoldfastError, messageOf, z } from '../../../core/plugin-api.js';

export interface HomerClientOptions {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  /** Milliseconds for one request. */
  readonly timeoutMs: number;
  /** Bytes of one answer. Default 64 MiB: some 250 calls of a hundred messages each. */
  readonly maxResponseBytes?: number;
}

const base = '/api/v3';
const login = z.looseObject({ token: z.string().min(1) });
const refusal = z.looseObject({ message: z.string() });

/** Sends requests to one homer-app. Throws HOMER_UNREACHABLE, HOMER_REFUSED or HOMER_INVALID_REPLY. */
export class HomerClient {
  readonly #options: HomerClientOptions;
  readonly #origin: string;
  readonly #path: string;
  readonly #pool: Pool;
  /** One login for all requests that wait for it. */
  #login: Promise<string> | undefined;

  constructor(options: HomerClientOptions) {
    const { origin, pathname } = new URL(options.url);
    this.#options = options;
    this.#origin = origin;
    this.#path = pathname.replace(/\/+$/, '').replace(/\/api\/v3$/, '') + base;
    this.#pool = new Pool(origin, {
      connections: 2,
      connect: { timeout: Math.min(2000, options.timeoutMs) },
      maxResponseSize: options.maxResponseBytes ?? 64 << 20,
    });
  }

  /** Resolves with the parsed body. A login that HOMER no longer knows is renewed once. */
  async post(path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const { token } = this.#options;
    if (token !== undefined) return this.#accepted(path, await this.#send(path, body, { 'auth-token': token }, signal));
    const first = await this.#send(path, body, await this.#bearer(signal), signal);
    if (first.status !== 401) return this.#accepted(path, first);
    this.#login = undefined;
    return this.#accepted(path, await this.#send(path, body, await this.#bearer(signal), signal));
  }

  /** What to throw for an answer that is not what `path` promises. */
  invalid(path: string, cause: unknown): HoldfastError {
    return new HoldfastError(
      'HOMER_INVALID_REPLY',
      `HOMER at ${this.#origin} answered ${path} with what cannot be read: ${messageOf(cause)}`,
      {
        cause,
        details: { url: this.#origin, path },
        remedy:
          'does `url` name a HOMER 7 web application (homer-app, /api/v3), and not HOMER 11 or a proxy before it?',
      },
    );
  }

  /** Ends the connections; requests under way fail with HOMER_UNREACHABLE. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #bearer(signal: AbortSignal): Promise<Record<string, string>> {
    this.#login ??= this.#signIn(signal).catch((error: unknown) => {
      this.#login = undefined;
      throw error;
    });
    return { authorization: `Bearer ${await this.#login}` };
  }

  async #signIn(signal: AbortSignal): Promise<string> {
    const { username, password } = this.#options;
    const answer = this.#accepted('/auth', await this.#send('/auth', { username, password }, {}, signal));
    const parsed = login.safeParse(answer);
    if (!parsed.success) throw this.invalid('/auth', new Error(z.prettifyError(parsed.error)));
    return parsed.data.token;
  }

  async #send(
    path: string,
    body: unknown,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly text: string }> {
    try {
      const response = await this.#pool.request({
        method: 'POST',
        path: this.#path + path,
        headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeoutMs)]),
      });
      return { status: response.statusCode, text: await response.body.text() };
    } catch (error) {
      if (error instanceof errors.ResponseExceededMaxSizeError) throw this.invalid(path, error);
      throw this.#failed(path, error, signal);
    }
  }

  #accepted(path: string, { status, text }: { readonly status: number; readonly text: string }): unknown {
    if (status < 200 || status >= 300) throw this.#refused(path, status, text);
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw this.invalid(path, error);
    }
  }

  #refused(path: string, status: number, text: string): HoldfastError {
    const message = `HOMER at ${this.#origin} refused ${path}: ${status} ${refusalOf(text)}`.trimEnd();
    return new HoldfastError('HOMER_REFUSED', message, {
      details: { url: this.#origin, path, status },
      remedy: this.#remedyFor(status),
    });
  }

  #remedyFor(status: number): string {
    if (status === 404) return 'does `url` name a HOMER 7 web application? HOMER 11 has no /api/v3';
    if (status !== 401 && status !== 403 && status !== 400) return 'look at the log of homer-app';
    return this.#options.token === undefined
      ? 'check `username` and `password`, and that this user is enabled in HOMER'
      : 'check `token`, that it has not expired, and `api_settings.enable_token_access` of homer-app';
  }

  #failed(path: string, cause: unknown, signal: AbortSignal): HoldfastError {
    const late = cause instanceof Error && (cause.name === 'TimeoutError' || cause.name === 'AbortError');
    const within = signal.aborted ? 'in the time that was left' : `in ${this.#options.timeoutMs} ms`;
    const why = late ? `did not answer ${path} ${within}` : `could not be asked ${path}: ${messageOf(cause)}`;
    return new HoldfastError('HOMER_UNREACHABLE', `HOMER at ${this.#origin} ${why}`, {
      cause,
      details: { url: this.#origin, path },
      remedy: late
        ? 'is its database slow? raise `timeoutSeconds` if it always is'
        : 'does homer-app run, and is `url` its address?',
    });
  }
}

function refusalOf(text: string): string {
  try {
    return refusal.parse(JSON.parse(text)).message;
  } catch {
    // Not homer-app's own error body, as that of a proxy before it.
    return text.slice(0, 200).replace(/\s+/g, ' ');
  }
}
