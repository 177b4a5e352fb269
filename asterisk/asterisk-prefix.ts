// Where the Asterisk that scripts/setup-asterisk.sh built is: named in the checkout, so that code and build cannot differ.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../core/errors.js';

const buildSchema = z.looseObject({ prefix: z.string() });

/** Written by the set-up; `dist/` is one level below the checkout. */
const buildFile = new URL('../../.build/asterisk.json', import.meta.url);

/** Installation prefix of our Asterisk; HOLDFAST_ASTERISK names another one. Throws HOST_FAILED. */
export function asteriskPrefix(): string {
  const named = process.env['HOLDFAST_ASTERISK'];
  if (named !== undefined && named !== '') return named;
  try {
    return buildSchema.parse(JSON.parse(readFileSync(buildFile, 'utf8'))).prefix;
  } catch (error) {
    throw new HoldfastError('HOST_FAILED', `Asterisk is not built yet: ${messageOf(error)}`, {
      cause: error,
      remedy: 'run `npm start` or `bash scripts/setup.sh` once, or name a prefix in HOLDFAST_ASTERISK',
    });
  }
}
