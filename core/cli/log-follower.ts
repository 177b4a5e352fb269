// Shows the daemon's log as it grows, in short form: time, level, message, fields.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { z } from 'zod';
import { printable } from './table.js';
import type { Style } from './style.js';

const pollMs = 200;
const chunkBytes = 65_536;

/** Shows what is appended to `path` from now on; returns the function that ends it. */
export function followLog(path: string, show: (line: string) => void): () => void {
  let offset = sizeOf(path);
  let rest = '';
  const decoder = new StringDecoder('utf8');
  const timer = setInterval(() => {
    // Emptied when it was too big.
    if (sizeOf(path) < offset) [offset, rest] = [0, ''];
    for (let chunk = readAt(path, offset); chunk.length > 0; chunk = readAt(path, offset)) {
      offset += chunk.length;
      const lines = (rest + decoder.write(chunk)).split('\n');
      rest = (lines.pop() ?? '').slice(-chunkBytes);
      for (const line of lines) show(line);
    }
  }, pollMs);
  return () => clearInterval(timer);
}

const logLine = z.looseObject({ level: z.string(), time: z.string(), msg: z.string() });

/** One line for a reader, or undefined for a debug line. What is no log line of ours (a crash) is shown as it is. */
export function formatLogLine(line: string, style: Style): string | undefined {
  const parsed = logLine.safeParse(parseJson(line));
  if (!parsed.success) return line.trim() === '' ? undefined : printable(line);
  const { level, time, msg, ...fields } = parsed.data;
  if (level === 'debug' || level === 'trace') return undefined;
  const clock = new Date(time).toTimeString().slice(0, 8);
  const shown = Object.entries(fields).map(([key, value]) => style('dim', `${key}=${fieldText(value)}`));
  const word = level === 'info' ? [] : [style(level === 'warn' ? 'yellow' : 'red', level)];
  return [style('dim', clock), ...word, printable(msg), ...shown].join(' ');
}

function fieldText(value: unknown): string {
  if (typeof value === 'string') return printable(value);
  // An error says what it is; its stack stays in the log.
  const message = typeof value === 'object' && value !== null && 'message' in value ? value.message : undefined;
  return printable(typeof message === 'string' ? message : JSON.stringify(value));
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function sizeOf(path: string): number {
  return withFile(path, fd => fstatSync(fd).size) ?? 0;
}

function readAt(path: string, offset: number): Buffer {
  const buffer = Buffer.alloc(chunkBytes);
  const length = withFile(path, fd => readSync(fd, buffer, 0, chunkBytes, offset)) ?? 0;
  return buffer.subarray(0, length);
}

function withFile<T>(path: string, use: (fd: number) => T): T | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}
