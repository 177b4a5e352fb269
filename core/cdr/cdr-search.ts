// Looks for calls in the CDR file and in those that it was rotated to, from the newest line back, within a limit of bytes.
import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { transferFactsSchema } from '../calls/call-record.js';

/** A line of the file as it is read back: also those of earlier versions, which had fewer fields. */
export const writtenRecordSchema = z.object({
  callId: z.string(),
  sipCallIds: z.array(z.string()).readonly().default([]),
  source: z
    .union([
      z.object({ kind: z.literal('trunk'), trunk: z.string() }),
      z.object({ kind: z.literal('subscriber'), subscriber: z.string() }),
    ])
    .nullable()
    .default(null),
  callerNumber: z.string().default(''),
  dialled: z.string().default(''),
  route: z.string().nullable().default(null),
  startedAt: z.string(),
  answeredAt: z.string().nullable().default(null),
  endedAt: z.string(),
  outcome: z.string().default(''),
  sipStatus: z.number().nullable().default(null),
  endedBy: z.string().default(''),
  reason: z.string().default(''),
  limit: z.string().nullable().default(null),
  nodes: z.array(z.string()).readonly().default([]),
  recoveries: z.number().default(0),
  transfers: z.array(transferFactsSchema).readonly().default([]),
  legs: z
    .array(
      z.object({
        direction: z.enum(['inbound', 'outbound']),
        peer: z.string(),
        sipCallId: z.string().nullable(),
        node: z.string(),
        sipStatus: z.number().nullable(),
        startedAt: z.string().nullable(),
        ringingAt: z.string().nullable(),
        answeredAt: z.string().nullable(),
        endedAt: z.string().nullable(),
      }),
    )
    .readonly()
    .default([]),
});
export type WrittenRecord = z.output<typeof writtenRecordSchema>;

export interface CdrSearch {
  /** The current file. */
  readonly file: string;
  /** A line is read only where this text is in it. */
  readonly text: string;
  readonly matches: (record: WrittenRecord) => boolean;
  readonly most: number;
  /** How far back, in all files. Default 64 MB. */
  readonly bytes?: number;
}

const blockBytes = 1024 * 1024;
const defaultBytes = 64 * blockBytes;
const newline = 10;

/** The latest records that match, newest first. A file that is gone or cannot be read has none. */
export async function searchRecords({ bytes = defaultBytes, ...search }: CdrSearch): Promise<WrittenRecord[]> {
  const found: WrittenRecord[] = [];
  let left = bytes;
  for (const file of await filesOf(search.file)) {
    left -= await searchFile(file, search, left, found).catch(() => 0);
    if (found.length >= search.most || left <= 0) break;
  }
  return found.slice(0, search.most);
}

/** The file and its rotated ones that are plain text, the latest first. */
async function filesOf(file: string): Promise<string[]> {
  const names = await readdir(dirname(file)).catch(() => []);
  const own = names.filter(name => name.startsWith(basename(file)) && !/\.(gz|bz2|xz|zst)$/.test(name));
  const paths = own.map(name => join(dirname(file), name));
  const ages = await Promise.all(paths.map(async path => (await stat(path).catch(() => undefined))?.mtimeMs ?? 0));
  return paths
    .map((path, i) => ({ path, age: ages[i] ?? 0 }))
    .sort((a, b) => (a.path === file ? -1 : b.path === file ? 1 : b.age - a.age))
    .map(({ path }) => path);
}

/** Block by block from the end. Gives the bytes read. */
async function searchFile(
  path: string,
  { text, matches, most }: Omit<CdrSearch, 'bytes'>,
  mostBytes: number,
  found: WrittenRecord[],
): Promise<number> {
  const wanted = Buffer.from(JSON.stringify(text).slice(1, -1));
  const handle = await open(path, 'r');
  try {
    let end = (await handle.stat()).size;
    const stop = Math.max(0, end - mostBytes);
    let read = 0;
    /** The end of a line whose beginning is in the block before. */
    let rest: Buffer = Buffer.alloc(0);
    while (end > stop && found.length < most) {
      const start = Math.max(stop, end - blockBytes);
      const block = Buffer.alloc(end - start);
      await handle.read(block, 0, block.length, start);
      const joined = Buffer.concat([block, rest]);
      const cut = start === 0 ? 0 : joined.indexOf(newline) + 1;
      const lines = joined.subarray(cut);
      if (lines.includes(wanted)) found.push(...matching(lines, wanted, matches));
      rest = joined.subarray(0, cut);
      read += block.length;
      end = start;
    }
    return read;
  } finally {
    await handle.close();
  }
}

/** Newest first, as the newest line is the last. */
function matching(lines: Buffer, wanted: Buffer, matches: (record: WrittenRecord) => boolean): WrittenRecord[] {
  return lines
    .toString()
    .split('\n')
    .filter(line => line.includes(wanted.toString()))
    .flatMap(line => {
      const record = parse(line);
      return record !== undefined && matches(record) ? [record] : [];
    })
    .reverse();
}

function parse(line: string): WrittenRecord | undefined {
  try {
    return writtenRecordSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
