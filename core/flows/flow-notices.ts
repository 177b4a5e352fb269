// What flows tell webhooks: an outbox for each webhook of the config, so that one which is gone keeps nobody else waiting.
import { z } from 'zod';
import { OutboxKeys } from '../cdr/cdr-outbox.js';
import { OutboxWebhook } from '../cdr/outbox-webhook.js';
import type { Waits } from '../cdr/outbox-loop.js';
import type { WebhookConfig } from '../config/holdfast-config.js';
import type { Logger } from '../log.js';
import type { Store, Table } from '../store/store.js';

const noticeSchema = z.object({
  /** Of this notice: a receiver that has it twice has had it once. */
  id: z.string(),
  event: z.string(),
  callId: z.string(),
  /** ISO 8601 in UTC with milliseconds. */
  at: z.string(),
  data: z.record(z.string(), z.string()),
});
/** What a webhook is told: the notices of one delivery are in the order of their events. */
export type FlowNotice = z.infer<typeof noticeSchema>;

export interface FlowNoticesOptions {
  readonly store: Store;
  readonly log: Logger;
  readonly retryMs?: Waits;
}

interface Destination {
  readonly outbox: Table<FlowNotice>;
  readonly keys: OutboxKeys;
  readonly webhook: OutboxWebhook<FlowNotice>;
}

export class FlowNotices {
  readonly #options: FlowNoticesOptions;
  readonly #destinations = new Map<string, Destination>();

  constructor(options: FlowNoticesOptions) {
    this.#options = options;
  }

  /** Goes on with what an earlier daemon left for these. */
  async start(webhooks: Readonly<Record<string, WebhookConfig>>): Promise<void> {
    await this.redirect(webhooks);
  }

  /** Other webhooks (reload). What waits for one that is no more is kept until there is one of its name. */
  async redirect(webhooks: Readonly<Record<string, WebhookConfig>>): Promise<void> {
    for (const [name, target] of Object.entries(webhooks)) {
      const known = this.#destinations.get(name);
      if (known) await known.webhook.retarget(target);
      else (await this.#open(name)).webhook.start(target);
    }
    for (const [name, { webhook }] of this.#destinations)
      if (!Object.hasOwn(webhooks, name)) await webhook.retarget(undefined);
  }

  /** Resolves when it is in the outbox; what becomes of it there keeps no call waiting. */
  async add(name: string, notice: FlowNotice): Promise<void> {
    const { outbox, keys } = this.#destinations.get(name) ?? (await this.#open(name));
    await outbox.put(keys.next(), notice);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#destinations.values()].map(({ webhook }) => webhook.stop()));
    this.#destinations.clear();
  }

  async #open(name: string): Promise<Destination> {
    const { store, log, retryMs } = this.#options;
    const outbox = store.table(`flow-notices-${name}`, noticeSchema);
    const keys = new OutboxKeys();
    const webhook = new OutboxWebhook({
      ...{ store, log, retryMs, outbox, idPrefix: 'flow', what: `notices for ${name}` },
      batchTable: `flow-batch-${name}`,
      body: notices => JSON.stringify({ type: 'flow-notices', notices }),
    });
    const destination = { outbox, keys, webhook };
    this.#destinations.set(name, destination);
    keys.after(await outbox.lastKey());
    return destination;
  }
}
