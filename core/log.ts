// The daemon's log: JSON lines by pino, one line per transition at info, secrets redacted.
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { pino, type DestinationStream } from 'pino';
import { withoutSecrets } from './log-secrets.js';

/** What every part of the daemon logs through. Fields first, then the message; a call's lines bear its id as `call`. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger whose lines all bear `fields` too, e.g. `{call: id}` or `{plugin: name}`. */
  child(fields: Readonly<Record<string, unknown>>): Logger;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LogOptions {
  readonly level: LogLevel;
  /** File that lines are appended to; standard output where there is none. */
  readonly file?: string;
  /** Where lines go instead of file or standard output. */
  readonly destination?: DestinationStream;
}

/** The daemon's own logger: what owns the destination. */
export interface RootLogger extends Logger {
  /** A new level for this logger and the children made after it and before (reload). */
  setLevel(level: LogLevel): void;
  /** Opens the file again, after logrotate moved it. Throws where it cannot be opened, and goes on in the old one. */
  reopen(): void;
  /** Writes what is buffered, at exit. */
  flush(): void;
}

/** Lines that wait for a disk with room. */
const mostBufferedBytes = 4 * 1024 * 1024;

/** Makes the root logger. Lines: `time` in ISO 8601, `level` as a word, errors with code, details, remedy and stack. */
export function createLogger(options: LogOptions): RootLogger {
  const file =
    options.destination === undefined
      ? pino.destination({ dest: options.file ?? 1, mkdir: true, sync: true, maxLength: mostBufferedBytes })
      : undefined;
  // A full disk, or a file that is gone, must not end the daemon: what cannot be written waits, and what is too much is lost.
  file?.on('error', () => undefined);
  const turns = file === undefined ? undefined : new TurnBuffer(file);
  // Children of pino keep the level they were born with, so the level is asked at each line through one shared value.
  const state = { rank: ranks[options.level] };
  const root = pino(
    {
      level: 'debug',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      serializers: { error: describeError, err: describeError },
    },
    options.destination ?? turns,
  );
  return Object.assign(new LevelledLogger(root, state), {
    setLevel: (level: LogLevel) => void (state.rank = ranks[level]),
    reopen: () => {
      turns?.drain();
      if (options.file === undefined) return;
      mustOpen(options.file);
      file?.reopen(options.file);
    },
    // Not the destination's own flushSync(), which tries for ever where the disk is full.
    flush: () => turns?.drain(),
  });
}

/** The destination must not find out itself: after an opening that failed it would close a file twice, which may be another one by then. */
function mustOpen(file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  closeSync(openSync(file, 'a'));
}

/** Writes the lines of one turn of the event loop at once: a call has a dozen, and each write of its own is a system call. */
class TurnBuffer implements DestinationStream {
  readonly #file: DestinationStream;
  #lines = '';

  constructor(file: DestinationStream) {
    this.#file = file;
    process.once('exit', () => this.drain());
  }

  write(line: string): void {
    if (this.#lines === '') setImmediate(() => this.drain());
    this.#lines += line;
  }

  drain(): void {
    const lines = this.#lines;
    this.#lines = '';
    if (lines !== '') this.#file.write(lines);
  }
}

/** A logger that says nothing, for tests and for what runs before there is a config. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

const ranks: Readonly<Record<LogLevel, number>> = { debug: 1, info: 2, warn: 3, error: 4, silent: 5 };

type Line = (fields: object, message: string) => void;
interface PinoLines {
  debug: Line;
  info: Line;
  warn: Line;
  error: Line;
  child(fields: object): PinoLines;
}

class LevelledLogger implements Logger {
  readonly #lines: PinoLines;
  readonly #state: { readonly rank: number };

  constructor(lines: PinoLines, state: { readonly rank: number }) {
    this.#lines = lines;
    this.#state = state;
  }

  debug(fields: object, message: string): void {
    if (this.#state.rank <= 1) this.#lines.debug(withoutSecrets(fields), message);
  }

  info(fields: object, message: string): void {
    if (this.#state.rank <= 2) this.#lines.info(withoutSecrets(fields), message);
  }

  warn(fields: object, message: string): void {
    if (this.#state.rank <= 3) this.#lines.warn(withoutSecrets(fields), message);
  }

  error(fields: object, message: string): void {
    if (this.#state.rank <= 4) this.#lines.error(withoutSecrets(fields), message);
  }

  child(fields: Readonly<Record<string, unknown>>): Logger {
    return new LevelledLogger(this.#lines.child(withoutSecrets(fields)), this.#state);
  }
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const described = pino.stdSerializers.err(error);
  const { code, remedy, details } = error as { code?: unknown; remedy?: unknown; details?: unknown };
  return {
    type: described.type,
    code,
    message: described.message,
    remedy,
    details: withoutSecrets(details),
    stack: described.stack,
  };
}
