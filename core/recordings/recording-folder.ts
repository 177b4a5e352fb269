// The folder of recordings: one folder for each, with a WAV file per segment and a file of times.
import { mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError, messageOf } from '../errors.js';
import type { NodeHost } from '../ports/node-host.js';
import type { RecordingFolder } from './recording-book.js';

export const timesFile = 'recording.jsonl';

/** `root`: absolute; asked for at each use, as a reload may name another one. */
export function recordingFolder(host: Pick<NodeHost, 'takeFile'>, root: () => string): RecordingFolder {
  const make = async (recording: string): Promise<string> => {
    const folder = join(root(), recording);
    // What people say to each other is nobody's business.
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  };
  return {
    take: async (recording, { node, name }) => {
      try {
        const file = join(await make(recording), `${name}.wav`);
        const found = await host.takeFile(node, `spool/recording/${name}.wav`, file);
        if (found) await mendWav(file);
        return found;
      } catch (cause) {
        throw failed(recording, cause);
      }
    },
    write: async (recording, text) => {
      try {
        const file = join(await make(recording), timesFile);
        await writeFile(`${file}.tmp`, text, { mode: 0o600 });
        await rename(`${file}.tmp`, file);
      } catch (cause) {
        throw failed(recording, cause);
      }
    },
  };
}

/** Octets of the header that Asterisk writes (formats/format_wav.c): RIFF, fmt, data. */
const headerBytes = 44;

/** Writes the true sizes into the header: an Asterisk that was killed has not come to that. */
async function mendWav(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const { size } = await handle.stat();
    if (size < headerBytes) return;
    const sizes = Buffer.alloc(8);
    sizes.writeUInt32LE(size - 8, 0);
    sizes.writeUInt32LE(size - headerBytes, 4);
    await handle.write(sizes, 0, 4, 4);
    await handle.write(sizes, 4, 4, headerBytes - 4);
  } finally {
    await handle.close();
  }
}

function failed(recording: string, cause: unknown): HoldfastError {
  if (HoldfastError.is(cause)) return cause;
  return new HoldfastError('HOST_FAILED', `recording ${recording} cannot be kept: ${messageOf(cause)}`, {
    cause,
    remedy: 'make room on the disk, or name another folder: recordings in the config',
  });
}
