// Writes a capture where the operator wants it: whole, or not at all.
import { randomBytes } from 'node:crypto';
import { realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { HoldfastError, messageOf } from '../errors.js';

/** Throws HOST_FAILED with place and remedy; then what was there before is as it was. */
export function writeCaptureFile(file: string, bytes: Buffer): void {
  const path = resolve(file);
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    // A pipe or a device, as /dev/stdout, takes what comes; what would be moved into its place would be a file.
    const isPlain = found === undefined || found.isFile() || found.isDirectory();
    if (isPlain) writeWhole(found === undefined ? path : realpathSync(path), bytes);
    else writeFileSync(path, bytes);
  } catch (error) {
    const [reason, remedy] = why(path, error as NodeJS.ErrnoException);
    throw new HoldfastError('HOST_FAILED', `cannot write ${path}: ${reason}`, { remedy, cause: error });
  }
}

function writeWhole(path: string, bytes: Buffer): void {
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
  try {
    // What people say to each other's phones is nobody's business.
    writeFileSync(temporary, bytes, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function why(path: string, error: NodeJS.ErrnoException): readonly [reason: string, remedy: string] {
  const folder = dirname(path);
  switch (error.code) {
    case 'ENOENT':
      return [`there is no folder ${folder}`, `make it with mkdir -p ${folder}, or name a file elsewhere`];
    case 'ENOTDIR':
      return [`${folder} is no folder`, 'name a file in a folder'];
    case 'EISDIR':
      return ['it is a folder', `name a file in it: --pcap ${join(path, 'call.pcap')}`];
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return [`nothing can be written in ${folder} (${error.code})`, 'name a file in a folder that you may write to'];
    default:
      return [messageOf(error), 'name a file on another disk'];
  }
}
