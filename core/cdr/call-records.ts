// Where the records of ended calls go: into the outbox of each destination with the end of the call, and from there on.
import type { CallDetailRecord } from '../calls/call-facts.js';
import type { WebhookConfig } from '../config/holdfast-config.js';
import type { Logger } from '../log.js';
import type { Store, StoreWrite, Table } from '../store/store.js';
import { cdrOutbox, OutboxKeys, webhookOutbox } from './cdr-outbox.js';
import { CdrWebhook, type WebhookCounters } from './cdr-webhook.js';
import { CdrWriter } from './cdr-writer.js';

export interface RecordDestinations {
  /** Absolute path. */
  readonly file: string;
  readonly webhook?: WebhookConfig;
}

export interface CallRecordsOptions extends RecordDestinations {
  readonly store: Store;
  readonly log: Logger;
}

/** Records that wait for a destination. */
export interface Waiting {
  readonly file: number;
  readonly webhook: number;
}

export class CallRecords {
  readonly #files: Table<CallDetailRecord>;
  readonly #webhooks: Table<CallDetailRecord>;
  readonly #writer: CdrWriter;
  readonly #webhook: CdrWebhook;
  readonly #keys = new OutboxKeys();
  readonly #waiting = { file: 0, webhook: 0 };
  #hook: WebhookConfig | undefined;

  constructor({ store, log, file, webhook }: CallRecordsOptions) {
    this.#files = cdrOutbox(store);
    this.#webhooks = webhookOutbox(store);
    this.#writer = new CdrWriter({ store, file, log });
    this.#webhook = new CdrWebhook({ store, log });
    this.#hook = webhook;
  }

  /** Goes on with what an earlier daemon left. */
  async start(): Promise<void> {
    await this.#count('file', this.#files);
    await this.#count('webhook', this.#webhooks);
    await this.#writer.start();
    this.#webhook.start(this.#hook);
  }

  /** What is to be written in the transaction that ends a call. */
  writes(record: CallDetailRecord): readonly StoreWrite[] {
    const key = this.#keys.next();
    const hook = this.#hook === undefined ? [] : [this.#webhooks.putting(key, record, 0)];
    return [this.#files.putting(key, record, 0), ...hook];
  }

  get waiting(): Waiting {
    return { ...this.#waiting };
  }

  get webhookCounters(): WebhookCounters {
    return this.#webhook.counters;
  }

  /** Why the file cannot be written now; records wait in the store. */
  get fileTrouble(): string | undefined {
    return this.#writer.trouble;
  }

  /** Other destinations (reload). Gives why the file cannot be written. */
  async redirect({ file, webhook }: RecordDestinations): Promise<string | undefined> {
    this.#hook = webhook;
    const trouble = await this.#writer.moveTo(file);
    await this.#webhook.retarget(webhook);
    return trouble;
  }

  async stop(): Promise<void> {
    await this.#webhook.stop();
    await this.#writer.stop();
  }

  async #count(destination: keyof Waiting, outbox: Table<CallDetailRecord>): Promise<void> {
    this.#keys.after(await outbox.lastKey());
    this.#waiting[destination] = await outbox.count();
    outbox.watch(({ value }) => (this.#waiting[destination] += value === undefined ? -1 : 1));
  }
}
