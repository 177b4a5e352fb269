// The version of this program, from its package.json (this file is dist/core/cli/version.js beside it).
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const packageJson = new URL('../../../package.json', import.meta.url);

export function programVersion(): string {
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(packageJson, 'utf8'))).version;
}
