// Listens to a WAV recording while a phone is still writing it: its header may not be there yet.
import { open, type FileHandle } from 'node:fs/promises';
import { dominantTone, type Heard } from './tone.js';
import { wavHeaderBytes, wavRate } from './wav.js';

/** What one look listens to: 300 ms. */
const lookBytes = 2 * 0.3 * wavRate;

export class WavTail {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** How long the file is by now, in bytes. */
  async length(): Promise<number> {
    return this.#read(async handle => (await handle.stat()).size).catch(() => 0);
  }

  /** What the last 300 ms sound like; undefined for silence, and while less than that came after the first `since` bytes. */
  async heard(since: number): Promise<Heard | undefined> {
    return this.#read(async handle => {
      const end = (await handle.stat()).size & ~1;
      if (end - lookBytes < Math.max(since, wavHeaderBytes)) return undefined;
      const look = Buffer.alloc(lookBytes);
      await handle.read(look, 0, lookBytes, end - lookBytes);
      const samples = Int16Array.from({ length: lookBytes / 2 }, (_, i) => look.readInt16LE(2 * i));
      return dominantTone(samples, wavRate);
    });
  }

  async #read<T>(use: (handle: FileHandle) => Promise<T>): Promise<T> {
    const handle = await open(this.#file);
    try {
      return await use(handle);
    } finally {
      await handle.close();
    }
  }
}
