// Delivers what waits in an outbox to a webhook: signed, in the order in which it came, each batch until it was taken.
import { Agent, request } from 'undici';
import { z } from 'zod';
import type { WebhookConfig } from '../config/holdfast-config.js';
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Store, Table } from '../store/store.js';
import { OutboxLoop, type Waits } from './outbox-loop.js';
import { signedHeaders } from './webhook-message.js';

export interface OutboxWebhookOptions<T> {
  readonly store: Store;
  readonly log: Logger;
  readonly outbox: Table<T>;
  /** Name of the table of the batch that is being delivered. */
  readonly batchTable: string;
  /** What a delivery's id begins with. */
  readonly idPrefix: string;
  readonly body: (records: readonly T[]) => string;
  /** What they are, for the log: `call records`. */
  readonly what: string;
  /** First and longest wait after a delivery that failed. Default 1000 and 60000. */
  readonly retryMs?: Waits | undefined;
}

/**
 * The batch that is being delivered, in the store before it is first sent: whatever crashes, it is sent again with the same
 * records under the same id, by which its receiver knows it.
 */
const batchSchema = z.object({ id: z.string(), keys: z.array(z.string()) });
type Batch = z.infer<typeof batchSchema>;

const mostRecords = 50;
/** Common limits of receivers for a body begin at 100 kB. */
const mostBytes = 64 * 1024;
/** A receiver that asks for patience (Retry-After) gets this much of it. */
const mostPatienceMs = 3_600_000;
/** Of an answer that is no success, what is read for the log. */
const quotedBytes = 300;

export interface WebhookCounters {
  readonly deliveries: number;
  readonly records: number;
  readonly failures: number;
}

export class OutboxWebhook<T> {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #options: OutboxWebhookOptions<T>;
  readonly #outbox: Table<T>;
  readonly #batches: Table<Batch>;
  readonly #loop: OutboxLoop;
  readonly #counters = { deliveries: 0, records: 0, failures: 0 };
  #target: WebhookConfig | undefined;
  #agent: Agent | undefined;
  #cancel = new AbortController();
  #unwatch: (() => void) | undefined;

  constructor(options: OutboxWebhookOptions<T>) {
    const { store, log, retryMs = { first: 1_000, most: 60_000 }, what } = options;
    this.#options = options;
    this.#store = store;
    this.#log = log;
    this.#outbox = options.outbox;
    this.#batches = store.table(options.batchTable, batchSchema);
    this.#loop = new OutboxLoop({
      work: () => this.#work(),
      failed: (error, waitMs) => this.#failed(error, waitMs),
      recovered: () => log.info({ webhook: this.#name() }, `the webhook takes ${what} again`),
      retryMs,
      leastWaitMs: error => (error instanceof PatienceAsked ? error.waitMs : 0),
    });
  }

  get counters(): WebhookCounters {
    return { ...this.#counters };
  }

  /** Delivers what waits and what comes. Does not wait for any of it. */
  start(target: WebhookConfig | undefined): void {
    this.#unwatch = this.#outbox.watch(({ value }) => {
      if (value !== undefined) this.#loop.wake();
    });
    void this.#aim(target);
  }

  /** Goes on with another webhook, or with none: then what waits stays in the store (reload). */
  async retarget(target: WebhookConfig | undefined): Promise<void> {
    const { url, secret, timeoutMs } = this.#target ?? {};
    if (url === target?.url && secret === target?.secret && timeoutMs === target?.timeoutMs) return;
    await this.#halt();
    await this.#aim(target);
  }

  /** Breaks off. What was not delivered stays in the store. */
  async stop(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#loop.close();
    await this.#halt();
  }

  async #aim(target: WebhookConfig | undefined): Promise<void> {
    this.#target = target;
    if (target === undefined) {
      const waiting = await this.#outbox.count();
      if (waiting > 0) {
        this.#log.warn(
          { waiting },
          `${waiting} ${this.#options.what} wait for a webhook, and the config names none: they are kept until it does`,
        );
      }
      return;
    }
    this.#cancel = new AbortController();
    this.#agent = new Agent({ connections: 1, pipelining: 1, connect: { timeout: target.timeoutMs } });
    void this.#loop.run();
  }

  /** Ends the delivery that is under way. */
  async #halt(): Promise<void> {
    this.#target = undefined;
    this.#cancel.abort();
    await this.#loop.idle();
    await this.#agent?.destroy();
    this.#agent = undefined;
  }

  async #work(): Promise<void> {
    while (this.#target !== undefined && !this.#cancel.signal.aborted) {
      const batch = (await this.#batches.get('next'))?.value ?? (await this.#nextBatch());
      if (batch === undefined) return;
      const records = await Promise.all(batch.keys.map(async key => (await this.#outbox.get(key))?.value));
      const known = records.flatMap(record => record ?? []);
      if (known.length > 0) await this.#deliver(batch.id, known, this.#target);
      await this.#store.transaction([
        ...batch.keys.map(key => this.#outbox.deleting(key)),
        this.#batches.deleting('next'),
      ]);
    }
  }

  async #nextBatch(): Promise<Batch | undefined> {
    const keys: string[] = [];
    let bytes = 0;
    for await (const [key, { value }] of this.#outbox.range()) {
      bytes += Buffer.byteLength(JSON.stringify(value));
      if (keys.length > 0 && bytes > mostBytes) break;
      if (keys.push(key) === mostRecords) break;
    }
    if (keys.length === 0) return undefined;
    const batch = { id: `${this.#options.idPrefix}_${keys[0] ?? ''}`, keys };
    await this.#batches.put('next', batch);
    return batch;
  }

  async #deliver(id: string, records: readonly T[], target: WebhookConfig): Promise<void> {
    const body = this.#options.body(records);
    const { statusCode, headers, text } = await this.#post(id, body, target);
    if (statusCode < 200 || statusCode > 299) {
      const place = `${this.#name()} answered ${statusCode}${text === '' ? '' : `: ${text}`}`;
      throw new PatienceAsked(place, retryAfterMs(headers['retry-after']));
    }
    this.#counters.deliveries++;
    this.#counters.records += records.length;
    this.#log.debug(
      { webhook: this.#name(), delivery: id, records: records.length },
      `${this.#options.what} delivered`,
    );
  }

  async #post(
    id: string,
    body: string,
    { url, secret, timeoutMs }: WebhookConfig,
  ): Promise<{ statusCode: number; headers: Record<string, string | string[] | undefined>; text: string }> {
    const signal = AbortSignal.any([this.#cancel.signal, AbortSignal.timeout(timeoutMs)]);
    try {
      const {
        statusCode,
        headers,
        body: answer,
      } = await request(url, {
        ...(this.#agent === undefined ? {} : { dispatcher: this.#agent }),
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'Holdfast',
          'idempotency-key': id,
          ...signedHeaders(id, body, secret, Date.now()),
        },
        body,
        signal,
      });
      return { statusCode, headers, text: await beginning(answer) };
    } catch (cause) {
      const late = signal.aborted && !this.#cancel.signal.aborted;
      const what = late ? `no answer within ${timeoutMs / 1000} s` : messageOf(cause);
      throw new HoldfastError('WEBHOOK_UNREACHABLE', `${this.#name()}: ${what}`, { cause });
    }
  }

  #failed(error: unknown, retryMs: number): void {
    if (this.#cancel.signal.aborted) return;
    this.#counters.failures++;
    this.#log.error(
      { webhook: this.#name(), error, retryMs },
      `${this.#options.what} are not delivered: ${messageOf(error)}; they are kept in the store and sent again, in order`,
    );
  }

  /** Without its query, which may hold what is nobody's business. */
  #name(): string {
    const { url } = this.#target ?? {};
    if (url === undefined) return 'the webhook';
    const { origin, pathname } = new URL(url);
    return `${origin}${pathname}`;
  }
}

/** The receiver answered, and not with a success. */
class PatienceAsked extends HoldfastError {
  readonly waitMs: number;

  constructor(message: string, waitMs: number) {
    super('WEBHOOK_REFUSED', message);
    this.waitMs = waitMs;
  }
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfterMs(value: string | string[] | undefined): number {
  const text = typeof value === 'string' ? value.trim() : '';
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), mostPatienceMs) : 0;
}

/** Reads an answer as far as it is of use, so that its connection can be used again. */
async function beginning(body: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    parts.push(part);
    bytes += part.length;
    if (bytes > 16 * quotedBytes) break;
  }
  const text = Buffer.concat(parts).toString('utf8', 0, quotedBytes);
  return text.replace(/[\p{C}\s]+/gu, ' ').trim();
}
