// A client for Kamailio's JSON-RPC over UDP datagrams (module jsonrpcs): deadlines, retries of what is safe, large replies.
import { createSocket, type Socket } from 'node:dgram';
import { z } from 'zod';
import { HoldfastError } from '../core/errors.js';

export interface JsonRpcClientOptions {
  readonly address: string;
  readonly port: number;
  /** Address that requests are sent from. Default: the kernel's choice. */
  readonly localAddress?: string;
  /** Deadline of a call, all its attempts together. Default 2000. */
  readonly deadlineMs?: number;
  /** How long an attempt of a safe method may stay without an answer before the next. Default 300. */
  readonly attemptMs?: number;
}

export interface JsonRpcCallOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** What the client has seen since it was made. */
export interface JsonRpcStatistics {
  readonly sent: number;
  readonly retried: number;
  /** Datagrams that were no JSON-RPC reply. */
  readonly garbage: number;
  /** Replies to calls that had ended. */
  readonly late: number;
}

/**
 * Methods that may run twice for one call: they only read, or set what they are told. `dispatcher.reload` is none: two at
 * once are known to corrupt memory in some releases.
 */
const safeMethods =
  /^(core\.(echo|version|uptime|info|psx?|shmmem|pkgmem|sockets_list)|stats\.(get_statistics|fetch)|pkg\.stats|sl\.stats|cfg\.(get|list)|dispatcher\.list|rtpengine\.show|system\.|htable\.(get|dump|stats|listTables|sets|seti|setex|setxs|setxi|delete))/;

const reply = z.object({
  id: z.number(),
  result: z.unknown(),
  error: z.object({ code: z.number(), message: z.string() }).optional(),
});

interface Pending {
  readonly settle: (outcome: { readonly result: unknown } | { readonly error: HoldfastError }) => void;
  readonly method: string;
}

/** Larger than any datagram, and room for many: a reply that the kernel must drop looks like a dead server. */
const receiveBufferBytes = 4 << 20;

export class JsonRpcClient {
  readonly #options: JsonRpcClientOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #statistics = { sent: 0, retried: 0, garbage: 0, late: 0 };
  #socket: Promise<Socket> | undefined;
  #nextId = 1;
  #closed = false;

  constructor(options: JsonRpcClientOptions) {
    this.#options = options;
  }

  get statistics(): JsonRpcStatistics {
    return { ...this.#statistics };
  }

  /**
   * Calls `method`. Throws RPC_TIMEOUT without an answer, RPC_UNREACHABLE where nothing listens, RPC_REFUSED where the
   * server answers with an error, and the signal's reason when it aborts.
   */
  async call(method: string, params: readonly (string | number)[] = [], options: JsonRpcCallOptions = {}): Promise<unknown> {
    options.signal?.throwIfAborted();
    const deadlineMs = options.deadlineMs ?? this.#options.deadlineMs ?? 2000;
    const ids: number[] = [];
    const timers: NodeJS.Timeout[] = [];
    const aborted = { listener: (): void => undefined };
    try {
      return await new Promise<unknown>((resolve, reject) => {
        const settle: Pending['settle'] = outcome => ('error' in outcome ? reject(outcome.error) : resolve(outcome.result));
        const attempt = (): void => {
          const id = this.#nextId++;
          ids.push(id);
          this.#pending.set(id, { settle, method });
          this.#send(JSON.stringify({ jsonrpc: '2.0', id, method, params })).catch(reject);
          if (ids.length > 1) this.#statistics.retried += 1;
          if (safeMethods.test(method)) timers.push(setTimeout(attempt, this.#options.attemptMs ?? 300));
        };
        aborted.listener = () => reject(options.signal?.reason as Error);
        options.signal?.addEventListener('abort', aborted.listener, { once: true });
        timers.push(setTimeout(() => reject(this.#timeout(method, deadlineMs, ids.length)), deadlineMs));
        attempt();
      });
    } finally {
      options.signal?.removeEventListener('abort', aborted.listener);
      for (const timer of timers) clearTimeout(timer);
      for (const id of ids) this.#pending.delete(id);
    }
  }

  /** Ends the client; calls that wait for an answer are rejected. */
  close(): void {
    this.#closed = true;
    this.#drop(new HoldfastError('RPC_UNREACHABLE', `the client of ${this.#place} was closed`));
  }

  get #place(): string {
    return `${this.#options.address}:${this.#options.port}`;
  }

  async #send(text: string): Promise<void> {
    if (this.#closed) throw new HoldfastError('RPC_UNREACHABLE', `the client of ${this.#place} is closed`);
    this.#socket ??= this.#open();
    const socket = await this.#socket;
    this.#statistics.sent += 1;
    socket.send(text, error => {
      if (error) this.#drop(this.#unreachable(error));
    });
  }

  /** Connected: the kernel drops what others send, and reports a port that nobody listens on (ICMP) as an error. */
  async #open(): Promise<Socket> {
    const { address, port, localAddress } = this.#options;
    const socket = createSocket({ type: 'udp4', recvBufferSize: receiveBufferBytes });
    socket.on('message', data => this.#received(data));
    return new Promise((resolve, reject) => {
      socket.once('error', error => {
        this.#socket = undefined;
        socket.close();
        reject(this.#unreachable(error));
      });
      socket.bind({ port: 0, ...(localAddress === undefined ? {} : { address: localAddress }) }, () =>
        socket.connect(port, address, () => {
          socket.removeAllListeners('error');
          socket.on('error', error => this.#drop(this.#unreachable(error)));
          socket.unref();
          resolve(socket);
        }),
      );
    });
  }

  #received(data: Buffer): void {
    let value: unknown;
    try {
      value = JSON.parse(data.toString('utf8'));
    } catch {
      value = undefined;
    }
    const parsed = reply.safeParse(value);
    if (!parsed.success) {
      this.#statistics.garbage += 1;
      return;
    }
    const pending = this.#pending.get(parsed.data.id);
    if (!pending) {
      this.#statistics.late += 1;
      return;
    }
    const { error, result } = parsed.data;
    if (!error) return pending.settle({ result });
    const details = { method: pending.method, place: this.#place, rpcCode: error.code };
    const message = `${this.#place}: ${pending.method}: ${error.message}`;
    pending.settle({ error: new HoldfastError('RPC_REFUSED', message, { details }) });
  }

  /** The socket is made anew for the next call: a server that was away may be back. */
  #drop(error: HoldfastError): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.then(
      open => {
        open.removeAllListeners('error');
        open.on('error', () => undefined);
        open.close();
      },
      () => undefined,
    );
    for (const pending of [...this.#pending.values()]) pending.settle({ error });
    this.#pending.clear();
  }

  #unreachable(cause: Error): HoldfastError {
    return new HoldfastError('RPC_UNREACHABLE', `${this.#place}: ${cause.message}`, { cause });
  }

  #timeout(method: string, deadlineMs: number, attempts: number): HoldfastError {
    return new HoldfastError('RPC_TIMEOUT', `${this.#place}: no answer to ${method} within ${deadlineMs} ms`, {
      details: { method, attempts },
      remedy: 'the process hangs, or the reply is larger than a datagram can be (65,507 octets)',
    });
  }
}
