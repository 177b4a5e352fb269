// The folders of a farm's nodes and the files in them, each for the user that its server runs as.
import { lstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { HoldfastError, messageOf } from '../errors.js';
import type { NodeFile } from '../ports/node-host.js';
import { makeFolder, takeFile, writeOwnedFile } from './owned-files.js';
import { pathBelow } from './state-folder.js';
import type { SystemUser } from './system-user.js';

export class NodeFolders {
  readonly #root: string;

  /** `root`: the folder that has all of them, and is there. */
  constructor(root: string) {
    this.#root = root;
  }

  of(node: string): string {
    return join(this.#root, nodeName(node));
  }

  outputLog(node: string): string {
    return join(this.of(node), 'log', 'output.log');
  }

  /** Makes a node's folder, and those below it which are to be the user's own. */
  async make(node: string, user: SystemUser, folders: readonly string[] = []): Promise<void> {
    // It is root's and the user's group may read it, so that no link can be placed in it.
    await makeFolder(this.of(node), 0o750, { uid: process.getuid?.() ?? 0, gid: user.gid });
    await this.#makeParents(node, 'log', user);
    for (const folder of folders) {
      await this.#makeParents(node, dirname(folder), user);
      await makeFolder(pathBelow(this.of(node), folder), 0o750, user);
    }
  }

  async write(node: string, files: readonly NodeFile[], user: SystemUser): Promise<void> {
    await this.make(node, user);
    for (const file of files) {
      const path = pathBelow(this.of(node), file.path);
      await this.#makeParents(node, dirname(file.path), user);
      await writeOwnedFile(path, file, user);
    }
  }

  async read(
    node: string,
    path: string,
    encoding: NodeFile['encoding'] | 'utf8' = 'utf8',
  ): Promise<string | undefined> {
    try {
      return await readFile(pathBelow(this.of(node), path), encoding);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new HoldfastError('HOST_FAILED', `${node}: cannot read ${path}: ${messageOf(error)}`, { cause: error });
    }
  }

  take(node: string, path: string, to: string): Promise<boolean> {
    return takeFile(pathBelow(this.of(node), path), to);
  }

  /** Makes missing folders on the way to `path`; those that exist keep their owner. */
  async #makeParents(node: string, path: string, user: SystemUser): Promise<void> {
    const base = this.of(node);
    let folder = base;
    for (const part of relative(base, pathBelow(base, path)).split('/').filter(Boolean)) {
      folder = join(folder, part);
      const there = lstatSync(folder, { throwIfNoEntry: false });
      if (!there) await makeFolder(folder, 0o750, { uid: process.getuid?.() ?? 0, gid: user.gid });
      else if (!there.isDirectory()) throw new HoldfastError('HOST_FAILED', `${node}: ${folder} is no folder`);
    }
  }
}

/** A node's name as it may be used in paths. Throws HOST_FAILED. */
export function nodeName(node: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(node)) throw new HoldfastError('HOST_FAILED', `"${node}" is no node name`);
  return node;
}
