// Music for a caller who waits, and a caller who is not to be heard.
import { z } from 'zod';
import { defineAction, type FlowTurn } from '../flow-facts.js';
import { answering, filledItems, itemsOf, mediaItems } from './parts.js';

export const hold = defineAction({
  name: 'hold',
  summary:
    'Puts the caller on hold, and goes on: they hear the music over all steps that follow, whenever none of them plays something else, until `unhold`, or until they are connected or in a room. Answers the caller first.',
  step: z.strictObject({
    music: mediaItems.describe('What they hear, over and over. Interrupted, it goes on where it was.'),
  }),
  sounds: ({ music }) => [{ path: ['music'], items: itemsOf(music) }],
  goesOnAtOnce: () => true,
  begin: ({ music }, { answered, text }) => ({ go: 'next', ...answering(answered), music: filledItems(music, text) }),
});

export const unhold = defineAction({
  name: 'unhold',
  summary: 'Ends the music of a caller who is on hold.',
  step: z.strictObject({}),
  goesOnAtOnce: () => true,
  begin: () => ({ go: 'next', music: null }),
});

const muting = (muted: boolean): Pick<FlowTurn, 'go' | 'commands'> => ({
  go: 'next',
  commands: [{ do: 'mute', muted }],
});

export const mute = defineAction({
  name: 'mute',
  summary:
    'From here on nobody whom the caller is connected to hears them, until `unmute`. A recording of the call has silence for it. Into a room they come muted, and are then as the room says.',
  step: z.strictObject({}),
  goesOnAtOnce: () => true,
  begin: () => muting(true),
});

export const unmute = defineAction({
  name: 'unmute',
  summary: 'The caller is heard again.',
  step: z.strictObject({}),
  goesOnAtOnce: () => true,
  begin: () => muting(false),
});
