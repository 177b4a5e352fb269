// The files that flows play: a folder of the operator's, and what of it Asterisk can read.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Endings of the formats whose modules the nodes load: format_wav, format_pcm, format_sln. */
const endings = ['wav', 'ulaw', 'ul', 'mu', 'pcm', 'alaw', 'al', 'sln', 'raw'];
const mostNames = 10_000;

/** A sound's path without its ending, as Asterisk wants it. */
export function soundPath(name: string, folder: string | undefined): string {
  return name.startsWith('/') || folder === undefined ? name : join(folder, name);
}

/** Whether there is a file of it. */
export function findSound(name: string, folder: string | undefined): boolean {
  const path = soundPath(name, folder);
  return path.startsWith('/') && endings.some(ending => existsSync(`${path}.${ending}`));
}

/** Names of the sounds in a folder, for hints. */
export function soundNames(folder: string): readonly string[] {
  const ending = new RegExp(`\\.(${endings.join('|')})$`);
  try {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).slice(0, mostNames);
    return files.filter(file => ending.test(file)).map(file => file.replace(ending, ''));
  } catch {
    return [];
  }
}
