// The sounds that Holdfast brings along: music for those who wait, tones for who comes and goes. Made of sines, so that they are ours.
import { silenceClass } from '../core/ports/asterisk.js';
import type { NodeFile } from '../core/ports/node-host.js';
import { encodeMuLaw } from './mu-law.js';

const rate = 8000;

interface Note {
  readonly hz: number;
  readonly atSeconds: number;
  readonly seconds: number;
  readonly amplitude: number;
}

/** Am, F, C, G: each broken upwards and back, low notes underneath. A quarter of a second a note. */
const chords = [
  [110, 220, 261.63, 329.63],
  [87.31, 174.61, 220, 261.63],
  [130.81, 196, 261.63, 329.63],
  [98, 196, 246.94, 293.66],
] as const;
const noteSeconds = 0.25;
const barSeconds = 8 * noteSeconds;

function musicNotes(): Note[] {
  return [0, 1].flatMap(round =>
    chords.flatMap(([bass, low, middle, high], i): Note[] => {
      const atSeconds = (round * chords.length + i) * barSeconds;
      const broken = [low, middle, high, 2 * low, high, middle, low, middle];
      return [
        { hz: 2 * bass, atSeconds, seconds: barSeconds, amplitude: 1200 },
        ...broken.map((hz, n) => ({ hz, atSeconds: atSeconds + n * noteSeconds, seconds: 0.9, amplitude: 1500 })),
      ];
    }),
  );
}

const pair = (first: number, second: number): Note[] => [
  { hz: first, atSeconds: 0, seconds: 0.15, amplitude: 3000 },
  { hz: second, atSeconds: 0.12, seconds: 0.2, amplitude: 3000 },
];

/** µ-law, one octet a sample. What sounds beyond the end goes on at the beginning: music is played round and round. */
function render(notes: readonly Note[], seconds: number): string {
  const samples = new Float64Array(Math.round(seconds * rate));
  for (const { hz, atSeconds, seconds: length, amplitude } of notes) {
    const [start, count] = [Math.round(atSeconds * rate), Math.round(length * rate)];
    for (let i = 0; i < count; i++) {
      // Struck and fading, without a click at either end.
      const envelope = Math.min(1, i / 80) * Math.exp((-3 * i) / count) * Math.min(1, (count - i) / 80);
      const at = (start + i) % samples.length;
      samples[at] = (samples[at] ?? 0) + amplitude * envelope * Math.sin((2 * Math.PI * hz * i) / rate);
    }
  }
  return Buffer.from(Uint8Array.from(samples, sample => encodeMuLaw(Math.round(sample)))).toString('latin1');
}

let rendered: readonly NodeFile[] | undefined;

/** The files, made once. */
export function soundFiles(): readonly NodeFile[] {
  const file = (path: string, notes: readonly Note[], seconds: number): NodeFile => ({
    ...{ path: `sounds/${path}.ulaw`, content: render(notes, seconds), encoding: 'latin1', mode: 0o600 },
  });
  return (rendered ??= [
    file('music/music', musicNotes(), 2 * chords.length * barSeconds),
    file('silence/silence', [], 1),
    file('join', pair(523.25, 783.99), 0.35),
    file('leave', pair(783.99, 523.25), 0.35),
  ]);
}

/** musiconhold.conf: `folder` is the node's. */
export function renderMusicOnHold(folder: string): string {
  return `[general]

[default]
mode = files
directory = ${folder}/sounds/music

[${silenceClass}]
mode = files
directory = ${folder}/sounds/silence
`;
}
