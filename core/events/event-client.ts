// The other end of the event stream: asks from a number on, and hands out what comes.
import { connect } from 'node:net';
import { LineReader } from '../control/messages.js';
import { connectFailure } from '../control/control-client.js';
import { HoldfastError } from '../errors.js';
import { streamHello } from './event-stream.js';

export interface FollowOptions {
  /** Number of the last event that is known; undefined: only what is to come. */
  readonly since?: number;
  /** False: ends with the latest that there was at the beginning. */
  readonly follow: boolean;
  /** Each event, as its line of JSON. */
  readonly event: (line: string) => void;
  /** So many events after `since` are not kept any more. */
  readonly missed: (count: number) => void;
}

/** How far a follower has come. */
export interface Followed {
  /** Number of the last event that it has. */
  readonly last: number;
}

const maxEventBytes = 1024 * 1024;

/** Resolves when there is no more, or the daemon has ended. Throws DAEMON_UNREACHABLE where nobody answers. */
export function followEvents(socketPath: string, { since, follow, event, missed }: FollowOptions): Promise<Followed> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const reader = new LineReader(maxEventBytes);
    let last: number | undefined;
    let upTo = Infinity;
    const begin = (line: string): void => {
      const hello = streamHello.parse(JSON.parse(line));
      last = Math.min(since ?? hello.last, hello.last);
      if (!follow) upTo = hello.last;
      if (since !== undefined && hello.missed > 0) missed(hello.missed);
    };
    const take = (line: string): void => {
      event(line);
      last = (JSON.parse(line) as { seq: number }).seq;
    };
    socket.once('connect', () => socket.write(`${JSON.stringify(since === undefined ? {} : { since })}\n`));
    socket.once('error', error => reject(connectFailure(socketPath, error)));
    socket.once('close', () => {
      if (last === undefined) reject(new HoldfastError('DAEMON_UNREACHABLE', 'the daemon ended before it answered'));
      else resolve({ last });
    });
    socket.on('data', chunk => {
      for (const line of reader.push(chunk) ?? []) {
        if (last === undefined) begin(line);
        else take(line);
      }
      if ((last ?? -1) >= upTo) socket.destroy();
    });
  });
}
