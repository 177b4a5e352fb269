// Writes files and folders for another user, as root, without following links that this user may have placed.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HoldfastError, messageOf } from '../errors.js';
import type { NodeFile } from '../ports/node-host.js';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** What a file is to be, as a node's file says it. */
export type OwnedContent = Pick<NodeFile, 'content' | 'encoding' | 'mode'>;

/** Makes `path` (whose parent exists) a folder with this mode and owner. A link in its place is refused. */
export async function makeFolder(path: string, mode: number, owner: Owner): Promise<void> {
  await mkdir(path, { mode }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw asHostFailure(`cannot make ${path}`, error);
  });
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  const handle = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch((error: unknown) => {
    throw asHostFailure(`cannot open the folder ${path}`, error);
  });
  try {
    await handle.chown(owner.uid, owner.gid);
    await handle.chmod(mode);
  } finally {
    await handle.close();
  }
}

/** Writes a whole file by temporary file and rename: a reader sees the old content or the new one, never a part. */
export async function writeOwnedFile(
  path: string,
  { content, encoding, mode }: OwnedContent,
  owner: Owner,
): Promise<void> {
  const temporary = `${dirname(path)}/.${randomBytes(6).toString('hex')}.tmp`;
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  try {
    const handle = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      await handle.writeFile(content, encoding ?? 'utf8');
      await handle.chown(owner.uid, owner.gid);
      await handle.chmod(mode);
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw asHostFailure(`cannot write ${path}`, error);
  }
}

/** Moves a plain file (a link is refused) and makes it this process's own, closed to others. False where there is none. */
export async function takeFile(path: string, to: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return false;
  try {
    if (!found.isFile()) throw new Error('it is no plain file');
    await rename(path, to);
    const handle = await open(to, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      await handle.chown(process.getuid?.() ?? 0, process.getgid?.() ?? 0);
      await handle.chmod(0o600);
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    throw asHostFailure(`cannot move ${path} to ${to}`, error);
  }
}

function asHostFailure(what: string, error: unknown): HoldfastError {
  const code = (error as NodeJS.ErrnoException).code;
  const remedies: Readonly<Record<string, string>> = {
    ENOSPC: 'the disk is full: free some space and try again',
    EACCES: 'run as root, for example with sudo',
    EPERM: 'run as root, for example with sudo',
    EROFS: 'the file system is read-only: choose another state folder with --state',
    ELOOP: 'there is a symbolic link in its place: remove it',
    ENOTDIR: 'there is something else in its place: remove it',
  };
  const remedy = code === undefined ? undefined : remedies[code];
  return new HoldfastError('HOST_FAILED', `${what}: ${messageOf(error)}`, {
    cause: error,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
