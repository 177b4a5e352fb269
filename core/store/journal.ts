// The journal before a database: each transaction is one line, written at once, and read back after a death of the process.
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** One write as the store keeps it. `text` is the JSON of key and value, of a deleted record its key alone. */
export interface Change {
  readonly table: string;
  readonly key: string;
  readonly version: number;
  readonly isDeleted: boolean;
  readonly text: string;
}

const fileName = /^journal-(\d{10})$/;

/** The files of one folder, by their numbers: written one after the other, removed once the database has what is in them. */
export class Journal {
  readonly #folder: string;
  #number: number;
  #file: number;
  #size = 0;

  private constructor(folder: string, number: number) {
    this.#folder = folder;
    this.#number = number;
    this.#file = this.#create(number);
  }

  /** Goes on in a new file; gives what those of an earlier process have, in the order in which it was written. */
  static open(folder: string): { readonly journal: Journal; readonly left: readonly Change[] } {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const numbers = numbersIn(folder);
    const left = numbers.flatMap(number => readJournal(readFileSync(pathOf(folder, number), 'utf8')));
    return { journal: new Journal(folder, (numbers.at(-1) ?? 0) + 1), left };
  }

  /** The number of the file that is written now. */
  get number(): number {
    return this.#number;
  }

  /** Throws what the disk says; nothing of the transaction is kept then. */
  append(changes: readonly Change[]): void {
    const fields = changes.flatMap(({ table, text }) => [table, text]);
    const line = Buffer.from(`${[changes[0]?.version, ...fields].join('\t')}\n`);
    // At its place: what a full disk has kept of another one is written over.
    for (let done = 0; done < line.length;)
      done += writeSync(this.#file, line, done, line.length - done, this.#size + done);
    this.#size += line.length;
  }

  /** What is written from now on goes to the next file. */
  turn(): void {
    const next = this.#create(this.#number + 1);
    closeSync(this.#file);
    this.#number++;
    this.#file = next;
    this.#size = 0;
  }

  /** Removes the files before this one. */
  removeBefore(number: number): void {
    for (const old of numbersIn(this.#folder)) if (old < number) rmSync(pathOf(this.#folder, old), { force: true });
  }

  close(): void {
    closeSync(this.#file);
  }

  #create(number: number): number {
    return openSync(pathOf(this.#folder, number), 'w', 0o600);
  }
}

function pathOf(folder: string, number: number): string {
  return join(folder, `journal-${String(number).padStart(10, '0')}`);
}

function numbersIn(folder: string): number[] {
  const names = readdirSync(folder).flatMap(name => fileName.exec(name)?.[1] ?? []);
  return names.map(Number).sort((a, b) => a - b);
}

/** Up to the first line that is not one: a transaction that was never committed, or what a power cut has left. */
export function readJournal(text: string): Change[] {
  const all: Change[] = [];
  let last = 0;
  for (const line of text.split('\n').slice(0, -1)) {
    const changes = readLine(line, last);
    if (changes === undefined) break;
    last = changes[0]?.version ?? last;
    all.push(...changes);
  }
  return all;
}

/** Tabs end fields, and JSON has none. */
function readLine(line: string, after: number): Change[] | undefined {
  const [number = '', ...fields] = line.split('\t');
  const version = Number(number);
  if (!/^\d+$/.test(number) || version <= after || fields.length === 0 || fields.length % 2 !== 0) return undefined;
  try {
    return Array.from({ length: fields.length / 2 }, (_, i) => {
      const [table = '', text = ''] = fields.slice(2 * i);
      const record = JSON.parse(text) as [key: string, value?: unknown];
      return { table, key: record[0], version, isDeleted: record.length === 1, text };
    });
  } catch {
    return undefined;
  }
}
