// The parts of a config file about telephone numbers and who may call them.
import { z } from 'zod';
import { emergencyByDefault } from '../numbers/emergency.js';
import { expensiveByDefault, premium } from '../numbers/destinations.js';
import { isCountry, numberFormats } from '../numbers/phone-number.js';
import { text } from './yaml-text.js';

/** YAML takes +49 and 112 for numbers, and the + of the first is lost. */
const number = text.pipe(
  z.string().regex(/^\+?[0-9*#]{1,20}$/, 'must be a number, with + for one with its country code; in quotes'),
);

const country = z.string().refine(isCountry, {
  error: ({ input }) => `"${String(input)}" is no country: two capital letters, such as DE or US`,
});

const prefix = z.union([z.literal('+'), number]);
const prefixes = (what: string): z.ZodDefault<z.ZodArray<typeof prefix>> => z.array(prefix).default([]).describe(what);

/** Of one trunk, of one subscriber, or of each subscriber that has none. */
export const callLimits = z.strictObject({
  callsAtOnce: z.int().min(0).max(1_000_000).optional().describe('Calls at a time, in both directions.'),
  callsPerSecond: z.number().positive().max(100_000).optional().describe('Calls per second that are begun.'),
  allow: prefixes('Not empty: only numbers that begin so may be called; the longest prefix here and in block decides.'),
  block: prefixes('Numbers that begin so may not be called.'),
});

export const numberRules = z.strictObject({
  country: country.optional().describe('Of numbers without a country code; default: numbers.country.'),
  format: z
    .enum(numberFormats)
    .default('as-is')
    .describe(
      'e164 is +4930901820, plain 4930901820, international 004930901820, national 030901820. Numbers from it become E.164.',
    ),
});

export const callerRules = z.strictObject({
  number: number.optional().describe('Number of ours that the trunk knows.'),
  show: z
    .enum(['caller', 'number'])
    .default('caller')
    .describe('caller: number only where the caller has none in E.164. number: in every case.'),
  asserted: z
    .enum(['caller', 'number', 'none'])
    .default('caller')
    .describe('Whom P-Asserted-Identity names, where the trunk is trusted.'),
  privacy: z
    .enum(['pass', 'hide', 'show'])
    .default('pass')
    .describe('pass: as the caller wants it. hide: nobody is shown. show: everybody is.'),
});

export const numbers = z.strictObject({
  country: country.optional().describe('Of numbers without a country code, e.g. DE.'),
  emergency: z
    .array(number)
    .default([...emergencyByDefault])
    .describe('Calls to these pass every limit and are recovered first.'),
  expensive: z
    .array(z.union([z.literal(premium), number]))
    .default([...expensiveByDefault])
    .describe('Prefixes that are blocked unless limits.allow names them; premium stands for premium rate numbers.'),
});
