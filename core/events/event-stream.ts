// The event stream's socket: a follower says from where, and is told everything after it, one JSON object a line.
import { createServer, type Server, type Socket } from 'node:net';
import { z } from 'zod';
import { listenForOwner } from '../control/owner-socket.js';
import { LineReader } from '../control/messages.js';
import type { EventLog } from './event-log.js';

/** What a follower sends first: `since`, the number of the last event that it has; without one, only what is to come. */
export const followRequest = z.strictObject({ since: z.int().min(0).optional() });

/** What it is told first. `missed`: how many events after its `since` are not kept any more. */
export const streamHello = z.object({
  type: z.literal('stream'),
  /** Numbers of the oldest event that is kept and of the latest there is. */
  first: z.int(),
  last: z.int(),
  missed: z.int(),
});
export type StreamHello = z.infer<typeof streamHello>;

const mostFollowers = 32;
const maxRequestBytes = 1_024;
/** Events put into a socket's buffer at once; more follow when it has taken them. */
const atOnce = 200;

export class EventStream {
  readonly #log: EventLog;
  readonly #socketPath: string;
  readonly #server: Server;
  readonly #followers = new Set<Socket>();

  constructor(log: EventLog, socketPath: string) {
    this.#log = log;
    this.#socketPath = socketPath;
    this.#server = createServer(socket => this.#accept(socket));
    this.#server.maxConnections = mostFollowers;
  }

  /** Throws HOST_FAILED. */
  async listen(): Promise<void> {
    await listenForOwner(this.#server, this.#socketPath);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()));
    for (const follower of this.#followers) follower.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    this.#followers.add(socket);
    socket.once('close', () => this.#followers.delete(socket));
    socket.on('error', () => socket.destroy());
    const reader = new LineReader(maxRequestBytes);
    const read = (chunk: Buffer): void => {
      const lines = reader.push(chunk);
      const request = lines?.[0] === undefined ? undefined : followRequest.safeParse(parseJson(lines[0]));
      if (lines === undefined || request?.success === false) socket.destroy();
      else if (request) {
        // Whatever it says after that is of no interest, but it must be read for its end to be seen.
        socket.off('data', read).resume();
        this.#follow(socket, request.data.since ?? this.#log.lastSeq);
      }
    };
    socket.on('data', read);
  }

  #follow(socket: Socket, since: number): void {
    const { firstSeq: first, lastSeq: last } = this.#log;
    const hello: StreamHello = { type: 'stream', first, last, missed: Math.max(0, first - since - 1) };
    socket.write(`${JSON.stringify(hello)}\n`);
    // A number that is still to come is of another log: that of a farm that was made anew.
    let told = Math.min(since, last);
    // One that does not read is told nothing more until it does: what it misses is kept in the log, not in our memory.
    const tell = (): void => {
      while (socket.writable && !socket.writableNeedDrain) {
        const events = this.#log.after(told, atOnce);
        if (events.length === 0) return;
        told = events.at(-1)?.seq ?? told;
        socket.write(events.map(event => `${JSON.stringify(event)}\n`).join(''));
      }
    };
    const forget = this.#log.onMore(tell);
    socket.on('drain', tell);
    socket.once('close', forget);
    tell();
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
