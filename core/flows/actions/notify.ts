// Tells a webhook of the config: by its outbox, so that no call waits for it.
import { z } from 'zod';
import { defineAction, type FlowAction } from '../flow-facts.js';
import { checkWebhook, text } from './parts.js';

/** Puts a notice into the outbox of a webhook. */
export type Notify = (
  webhook: string,
  notice: {
    readonly id: string;
    readonly event: string;
    readonly callId: string;
    readonly at: string;
    readonly data: Readonly<Record<string, string>>;
  },
) => Promise<void>;

const step = z.strictObject({
  webhook: text.describe('Which of `webhooks` of the config.'),
  event: text.describe('What has happened, in a word of yours; may have variables.'),
  data: z.record(z.string(), text).default({}).describe('More about it; values may have variables.'),
});
type Step = z.infer<typeof step>;

export function notifyAction(notify: Notify): FlowAction<Step, null> {
  return defineAction<Step, null>({
    name: 'notify',
    summary:
      'Tells a webhook, and goes on at once: what it is told is signed, kept in the store until it was taken, and delivered in order, however long it is gone.',
    step,
    check: ({ webhook }, { webhooks }) => checkWebhook(webhook, webhooks),
    goesOnAtOnce: () => true,
    begin: () => ({ ask: true }),
    async ask({ webhook, event, data }, scene, _, id) {
      const filled = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, scene.text(value)]));
      const at = new Date(scene.nowMs).toISOString();
      await notify(webhook, { id, event: scene.text(event), callId: scene.call.id, at, data: filled });
      return null;
    },
    // Only a store that fails can fail this, and then the log has said so.
    hear: (_, __, event) => (event.type === 'answer' || event.type === 'askFailed' ? { go: 'next' } : undefined),
  });
}
