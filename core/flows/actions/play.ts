// Plays sounds, tones and silence to the caller.
import { z } from 'zod';
import { defineAction } from '../flow-facts.js';
import { answering, filledItems, itemsOf, label, mediaItems, way } from './parts.js';

export const play = defineAction({
  name: 'play',
  summary: 'Plays sounds, tones and silence, one after the other. Answers the caller first, unless it is `early`.',
  step: z.strictObject({
    items: mediaItems.describe('What is played.'),
    times: z.int().min(0).max(1000).default(1).describe('How often all of it is played; 0: until something ends it.'),
    seconds: z.number().positive().max(3600).optional().describe('Ends it after so long, wherever it stands.'),
    interruptible: z
      .union([z.boolean(), z.string().regex(/^[0-9A-D*#]+$/, 'must be digits: 0-9, A-D, * and #')])
      .default(false)
      .describe('Whether a digit ends it, or which ones do. The digit is in `${digit}`.'),
    onDigit: label.optional().describe('Where to go on when a digit has ended it; default: the step below.'),
    early: z
      .boolean()
      .default(false)
      .describe('To a caller who is not answered: as early media (183), without an answer.'),
  }),
  exits: ({ onDigit, times, seconds, interruptible }) => ({
    labels: onDigit === undefined ? [] : [{ path: ['onDigit'], label: onDigit }],
    next: times > 0 || seconds !== undefined || (interruptible !== false && onDigit === undefined),
  }),
  sounds: ({ items }) => [{ path: ['items'], items: itemsOf(items) }],
  check: ({ onDigit, interruptible }) =>
    onDigit !== undefined && interruptible === false
      ? [{ path: ['onDigit'], message: 'no digit can end it', hint: 'add interruptible: true' }]
      : [],
  begin: ({ items, times, seconds, early }, { answered, text }) => ({
    ...answering(answered || early),
    play: { items: filledItems(items, text), times },
    ...(seconds === undefined ? {} : { timer: { seconds } }),
  }),
  hear({ interruptible, onDigit }, _, event) {
    if (event.type === 'played' || event.type === 'timeout') return { go: 'next' };
    if (event.type !== 'digit' || interruptible === false) return undefined;
    if (typeof interruptible === 'string' && !interruptible.includes(event.digit)) return undefined;
    return { go: way(onDigit), variables: { digit: event.digit } };
  },
});
