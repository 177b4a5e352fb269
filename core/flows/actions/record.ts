// Records the call: from one step on, to another or to the end of the call.
import { z } from 'zod';
import { recordedSides, type RecordingWish } from '../../recordings/call-recording-record.js';
import { defineAction, type FlowAction } from '../flow-facts.js';
import { checkWebhook, label, text, way } from './parts.js';

/** Begins and ends the recording of a call. */
export interface CallRecorder {
  /** Resolves with the recording's name. One that goes on already stays as it is. */
  start(callId: string, wish: RecordingWish): Promise<string>;
  stop(callId: string): Promise<void>;
}

const step = z.strictObject({
  sides: recordedSides
    .default('both')
    .describe('What the caller says and hears, or only what they say (`caller`: for a message).'),
  maxSeconds: z.int().min(1).max(86_400).optional().describe('Ends it after so long; default: with the call.'),
  webhook: text
    .optional()
    .describe('Which of `webhooks` of the config is told (`recording.done`) when its files are there.'),
  onFailed: label
    .optional()
    .describe('Where to go on when it cannot begin, e.g. as the disk is full; default: the step below.'),
});
type Step = z.infer<typeof step>;

/** What it records may be on its way to another node. */
const timeoutMs = 12_000;

export function recordStart({ start }: Pick<CallRecorder, 'start'>): FlowAction<Step, null> {
  return defineAction<Step, null>({
    name: 'record_start',
    summary:
      'Begins to record the call, and goes on as soon as it does. `${recording}` is the name of its folder. It ends with the call, if not before. A call that is recorded already stays so.',
    step,
    exits: ({ onFailed }) => ({
      labels: onFailed === undefined ? [] : [{ path: ['onFailed'], label: onFailed }],
      next: true,
    }),
    check: ({ webhook }, { webhooks }) => (webhook === undefined ? [] : checkWebhook(webhook, webhooks)),
    goesOnAtOnce: () => true,
    begin: () => ({ ask: true }),
    askTimeoutMs: () => timeoutMs,
    ask: ({ sides, maxSeconds = null, webhook = null }, { call }) => start(call.id, { sides, maxSeconds, webhook }),
    hear({ onFailed }, _, event) {
      if (event.type === 'answer') return { go: 'next', variables: { recording: String(event.value) } };
      return event.type === 'askFailed' ? { go: way(onFailed), variables: { recording: '' } } : undefined;
    },
  });
}

export function recordStop({ stop }: Pick<CallRecorder, 'stop'>): FlowAction<object, null> {
  return defineAction<object, null>({
    name: 'record_stop',
    summary: 'Ends the recording of the call, if there is one.',
    step: z.strictObject({}),
    goesOnAtOnce: () => true,
    begin: () => ({ ask: true }),
    ask: async (_, { call }) => {
      await stop(call.id);
      return null;
    },
    // Only a store that fails can fail this, and then the log has said so.
    hear: (_, __, event) => (event.type === 'answer' || event.type === 'askFailed' ? { go: 'next' } : undefined),
  });
}
