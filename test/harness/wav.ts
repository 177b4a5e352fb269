// WAV as the phones of the tests play and record it: mono, 16 bit, at the rate of G.711.

export const wavRate = 8000;
export const wavHeaderBytes = 44;

export function formatWav(samples: Int16Array): Buffer {
  const header = Buffer.alloc(wavHeaderBytes);
  const dataBytes = samples.length * 2;
  header.write('RIFF', 0);
  header.writeUInt32LE(wavHeaderBytes - 8 + dataBytes, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(wavRate, 24);
  header.writeUInt32LE(wavRate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(dataBytes, 40);
  return Buffer.concat([header, Buffer.from(samples.buffer, samples.byteOffset, dataBytes)]);
}
