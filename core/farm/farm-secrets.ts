// The farm's own secrets: one master key in a file of mode 0600, everything else derived from it.
import { createHmac, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../errors.js';

const fileSchema = z.strictObject({
  /** 32 random octets, hex. */
  master: z.string().regex(/^[0-9a-f]{64}$/),
});

/** Derives the secrets of one farm: the same for every start of it, different for every other farm. */
export class FarmSecrets {
  readonly #master: Buffer;

  private constructor(master: string) {
    this.#master = Buffer.from(master, 'hex');
  }

  /** Reads the farm's key, making it where there is none yet. Throws HOST_FAILED. */
  static open(stateFolder: string): FarmSecrets {
    return FarmSecrets.#read(join(stateFolder, 'secrets.json'), true);
  }

  /** Reads a key that must be there, and leaves it as it is. Throws HOST_FAILED. */
  static read(path: string): FarmSecrets {
    return FarmSecrets.#read(path, false);
  }

  static #read(path: string, make: boolean): FarmSecrets {
    try {
      if (make && !existsSync(path)) {
        mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
        writeFileSync(path, `${JSON.stringify({ master: randomBytes(32).toString('hex') })}\n`, {
          mode: 0o600,
          flag: 'wx',
        });
      }
      if (make) chmodSync(path, 0o600);
      return new FarmSecrets(fileSchema.parse(JSON.parse(readFileSync(path, 'utf8'))).master);
    } catch (error) {
      throw new HoldfastError('HOST_FAILED', `the farm's key in ${path} cannot be used: ${messageOf(error)}`, {
        cause: error,
        remedy: make
          ? 'with the farm down, remove the file: a new key is made at the next start'
          : 'name the secrets.json of a farm’s state folder, or of an earlier rendering',
      });
    }
  }

  /** 40 hex characters for a purpose, e.g. `ari call-1`. */
  derive(purpose: string): string {
    return createHmac('sha256', this.#master).update(purpose).digest('hex').slice(0, 40);
  }
}
