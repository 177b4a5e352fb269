// Writes call records from the outbox to the CDR file as JSON lines: each exactly once, whatever crashes in between.
import { z } from 'zod';
import type { CallDetailRecord } from '../calls/call-facts.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Store, Table } from '../store/store.js';
import { CdrFile } from './cdr-file.js';
import { cdrOutbox } from './cdr-outbox.js';

export interface CdrWriterOptions {
  readonly store: Store;
  /** Absolute path of the file. */
  readonly file: string;
  readonly log: Logger;
  /** First and longest wait after a failed write. Default 500 and 30000. */
  readonly retryMs?: { readonly first: number; readonly most: number };
}

/** Written to the store before an append, so that after a crash it is known where to look for what was appended. */
const intentSchema = z.object({ file: z.string(), inode: z.number(), size: z.number(), callIds: z.array(z.string()) });
type Intent = z.infer<typeof intentSchema>;

const mostRecordsPerAppend = 500;

/**
 * Takes records as they come into the outbox. A file that cannot be written (full disk, missing folder) is retried for
 * ever with growing waits and said in the log; records stay in the store meanwhile, and no call is affected.
 */
export class CdrWriter {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #outbox: Table<CallDetailRecord>;
  readonly #intents: Table<Intent>;
  readonly #retryMs: { readonly first: number; readonly most: number };
  #file: CdrFile;
  #unwatch: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor({ store, file, log, retryMs }: CdrWriterOptions) {
    this.#store = store;
    this.#log = log;
    this.#file = new CdrFile(file);
    this.#outbox = cdrOutbox(store);
    this.#intents = store.table('cdr-intent', intentSchema);
    this.#retryMs = retryMs ?? { first: 500, most: 30_000 };
  }

  /** Settles what a crash left half done, then writes what waits and what comes. */
  async start(): Promise<void> {
    this.#unwatch = this.#outbox.watch(({ value }) => {
      // After a failure the next try comes by the clock, not with each call that ends.
      if (value !== undefined && this.#failures === 0) this.#wake();
    });
    this.#wake();
    await this.#idle();
  }

  /** Goes on in another file (reload). */
  async moveTo(file: string): Promise<void> {
    await this.#idle();
    if (file === this.#file.path) return;
    await this.#file.close();
    this.#file = new CdrFile(file);
    this.#wake();
  }

  /** Tries to write what waits, once, and ends. What could not be written stays in the store. */
  async stop(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = undefined;
    clearTimeout(this.#retry);
    this.#wake();
    await this.#idle();
    await this.#file.close();
  }

  async #idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  #wake(): void {
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#again && this.#failures === 0) this.#wake();
    });
  }

  async #run(): Promise<void> {
    try {
      this.#again = false;
      await this.#settleIntent();
      while (await this.#writeBatch());
      if (this.#failures > 0) this.#log.info({ file: this.#file.path }, 'call records are being written again');
      this.#failures = 0;
    } catch (error) {
      this.#failed(error);
    }
  }

  /** True when there may be more. */
  async #writeBatch(): Promise<boolean> {
    const records: CallDetailRecord[] = [];
    for await (const [, { value }] of this.#outbox.range()) {
      if (records.push(value) === mostRecordsPerAppend) break;
    }
    if (records.length === 0) return false;
    const point = await this.#file.appendPoint();
    const callIds = records.map(({ callId }) => callId);
    await this.#intents.put('append', { file: this.#file.path, ...point, callIds });
    await this.#file.append(records.map(record => `${JSON.stringify(record)}\n`).join(''), point);
    await this.#written(callIds);
    return records.length === mostRecordsPerAppend;
  }

  async #written(callIds: readonly string[]): Promise<void> {
    await this.#store.transaction([
      ...callIds.map(callId => this.#outbox.deleting(callId)),
      this.#intents.deleting('append'),
    ]);
  }

  /** An intent that is still there: the append after it may have happened, in whole, in part or not at all. */
  async #settleIntent(): Promise<void> {
    const intent = (await this.#intents.get('append'))?.value;
    if (intent === undefined) return;
    const lines = await new CdrFile(intent.file).linesAfter(intent);
    if (lines === undefined) {
      const fields = { file: intent.file, calls: intent.callIds.length };
      this.#log.warn(fields, 'the CDR file of the last append is gone: its records are written again');
    }
    const written = new Set((lines ?? []).map(callIdOf));
    await this.#written(intent.callIds.filter(callId => written.has(callId)));
  }

  #failed(error: unknown): void {
    this.#failures++;
    const waitMs = Math.min(this.#retryMs.most, this.#retryMs.first * 2 ** (this.#failures - 1));
    this.#log.error(
      { file: this.#file.path, error, retryMs: waitMs },
      `call records cannot be written to ${this.#file.path}: ${messageOf(error)}; ` +
        'they are kept in the store and written later: make room on the disk, or mend the path and its permissions',
    );
    clearTimeout(this.#retry);
    if (this.#unwatch === undefined) return;
    this.#retry = setTimeout(() => this.#wake(), waitMs);
    this.#retry.unref();
  }
}

const lineSchema = z.looseObject({ callId: z.string() });

function callIdOf(line: string): string | undefined {
  try {
    return lineSchema.safeParse(JSON.parse(line)).data?.callId;
  } catch {
    return undefined;
  }
}
