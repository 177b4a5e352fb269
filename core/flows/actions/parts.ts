// Keys that several actions have, and small words that they share.
import { z } from 'zod';
import { didYouMean } from '../../config/config-problem.js';
import type { PluginConfigProblem } from '../../plugins/plugin-facts.js';
import type { ConnectOutcome, FlowExits, FlowTurn, FlowWay, MediaItem } from '../flow-facts.js';

/** YAML takes 9001 for a number; here it is text. */
export const text = z.union([z.string(), z.number().transform(String)]);

/** Where a flow goes on; the label of a step of the same flow. */
export const label = text.pipe(
  z.string().regex(/^[A-Za-z0-9][\w.-]{0,63}$/, 'a label is letters, digits, and _ . - (at most 64)'),
);

export const variableName = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,63}$/, 'a variable is lower-case letters, digits and _, a letter first');

export const seconds = (most: number): z.ZodNumber => z.number().min(0).max(most);

/** No name leads out of the folder of sounds by itself. */
const soundName = z
  .string()
  .regex(
    /^\/?[\w${}@+-][\w${}@+. -]*(\/[\w${}@+-][\w${}@+. -]*)*$/,
    'a sound is a path of letters, digits, and _ - . + @, without .. and without an ending',
  )
  .max(256);

const tone = z
  .string()
  .regex(
    /^(ring|busy|congestion|[!\d+*\/,]+)$/,
    'a tone is ring, busy, congestion, or frequencies as in 440+480/2000,0/4000',
  );

const mediaItem = z.union([
  soundName,
  z.strictObject({ sound: soundName.describe('Name of a sound.') }),
  z.strictObject({
    tone: tone.describe('`ring`, `busy`, `congestion`, or frequencies and milliseconds: `440+480/2000,0/4000`.'),
    seconds: z.number().positive().max(3600).describe('How long.'),
  }),
  z.strictObject({ silence: z.number().positive().max(3600).describe('Seconds of it.') }),
]);

/** Sounds, tones and silence, one after the other; one needs no list. */
export const mediaItems = z.union([mediaItem, z.array(mediaItem).min(1).max(100)]);
export type MediaItems = z.infer<typeof mediaItems>;

export function itemsOf(items: MediaItems | undefined): readonly MediaItem[] {
  if (items === undefined) return [];
  return Array.isArray(items) ? items : [items];
}

/** With the variables in their names filled in; what a variable holds may not lead to another folder. */
export function filledItems(
  items: MediaItems | undefined,
  fill: (text: string, encode: (value: string) => string) => string,
): readonly MediaItem[] {
  const plain = (value: string): string => value.replace(/[^\w-]/g, '');
  return itemsOf(items).map(item => {
    if (typeof item === 'string') return fill(item, plain);
    return 'sound' in item ? { sound: fill(item.sound, plain) } : item;
  });
}

/** To a label where one is named, else to the step below. */
export function way(name: string | undefined): FlowWay {
  return name === undefined ? 'next' : { label: name };
}

/** Exits of the keys that name labels; the step below where one of `orNext` names none. */
export function exitsOf(step: object, keys: readonly string[], orNext = true): FlowExits {
  const named = keys.flatMap(key => {
    const value = (step as Readonly<Record<string, unknown>>)[key];
    return typeof value === 'string' ? [{ path: [key], label: value }] : [];
  });
  return { labels: named, next: orNext && named.length < keys.length };
}

/** Answers a caller who is not answered yet. */
export function answering(answered: boolean): Pick<FlowTurn, 'commands'> {
  return answered ? {} : { commands: [{ do: 'answer' }] };
}

/** What an answered caller hears while others are called. */
export const ringingTone = { items: [{ tone: 'ring', seconds: 3600 }], times: 0 } as const;

/** Nobody was reached: where a flow goes on, and what it knows of it then. */
export function connectFailed(name: string | undefined, outcome: ConnectOutcome, sipStatus: number): FlowTurn<null> {
  return { go: way(name), variables: { connect_outcome: outcome, connect_status: String(sipStatus) } };
}

/** Of a step's key `webhook`. */
export function checkWebhook(name: string, webhooks: readonly string[]): readonly PluginConfigProblem[] {
  if (webhooks.includes(name)) return [];
  const known = webhooks.length === 0 ? 'there is none' : `there are: ${webhooks.join(', ')}`;
  return [{ path: ['webhook'], message: `there is no webhook "${name}"`, hint: didYouMean(name, webhooks) ?? known }];
}
