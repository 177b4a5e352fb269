// Where the library is that each Kamailio with TLS is started with (tls-after-fork.c): named in the checkout, by the set-up that compiled it.
import { accessSync, constants, readFileSync } from 'node:fs';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../core/errors.js';

const buildSchema = z.looseObject({ tlsAfterFork: z.string() });

/** Written by the set-up; `dist/` is one level below the checkout. */
const buildFile = new URL('../../.build/kamailio.json', import.meta.url);

/** Path of a library for LD_PRELOAD. A Kamailio would start without it, and die of broken handshakes. Throws HOST_FAILED. */
export function tlsAfterFork(build: URL = buildFile): string {
  try {
    const { tlsAfterFork: path } = buildSchema.parse(JSON.parse(readFileSync(build, 'utf8')));
    accessSync(path, constants.R_OK);
    return path;
  } catch (error) {
    throw new HoldfastError('HOST_FAILED', `the library that Kamailio's TLS needs is missing: ${messageOf(error)}`, {
      cause: error,
      remedy: 'run `npm start` or `bash scripts/setup.sh` once, or install the package again',
    });
  }
}
