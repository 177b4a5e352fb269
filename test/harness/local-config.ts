// The config that most farms of tests begin with.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from './project-root.js';

/** examples/local.yaml as it stands. */
export async function localConfig(): Promise<string> {
  return readFile(join(projectRoot, 'examples/local.yaml'), 'utf8');
}
