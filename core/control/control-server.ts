// The daemon's end of the control socket: checks what arrives, runs operations, and answers. Garbage only moves a counter.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { HoldfastError } from '../errors.js';
import {
  LineReader,
  maxReplyBytes,
  maxRequestBytes,
  requestMessage,
  toErrorShape,
  type ReplyMessage,
} from './messages.js';
import { listenForOwner } from './owner-socket.js';
import { operationTable, type OperationContext, type OperationName, type Operations } from './operations.js';

const maxConnections = 64;
/** Requests of one connection that run at the same time. */
const maxConcurrent = 8;
const idleMs = 60_000;
const closeGraceMs = 2_000;

/** What was refused since the start, by kind. */
export interface ControlCounters {
  readonly requests: number;
  readonly garbage: number;
  readonly tooLong: number;
  readonly unknownOperation: number;
  readonly invalidParams: number;
  readonly tooMany: number;
}

export interface ControlLogger {
  debug(fields: object, message: string): void;
}

export class ControlServer {
  readonly #operations: Operations;
  readonly #socketPath: string;
  readonly #log: ControlLogger;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #counters: Record<keyof ControlCounters, number> = {
    requests: 0,
    garbage: 0,
    tooLong: 0,
    unknownOperation: 0,
    invalidParams: 0,
    tooMany: 0,
  };

  constructor(options: { operations: Operations; socketPath: string; log: ControlLogger }) {
    this.#operations = options.operations;
    this.#socketPath = options.socketPath;
    this.#log = options.log;
    this.#server = createServer(socket => this.#accept(socket));
    this.#server.maxConnections = maxConnections;
  }

  get counters(): ControlCounters {
    return { ...this.#counters };
  }

  /** Opens the socket, for its owner only. Throws FARM_BUSY while another daemon answers on it, else HOST_FAILED. */
  async listen(): Promise<void> {
    if (await answers(this.#socketPath)) {
      throw new HoldfastError('FARM_BUSY', `another daemon serves this farm already (${this.#socketPath})`, {
        remedy: 'see it with: holdfast status; end it with: holdfast down',
      });
    }
    await listenForOwner(this.#server, this.#socketPath);
  }

  /** Takes no more requests, lets the running ones be answered for two seconds, then aborts them. */
  async close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.finish();
    const timer = setTimeout(() => this.#connections.forEach(connection => connection.destroy()), closeGraceMs);
    await closed;
    clearTimeout(timer);
  }

  #accept(socket: Socket): void {
    const connection = new Connection(socket, this.#operations, (kind, why) => this.#count(kind, why));
    this.#connections.add(connection);
    socket.once('close', () => this.#connections.delete(connection));
  }

  #count(kind: keyof ControlCounters, why: string): void {
    this.#counters[kind] += 1;
    if (kind !== 'requests') this.#log.debug({ kind, why: why.slice(0, 200) }, 'control request refused');
  }
}

type Count = (kind: keyof ControlCounters, why: string) => void;

/** One caller. */
class Connection {
  readonly #socket: Socket;
  readonly #operations: Operations;
  readonly #count: Count;
  readonly #reader = new LineReader(maxRequestBytes);
  readonly #gone = new AbortController();
  #running = 0;
  #finishing = false;

  constructor(socket: Socket, operations: Operations, count: Count) {
    this.#socket = socket;
    this.#operations = operations;
    this.#count = count;
    socket.on('data', chunk => this.#read(chunk));
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#gone.abort(new HoldfastError('DAEMON_REFUSED', 'the caller went away')));
    socket.setTimeout(idleMs, () => {
      if (this.#running === 0) socket.destroy();
    });
  }

  /** Ends the connection once nothing runs on it. */
  finish(): void {
    this.#finishing = true;
    if (this.#running === 0) this.#socket.end(() => this.#socket.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    if (this.#finishing) return;
    const lines = this.#reader.push(chunk);
    if (lines) {
      for (const line of lines) void this.#handle(line);
    } else {
      this.#count('tooLong', `more than ${maxRequestBytes} bytes`);
      this.#socket.destroy();
    }
  }

  async #handle(line: string): Promise<void> {
    this.#count('requests', '');
    const request = requestMessage.safeParse(parseJson(line));
    if (!request.success) {
      this.#count('garbage', line);
      this.#socket.destroy();
      return;
    }
    const { id, op, params } = request.data;
    if (this.#running >= maxConcurrent) {
      this.#count('tooMany', op);
      this.#send({ id, error: { code: 'DAEMON_REFUSED', message: `more than ${maxConcurrent} requests at a time` } });
      return;
    }
    this.#running += 1;
    try {
      this.#send({ id, result: await this.#run(id, op, params) });
    } catch (error) {
      this.#send({ id, error: toErrorShape(error) });
    } finally {
      this.#running -= 1;
      if (this.#finishing) this.finish();
    }
  }

  async #run(id: number, op: string, params: unknown): Promise<unknown> {
    if (!isOperation(op)) {
      this.#count('unknownOperation', op);
      throw new HoldfastError('DAEMON_REFUSED', `the daemon knows no operation "${op}"`, {
        remedy: 'daemon and command line are of different versions: run holdfast down and holdfast up',
      });
    }
    const { deadlineMs, survivesCaller } = operationTable[op];
    const deadline = AbortSignal.timeout(deadlineMs);
    const signal = survivesCaller ? deadline : AbortSignal.any([deadline, this.#gone.signal]);
    const context: OperationContext = { signal, progress: line => this.#send({ id, progress: line }) };
    return Promise.race([this.#call(op, params, context), aborted(signal, `${op} took more than ${deadlineMs} ms`)]);
  }

  #call(op: OperationName, params: unknown, context: OperationContext): Promise<unknown> {
    const checked = operationTable[op].params.safeParse(params ?? {});
    if (!checked.success) {
      this.#count('invalidParams', op);
      const issues = checked.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`).join('; ');
      throw new HoldfastError('DAEMON_REFUSED', `${op}: parameters refused: ${issues}`);
    }
    // The table pairs each operation with its own parameters; the compiler cannot follow that through a union.
    const run = this.#operations[op] as (params: unknown, context: OperationContext) => Promise<unknown>;
    return run.call(this.#operations, checked.data, context);
  }

  #send(message: ReplyMessage): void {
    if (!this.#socket.writable) return;
    let text = JSON.stringify(message);
    if (text.length > maxReplyBytes) {
      const error = { code: 'DAEMON_REFUSED', message: `the answer is too long (${text.length} bytes)` } as const;
      text = JSON.stringify({ id: message.id, error });
    }
    this.#socket.write(`${text}\n`);
    // A caller that does not read must not fill our memory.
    if (this.#socket.writableLength > 2 * maxReplyBytes) this.#socket.destroy();
  }
}

function isOperation(op: string): op is OperationName {
  return Object.hasOwn(operationTable, op);
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Rejects when the signal aborts. */
function aborted(signal: AbortSignal, message: string): Promise<never> {
  return new Promise((_, reject) => {
    const refuse = (): void => reject(new HoldfastError('DAEMON_REFUSED', message));
    if (signal.aborted) refuse();
    else signal.addEventListener('abort', refuse, { once: true });
  });
}

/** True when somebody listens on this socket. */
function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
