// A JSON-RPC 2.0 client for Kamailio's jsonrpcs module over UDP datagrams: deadlines, safe retries, validated replies.
import { createSocket, type Socket } from 'node:dgram';
import { z } from 'zod';
import { HoldfastError } from '../core/errors.js';

export interface JsonrpcClientOptions {
  /** Address and UDP port of `dgram_socket`. */
  readonly address: string;
  readonly port: number;
  /** Local address to send from; default: the system's choice. */
  readonly localAddress?: string;
  /** Milliseconds for a call that names none. Default 1000. */
  readonly timeoutMs?: number;
}

export interface RequestOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const reply = z.union([
  z.looseObject({ id: z.int(), result: z.unknown() }),
  z.looseObject({ id: z.int(), error: z.looseObject({ code: z.number(), message: z.string() }) }),
]);

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Methods that change nothing, or the same when done twice: sent again when no answer came in a third of the time. */
const safeMethods =
  /^(core\.(uptime|version|info|echo|psx?|shmmem)$|dispatcher\.list$|htable\.(get|dump|stats|sets|seti|setxs|listTables)$|rtpengine\.show$|stats\.)/;
const safeAttempts = 3;

/**
 * One client per Kamailio. Requests run side by side, matched by id. Throws RPC_TIMEOUT, RPC_REFUSED (the module's
 * error, its code and message in `details`) or RPC_INVALID_REPLY (not JSON-RPC, or larger than a datagram).
 */
export class JsonrpcClient {
  readonly #options: JsonrpcClientOptions;
  readonly #pending = new Map<number, Pending>();
  #socket: Promise<Socket> | undefined;
  #nextId = 1;
  #closed = false;
  /** Datagrams that were no answer to anything asked. */
  strays = 0;

  constructor(options: JsonrpcClientOptions) {
    this.#options = options;
  }

  async request(
    method: string,
    params: readonly (string | number)[] = [],
    options: RequestOptions = {},
  ): Promise<unknown> {
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? 1000;
    const attempts = safeMethods.test(method) ? safeAttempts : 1;
    options.signal?.throwIfAborted();
    const socket = await this.#open();
    const id = this.#nextId++;
    const datagram = JSON.stringify({ jsonrpc: '2.0', method, params, id });
    return new Promise((resolve, reject) => {
      const send = (): void => socket.send(datagram, () => undefined);
      const resend = attempts > 1 ? setInterval(send, timeoutMs / attempts) : undefined;
      const expire = setTimeout(() => settle(() => reject(this.#timeout(method, timeoutMs))), timeoutMs);
      const aborted = (): void => settle(() => reject(options.signal?.reason as Error));
      const settle = (finish: () => void): void => {
        clearInterval(resend);
        clearTimeout(expire);
        options.signal?.removeEventListener('abort', aborted);
        this.#pending.delete(id);
        finish();
      };
      options.signal?.addEventListener('abort', aborted);
      this.#pending.set(id, {
        resolve: result => settle(() => resolve(result)),
        reject: error => settle(() => reject(error)),
      });
      send();
    });
  }

  close(): void {
    this.#closed = true;
    this.#drop(new HoldfastError('RPC_TIMEOUT', 'the client was closed'));
  }

  #timeout(method: string, timeoutMs: number): HoldfastError {
    const { address, port } = this.#options;
    return new HoldfastError('RPC_TIMEOUT', `no answer from ${address}:${port} to ${method} in ${timeoutMs} ms`, {
      remedy: 'does this Kamailio run? see its log, and `holdfast nodes`',
      details: { address, port, method },
    });
  }

  #open(): Promise<Socket> {
    if (this.#closed) return Promise.reject(new HoldfastError('RPC_TIMEOUT', 'the client was closed'));
    this.#socket ??= this.#connect();
    return this.#socket;
  }

  /** A connected socket hears at once when nobody listens on the other side (ICMP port unreachable). */
  async #connect(): Promise<Socket> {
    const { address, port, localAddress } = this.#options;
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
    socket.on('message', datagram => this.#receive(datagram));
    socket.on('error', error => {
      this.#drop(
        new HoldfastError('RPC_TIMEOUT', `nobody answers at ${address}:${port}: ${error.message}`, { cause: error }),
      );
    });
    await new Promise<void>(resolve => socket.bind(0, localAddress, resolve));
    await new Promise<void>(resolve => socket.connect(port, address, resolve));
    socket.unref();
    return socket;
  }

  #drop(error: Error): void {
    const socket = this.#socket;
    this.#socket = undefined;
    for (const pending of [...this.#pending.values()]) pending.reject(error);
    void socket?.then(open => open.close()).catch(() => undefined);
  }

  #receive(datagram: Buffer): void {
    const message = parse(datagram);
    const pending = message && this.#pending.get(message.id);
    if (!message || !pending) {
      this.strays += 1;
      return;
    }
    if (!('error' in message)) {
      pending.resolve(message.result);
      return;
    }
    const { code, message: text } = message.error as { code: number; message: string };
    pending.reject(new HoldfastError('RPC_REFUSED', `Kamailio refused: ${text}`, { details: { code, text } }));
  }
}

function parse(datagram: Buffer): z.infer<typeof reply> | undefined {
  try {
    return reply.safeParse(JSON.parse(datagram.toString('utf8'))).data;
  } catch {
    return undefined;
  }
}
