// Delivers call records to a webhook, in the order in which calls ended.
import type { CallDetailRecord } from '../calls/call-facts.js';
import type { Logger } from '../log.js';
import type { Store } from '../store/store.js';
import { webhookOutbox } from './cdr-outbox.js';
import type { Waits } from './outbox-loop.js';
import { OutboxWebhook } from './outbox-webhook.js';
import { webhookBody } from './webhook-message.js';

export type { WebhookCounters } from './outbox-webhook.js';

export interface CdrWebhookOptions {
  readonly store: Store;
  readonly log: Logger;
  /** First and longest wait after a delivery that failed. */
  readonly retryMs?: Waits;
}

export class CdrWebhook extends OutboxWebhook<CallDetailRecord> {
  constructor({ store, log, retryMs }: CdrWebhookOptions) {
    super({
      ...{ store, log, retryMs, outbox: webhookOutbox(store), body: webhookBody },
      ...{ batchTable: 'cdr-webhook-batch', idPrefix: 'cdr', what: 'call records' },
    });
  }
}
