// The files that flows play: a folder of the operator's, and what of it Asterisk can read.
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Endings of the formats whose modules the nodes load: format_wav, format_pcm, format_sln. */
const endings = ['wav', 'ulaw', 'ul', 'mu', 'pcm', 'alaw', 'al', 'sln', 'raw'];
const mostNames = 10_000;

/** A sound's path without its ending, as Asterisk wants it. */
export function soundPath(name: string, folder: string | undefined): string {
  return name.startsWith('/') || folder === undefined ? name : join(folder, name);
}

/** The file of it that Asterisk would play; undefined where there is none. */
export function soundFile(name: string, folder: string | undefined): string | undefined {
  const path = soundPath(name, folder);
  return path.startsWith('/') ? endings.map(ending => `${path}.${ending}`).find(file => existsSync(file)) : undefined;
}

/** Why Asterisk could not play it, in words; undefined for one that it can. */
export function unplayable(file: string): string | undefined {
  const { mode, size } = statSync(file);
  if ((mode & 0o004) === 0) return `${file} cannot be read by the nodes: chmod a+r`;
  if (size === 0) return `${file} is empty`;
  return file.endsWith('.wav') ? wrongWave(startOf(file)) : undefined;
}

const waveHeaderBytes = 36;

function startOf(file: string): Buffer {
  const descriptor = openSync(file, 'r');
  try {
    const start = Buffer.alloc(waveHeaderBytes);
    return start.subarray(0, readSync(descriptor, start, 0, waveHeaderBytes, 0));
  } finally {
    closeSync(descriptor);
  }
}

/** What format_wav takes: RIFF, its `fmt ` chunk first, with linear samples. */
function wrongWave(header: Buffer): string | undefined {
  const says = (at: number, text: string): boolean => header.toString('latin1', at, at + text.length) === text;
  if (header.length < waveHeaderBytes || !says(0, 'RIFF') || !says(8, 'WAVEfmt ')) return 'it is no WAV file';
  const [format, channels] = [header.readUInt16LE(20), header.readUInt16LE(22)];
  const [rate, bits] = [header.readUInt32LE(24), header.readUInt16LE(34)];
  if (format === 1 && channels === 1 && rate === 8000 && bits === 16) return undefined;
  const kind = format === 1 ? `${channels} channels of ${bits} bit` : `format ${format}`;
  return `it is ${kind} at ${rate} Hz, and 8 kHz mono 16 bit is wanted: sox IN -r 8000 -c 1 -b 16 OUT.wav`;
}

/** Names of the sounds in a folder, for hints. */
export function soundNames(folder: string): readonly string[] {
  const ending = new RegExp(`\\.(${endings.join('|')})$`);
  try {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).slice(0, mostNames);
    return files.filter(file => ending.test(file)).map(file => file.replace(ending, ''));
  } catch {
    return [];
  }
}
