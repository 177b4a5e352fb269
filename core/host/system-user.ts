// Looks system users up in /etc/passwd: Node can run a process as a numeric user only.
import { readFile } from 'node:fs/promises';
import { HoldfastError } from '../errors.js';

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Throws HOST_FAILED for a user that does not exist, or that this process may not act as. */
export async function findUser(name: string, passwdPath = '/etc/passwd'): Promise<SystemUser> {
  const passwd = await readFile(passwdPath, 'utf8');
  const fields = passwd
    .split('\n')
    .map(line => line.split(':'))
    .find(([user]) => user === name);
  const [uid, gid] = [Number(fields?.[2]), Number(fields?.[3])];
  if (!Number.isSafeInteger(uid) || !Number.isSafeInteger(gid)) {
    throw new HoldfastError('HOST_FAILED', `system user "${name}" does not exist`, {
      details: { user: name },
      remedy: 'run npm start, or scripts/setup.sh, which makes the users of the farm',
    });
  }
  if (process.getuid?.() !== 0 && process.getuid?.() !== uid) {
    throw new HoldfastError('HOST_FAILED', `cannot start processes as "${name}": not running as root`, {
      details: { user: name },
      remedy: 'start the farm as root, for example with sudo',
    });
  }
  return { name, uid, gid };
}
