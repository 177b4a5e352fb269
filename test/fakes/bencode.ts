// Bencoding as ng uses it: strings, integers, lists and dictionaries.

export type Bencoded = string | number | readonly Bencoded[] | { readonly [key: string]: Bencoded };

export function encodeBencode(value: Bencoded): string {
  if (typeof value === 'number') return `i${value}e`;
  if (typeof value === 'string') return `${Buffer.byteLength(value)}:${value}`;
  if (isList(value)) return `l${value.map(encodeBencode).join('')}e`;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `d${entries.map(([key, item]) => encodeBencode(key) + encodeBencode(item)).join('')}e`;
}

/** Throws on anything that is not one whole bencoded value. */
export function decodeBencode(data: Buffer): Bencoded {
  let at = 0;
  const until = (end: string): string => {
    const stop = data.indexOf(end, at);
    if (stop < 0) throw new Error(`bencode: no "${end}" after byte ${at}`);
    const text = data.toString('latin1', at, stop);
    at = stop + 1;
    return text;
  };
  const value = (): Bencoded => {
    const kind = String.fromCharCode(data[at] ?? 0);
    if (kind === 'i') {
      at++;
      return Number(until('e'));
    }
    if (kind === 'l' || kind === 'd') {
      at++;
      const items: Bencoded[] = [];
      while (data[at] !== 0x65) items.push(value());
      at++;
      if (kind === 'l') return items;
      return Object.fromEntries(pairs(items));
    }
    if (!/\d/.test(kind)) throw new Error(`bencode: unexpected byte at ${at}`);
    const length = Number(until(':'));
    if (at + length > data.length) throw new Error('bencode: string is cut off');
    at += length;
    return data.toString('utf8', at - length, at);
  };
  const whole = value();
  if (at !== data.length) throw new Error('bencode: bytes left over');
  return whole;
}

/** A string where one should be; whatever else is there counts as the empty one. */
export function text(value: Bencoded | undefined): string {
  return typeof value === 'string' ? value : '';
}

function isList(value: Bencoded): value is readonly Bencoded[] {
  return Array.isArray(value);
}

function* pairs(items: readonly Bencoded[]): Generator<[string, Bencoded]> {
  for (let i = 0; i + 1 < items.length; i += 2) yield [text(items[i]), items[i + 1]!];
}
