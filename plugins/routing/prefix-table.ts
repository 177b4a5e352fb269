// Trunks by the front of the number, from a CSV file: `prefix,trunk` or `prefix,trunk|trunk|…`, best first. The longest prefix decides.

/** What a line of the file is wrong in. */
export interface TableProblem {
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

export class PrefixTable {
  readonly #trunks: ReadonlyMap<string, readonly string[]>;
  readonly #longest: number;

  constructor(trunks: ReadonlyMap<string, readonly string[]>) {
    this.#trunks = trunks;
    this.#longest = Math.max(0, ...[...new Set([...trunks.keys()].map(prefix => prefix.length))]);
  }

  get size(): number {
    return this.#trunks.size;
  }

  /** Undefined where no prefix fits. As many looks as the longest prefix has characters, however many prefixes there are. */
  trunksFor(number: string): readonly string[] | undefined {
    for (let length = Math.min(number.length, this.#longest); length > 0; length--) {
      const trunks = this.#trunks.get(number.slice(0, length));
      if (trunks !== undefined) return trunks;
    }
    return undefined;
  }
}

/** Reads a file's text. Empty lines, those that begin with `#`, and a heading `prefix,…` are passed over. Pure. */
export function readPrefixTable(
  text: string,
  isTrunk: (name: string) => boolean,
): { readonly table: PrefixTable; readonly problems: readonly TableProblem[] } {
  const trunks = new Map<string, readonly string[]>();
  const lists = new Map<string, readonly string[]>();
  const problems: TableProblem[] = [];
  text.split(/\r?\n/).forEach((content, i) => {
    const row = content.trim();
    if (row === '' || row.startsWith('#') || (i === 0 && /^"?prefix"?\s*[,;]/i.test(row))) return;
    const [prefix = '', names = '', ...more] = row.split(/[,;]/).map(field => field.trim().replace(/^"(.*)"$/, '$1'));
    const wrong = wrongRow(prefix, names, more.length, trunks, isTrunk);
    if (wrong !== undefined) {
      problems.push({ line: i + 1, message: wrong });
      return;
    }
    // Most rows name one of a few trunks: their lists are shared.
    const list = lists.get(names) ?? names.split('|').map(name => name.trim());
    lists.set(names, list);
    trunks.set(prefix, list);
  });
  return { table: new PrefixTable(trunks), problems };
}

function wrongRow(
  prefix: string,
  names: string,
  surplus: number,
  known: ReadonlyMap<string, unknown>,
  isTrunk: (name: string) => boolean,
): string | undefined {
  if (!/^\+?[0-9*#]+$/.test(prefix) || names === '' || surplus > 0)
    return 'must be prefix,trunk or prefix,trunk|trunk: digits, and names of trunks';
  if (known.has(prefix)) return `${prefix} is there twice`;
  const stranger = names
    .split('|')
    .map(name => name.trim())
    .find(name => !isTrunk(name));
  return stranger === undefined ? undefined : `there is no trunk "${stranger}"`;
}
