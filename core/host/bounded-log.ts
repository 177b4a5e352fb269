// Log files that cannot fill the disk: a process appends, and we empty the file once it is too big, keeping one copy.
import { constants } from 'node:fs';
import { copyFile, open, rm } from 'node:fs/promises';

/** A log may grow to this size; then it is moved to `<path>.1`, so that a log takes twice this at most. */
export const logBytes = 8 * 1024 * 1024;

/**
 * Copies a log that is too big to `<path>.1` and empties it. The writer's descriptor stays valid since it appends; what
 * it writes between copy and truncation is lost. Links are not followed: the folder may belong to the writer.
 */
export async function boundLog(path: string, maxBytes = logBytes): Promise<void> {
  const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW).catch(() => undefined);
  if (!handle) return;
  try {
    const stat = await handle.stat();
    if (!stat.isFile() || stat.size <= maxBytes) return;
    await rm(`${path}.1`, { force: true });
    await copyFile(`/proc/self/fd/${handle.fd}`, `${path}.1`, constants.COPYFILE_EXCL);
    await handle.truncate(0);
  } finally {
    await handle.close();
  }
}

/** The last `lines` lines of a log, from at most its last 64 kB; empty where there is none. */
export async function logTail(path: string, lines: number): Promise<string> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined);
  if (!handle) return '';
  try {
    const { size } = await handle.stat();
    const start = Math.max(0, size - 65_536);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer.toString('utf8', 0, bytesRead).trimEnd().split('\n').slice(-lines).join('\n');
  } finally {
    await handle.close();
  }
}
