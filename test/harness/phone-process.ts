// The process of a phone from Debian: a folder of its own, its output as text, and its end.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class PhoneProcess {
  readonly folder: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #exit: Promise<void>;
  #output = '';
  #listener: (text: string) => void = () => undefined;

  private constructor(folder: string, child: ChildProcessWithoutNullStreams) {
    this.folder = folder;
    this.#child = child;
    this.#exit = new Promise(resolve => child.once('close', () => resolve()));
    const take = (chunk: Buffer): void => {
      this.#output += chunk.toString();
      this.#listener(chunk.toString());
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    // A phone that is gone says so by its silence; see `output`.
    child.stdin.on('error', () => undefined);
  }

  /** An empty folder for a phone's configuration. */
  static async folder(name: string): Promise<string> {
    return mkdtemp(join(tmpdir(), `holdfast-${name}-`));
  }

  static start(command: string, args: readonly string[], folder: string): PhoneProcess {
    // HOME: no phone may meet, or change, the settings of whoever runs the tests.
    const env = { PATH: process.env['PATH'], HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder };
    const child = spawn(command, args, { cwd: folder, env, stdio: 'pipe' });
    child.once('error', error => child.stderr.emit('data', Buffer.from(`${command}: ${error.message}\n`)));
    return new PhoneProcess(folder, child);
  }

  /** All that it has printed. */
  get output(): string {
    return this.#output;
  }

  /** Told of all that it prints from now on. */
  onOutput(listener: (text: string) => void): void {
    this.#listener = listener;
  }

  write(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Ends it, by the signal of a user who leaves, or by force when that takes longer than two seconds. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const force = setTimeout(() => this.#child.kill('SIGKILL'), 2000);
    await this.#exit;
    clearTimeout(force);
    await rm(this.folder, { recursive: true, force: true });
  }
}
