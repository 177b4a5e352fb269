// Real messages with faults, as a line or a hostile hand makes them.
import type { Random } from './seeded-random.js';

const separators = '\r\n\t ",;<>\\:=/@\0%';

/** One to four faults: octets and lines that are changed, doubled, gone or cut off. */
export function mutated(message: string, random: Random): Buffer {
  let bytes: Buffer = Buffer.from(message);
  for (let faults = 1 + random(4); faults > 0; faults--) bytes = fault(bytes, random);
  return bytes;
}

function fault(bytes: Buffer, random: Random): Buffer {
  const at = random(bytes.length || 1);
  const other = Buffer.from(bytes);
  const lines = bytes.toString('latin1').split('\r\n');
  const line = random(lines.length);
  switch (random(7)) {
    case 0:
      other[at] = random(256);
      return other;
    case 1:
      other[at] = separators.charCodeAt(random(separators.length));
      return other;
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random(20))]);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from('A'.repeat(1 << random(11))), bytes.subarray(at)]);
    case 4:
      return Buffer.from(lines.toSpliced(line, 1).join('\r\n'), 'latin1');
    case 5:
      return Buffer.from(lines.toSpliced(line, 0, lines[random(lines.length)] ?? '').join('\r\n'), 'latin1');
    default:
      return bytes.subarray(0, at);
  }
}
