// The CDR file: whole lines appended and synced, through rotation by rename, and read back after a crash.
import { open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Where an append begins: the file it goes to, by inode, and the size that file has before. */
export interface AppendPoint {
  readonly inode: number;
  readonly size: number;
}

export class CdrFile {
  readonly path: string;
  #handle: FileHandle | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Opens the file, again when it was rotated or removed since, and says where the next append begins. */
  async appendPoint(): Promise<AppendPoint> {
    const handle = await this.#current();
    const { ino, size } = await handle.stat();
    return { inode: ino, size };
  }

  /** Appends `text` at `point` and syncs it to disk. When it fails, nothing of it stays in the file. */
  async append(text: string, point: AppendPoint): Promise<void> {
    const handle = this.#handle;
    if (handle === undefined) throw new Error(`${this.path} is not open`);
    try {
      await handle.appendFile(text);
      await handle.datasync();
    } catch (error) {
      await handle.truncate(point.size).catch(() => undefined);
      throw error;
    }
  }

  /**
   * What stands behind `point`, in the file or in the one it was renamed to. A line that a crash cut short is removed.
   * Undefined when no file of that inode is in the folder any more.
   */
  async linesAfter(point: AppendPoint): Promise<readonly string[] | undefined> {
    const path = await this.#pathOf(point.inode);
    if (path === undefined) return undefined;
    const handle = await open(path, 'r+');
    try {
      const { size } = await handle.stat();
      const buffer = Buffer.alloc(Math.max(0, size - point.size));
      await handle.read(buffer, 0, buffer.length, point.size);
      const whole = buffer.lastIndexOf('\n') + 1;
      if (whole < buffer.length) await handle.truncate(point.size + whole);
      return buffer.subarray(0, whole).toString('utf8').split('\n').slice(0, -1);
    } finally {
      await handle.close();
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  async #current(): Promise<FileHandle> {
    if (this.#handle !== undefined) {
      const [held, there] = await Promise.all([this.#handle.stat(), stat(this.path).catch(() => undefined)]);
      if (there?.ino === held.ino && there.dev === held.dev) return this.#handle;
      await this.close();
    }
    // Call records are personal data: for the daemon's user and group only.
    this.#handle = await open(this.path, 'a', 0o640);
    return this.#handle;
  }

  async #pathOf(inode: number): Promise<string | undefined> {
    const folder = dirname(this.path);
    const names = await readdir(folder).catch(() => []);
    const base = basename(this.path);
    for (const name of names.filter(name => name.startsWith(base))) {
      const { ino } = await stat(join(folder, name)).catch(() => ({ ino: undefined }));
      if (ino === inode) return join(folder, name);
    }
    return undefined;
  }
}
