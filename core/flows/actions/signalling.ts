// What a flow does with the call as such: answer it, let it ring, refuse it, hang it up, wait.
import { z } from 'zod';
import { defineAction } from '../flow-facts.js';
import { answering, seconds, text } from './parts.js';

const ends = (): { readonly labels: readonly []; readonly next: false } => ({ labels: [], next: false });

export const answer = defineAction({
  name: 'answer',
  summary: 'Answers the caller (200), and goes on. A caller who was answered before stays so.',
  step: z.strictObject({}),
  goesOnAtOnce: () => true,
  begin: (_, { answered }) => ({ go: 'next', ...answering(answered) }),
});

export const ring = defineAction({
  name: 'ring',
  summary: 'Lets the caller hear that it rings (180), and goes on. Does nothing for one who is answered.',
  step: z.strictObject({
    seconds: seconds(180).optional().describe('How long to wait before the step below.'),
  }),
  goesOnAtOnce: step => step.seconds === undefined,
  begin({ seconds: wait }, { answered }) {
    const commands = answered ? {} : { commands: [{ do: 'ring' } as const] };
    return wait === undefined ? { go: 'next', ...commands } : { timer: { seconds: wait }, ...commands };
  },
  hear: (_, __, event) => (event.type === 'timeout' ? { go: 'next' } : undefined),
});

export const reject = defineAction({
  name: 'reject',
  summary: 'Refuses the call with a SIP status. A call that was answered is hung up.',
  step: z.strictObject({
    status: z.int().min(400).max(699).default(603).describe('The SIP status.'),
    reason: text.optional().describe('For log and call record.'),
  }),
  exits: ends,
  begin: ({ status, reason }, scene) => ({
    commands: [{ do: 'hangup', sipStatus: status, reason: scene.text(reason ?? 'the flow rejects it') }],
  }),
});

export const hangup = defineAction({
  name: 'hangup',
  summary: 'Ends the call. One that was never answered is refused with 480.',
  step: z.strictObject({ reason: text.optional().describe('For log and call record.') }),
  exits: ends,
  begin: ({ reason }, scene) => ({
    commands: [{ do: 'hangup', sipStatus: 480, reason: scene.text(reason ?? 'the flow hangs up') }],
  }),
});

export const sleep = defineAction({
  name: 'sleep',
  summary: 'Waits.',
  step: z.strictObject({ seconds: z.number().positive().max(3600).describe('How long.') }),
  begin: ({ seconds: wait }) => ({ timer: { seconds: wait } }),
  hear: (_, __, event) => (event.type === 'timeout' ? { go: 'next' } : undefined),
});
