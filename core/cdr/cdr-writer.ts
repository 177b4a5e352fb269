// Writes call records from the outbox to the CDR file as JSON lines: each exactly once, whatever crashes in between.
import { z } from 'zod';
import type { CallDetailRecord } from '../calls/call-facts.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Store, Table } from '../store/store.js';
import { CdrFile } from './cdr-file.js';
import { cdrOutbox } from './cdr-outbox.js';
import { OutboxLoop, type Waits } from './outbox-loop.js';

export interface CdrWriterOptions {
  readonly store: Store;
  /** Absolute path of the file. */
  readonly file: string;
  readonly log: Logger;
  /** First and longest wait after a failed write. Default 500 and 30000. */
  readonly retryMs?: Waits;
}

/** Written to the store before an append, so that after a crash it is known where to look for what was appended. */
const intentSchema = z.object({ file: z.string(), inode: z.number(), size: z.number(), callIds: z.array(z.string()) });
type Intent = z.infer<typeof intentSchema>;

const mostRecordsPerAppend = 500;
/** An append is two transactions and an fdatasync: the records of half a second share them. */
const gatherMs = 500;

/**
 * Takes records as they come into the outbox. A file that cannot be written (full disk, missing folder) is retried for
 * ever with growing waits and said in the log; records stay in the store meanwhile, and no call is affected.
 */
export class CdrWriter {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #outbox: Table<CallDetailRecord>;
  readonly #intents: Table<Intent>;
  readonly #loop: OutboxLoop;
  #file: CdrFile;
  #unwatch: (() => void) | undefined;
  /** Why the last try failed. */
  #trouble: string | undefined;

  constructor({ store, file, log, retryMs = { first: 500, most: 30_000 } }: CdrWriterOptions) {
    this.#store = store;
    this.#log = log;
    this.#file = new CdrFile(file);
    this.#outbox = cdrOutbox(store);
    this.#intents = store.table('cdr-intent', intentSchema);
    this.#loop = new OutboxLoop({
      work: () => this.#work(),
      failed: (error, waitMs) => this.#failed(error, waitMs),
      recovered: () => {
        this.#trouble = undefined;
        log.info({ file: this.#file.path }, 'call records are being written again');
      },
      retryMs,
      gatherMs,
    });
  }

  /** Settles what a crash left half done, then writes what waits and what comes. */
  async start(): Promise<void> {
    this.#unwatch = this.#outbox.watch(({ value }) => {
      if (value !== undefined) this.#loop.wake();
    });
    await this.#loop.run();
  }

  /** Why the file cannot be written now. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Goes on in another file (reload); what waits is written to this one, if that can be done now. Gives why the new one cannot be written. */
  async moveTo(file: string): Promise<string | undefined> {
    if (file !== this.#file.path) {
      await this.#loop.run();
      await this.#file.close().catch(() => undefined);
      this.#file = new CdrFile(file);
    }
    this.#trouble = undefined;
    await this.#loop.run();
    return this.#trouble;
  }

  /** Tries to write what waits, once, and ends. What could not be written stays in the store. */
  async stop(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#loop.close();
    await this.#loop.run();
    await this.#file.close();
  }

  async #work(): Promise<void> {
    await this.#settleIntent();
    // Also where nothing waits: that a file cannot be opened is known when the config names it, not when a call ends.
    await this.#file.appendPoint();
    while (await this.#writeBatch());
  }

  /** True when there may be more. */
  async #writeBatch(): Promise<boolean> {
    const batch: [key: string, record: CallDetailRecord][] = [];
    for await (const [key, { value }] of this.#outbox.range()) {
      if (batch.push([key, value]) === mostRecordsPerAppend) break;
    }
    if (batch.length === 0) return false;
    const point = await this.#file.appendPoint();
    const callIds = batch.map(([, { callId }]) => callId);
    await this.#intents.put('append', { file: this.#file.path, ...point, callIds });
    await this.#file.append(batch.map(([, record]) => `${JSON.stringify(record)}\n`).join(''), point);
    await this.#written(batch.map(([key]) => key));
    return batch.length === mostRecordsPerAppend;
  }

  async #written(keys: readonly string[]): Promise<void> {
    await this.#store.transaction([...keys.map(key => this.#outbox.deleting(key)), this.#intents.deleting('append')]);
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
    const inFile = new Set((lines ?? []).map(callIdOf));
    await this.#written(await this.#keysOf(intent.callIds.filter(callId => inFile.has(callId))));
  }

  async #keysOf(callIds: readonly string[]): Promise<string[]> {
    const wanted = new Set(callIds);
    const keys: string[] = [];
    if (wanted.size === 0) return keys;
    for await (const [key, { value }] of this.#outbox.range()) {
      if (wanted.delete(value.callId)) keys.push(key);
      if (wanted.size === 0) break;
    }
    return keys;
  }

  #failed(error: unknown, retryMs: number): void {
    this.#trouble =
      `call records cannot be written to ${this.#file.path}: ${messageOf(error)}; ` +
      'they are kept in the store and written later: make room on the disk, or mend the path and its permissions';
    this.#log.error({ file: this.#file.path, error, retryMs }, this.#trouble);
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
