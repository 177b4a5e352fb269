// Where the library is that each Kamailio with TLS is started with (tls-after-fork.c): named in the checkout, by the set-up that compiled it.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../core/errors.js';

const buildSchema = z.looseObject({ tlsAfterFork: z.string() });

/** Written by the set-up; `dist/` is one level below the checkout. */
const buildFile = new URL('../../.build/kamailio.json', import.meta.url);

/** Those that the linker has taken. */
const tried = new Set<string>();

/** Path of a library for LD_PRELOAD. A Kamailio would start without it, and die of broken handshakes. Throws HOST_FAILED. */
export function tlsAfterFork(build: URL = buildFile): string {
  try {
    const { tlsAfterFork: path } = buildSchema.parse(JSON.parse(readFileSync(build, 'utf8')));
    accessSync(path, constants.R_OK);
    if (!tried.has(path)) tryPreload(path);
    return path;
  } catch (error) {
    throw new HoldfastError(
      'HOST_FAILED',
      `the library that Kamailio's TLS needs cannot be used: ${messageOf(error)}`,
      {
        cause: error,
        remedy: 'run `npm start` or `bash scripts/setup.sh` once, or install the package again',
      },
    );
  }
}

/** The dynamic linker only warns of what it does not take (ld.so(8)), as from a file system that is mounted with `noexec`. */
function tryPreload(path: string): void {
  const { stderr } = spawnSync('/bin/true', { env: { LD_PRELOAD: path }, encoding: 'utf8', timeout: 5_000 });
  if (stderr !== '') throw new Error(stderr.trim());
  tried.add(path);
}
