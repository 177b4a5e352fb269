// What files of authorities held when they were right: a daemon that is started while one is broken goes on with that.
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeOwnedFile } from '../host/owned-files.js';

const kept = z.record(z.string(), z.string());

function fileIn(folder: string): string {
  return join(folder, 'authorities.json');
}

/** By path of the file; nothing where nothing is kept that can be read. */
export function keptAuthorities(folder: string): Readonly<Record<string, string>> {
  try {
    return kept.parse(JSON.parse(readFileSync(fileIn(folder), 'utf8')));
  } catch {
    return {};
  }
}

/** Of a file that is wrong now what was kept stays. */
export async function keepAuthorities(
  folder: string,
  {
    authorities,
    faults,
  }: { readonly authorities: Readonly<Record<string, string>>; readonly faults: readonly string[] },
): Promise<void> {
  const before = keptAuthorities(folder);
  const content = JSON.stringify(faults.length > 0 ? { ...before, ...authorities } : authorities);
  if (content === JSON.stringify(before)) return;
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeOwnedFile(fileIn(folder), { content, mode: 0o600 }, owner);
}
