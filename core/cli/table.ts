// Aligned columns of text, as wide as they are or as a terminal is. Colours count for nothing in the width. Pure.

/** One that is `whole` is not shortened, as in its row nothing else says what it is about. */
export type Cell = string | number | null | undefined | { readonly whole: string };

/** How a table gives way where it is wider than the terminal. */
export interface Fit {
  /** Width of the terminal; undefined: lines may be of any length. */
  readonly columns: number | undefined;
  /** Headings of columns whose texts are shortened, the least important first. */
  readonly shortens?: readonly string[];
  /** Of those that are left out where that is not enough, in this order. */
  readonly omits?: readonly string[];
  /** The last column is of words, and goes on in the next line. */
  readonly wraps?: boolean;
}

type TerminalFit = Fit & { readonly columns: number };

/** A text of fewer characters says nothing any more. */
const leastWidth = 8;
const leastWrapped = 20;
const gap = 2;

/** Lines with two blanks between columns; a cell without a value (null, undefined) shows as `-`, numbers are aligned to the right. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  fit: Fit = { columns: undefined },
): string {
  const all = headings.map((heading, i) =>
    columnOf(
      heading,
      rows.map(row => row[i]),
    ),
  );
  const columns = fit.columns === undefined ? all : fitted(all, { ...fit, columns: fit.columns });
  const wraps = fit.wraps === true && fit.columns !== undefined;
  return [headings, ...rows]
    .flatMap((_, row) => linesOf(columns, row, wraps))
    .map(line => `${line}\n`)
    .join('');
}

interface Column {
  readonly heading: string;
  /** Its heading and its cells. */
  readonly texts: readonly string[];
  readonly wholes: readonly boolean[];
  readonly numeric: boolean;
  readonly width: number;
}

function columnOf(heading: string, cells: readonly Cell[]): Column {
  const texts = [heading, ...cells.map(cellText)];
  const wholes = [true, ...cells.map(cell => typeof cell === 'object' && cell !== null)];
  const numeric = cells.length > 0 && cells.every(cell => typeof cell === 'number');
  return { heading, texts, wholes, numeric, width: Math.max(...texts.map(visibleLength)) };
}

/** With as few columns left out as can be, the others as wide as can be. */
function fitted(
  all: readonly Column[],
  { columns: most, shortens = [], omits = [], wraps }: TerminalFit,
): readonly Column[] {
  const excess = (columns: readonly Column[]): number =>
    columns.reduce((sum, { width }) => sum + width + gap, -gap - most);
  const tries = [[], ...omits.map((_, i) => omits.slice(0, i + 1))].map(omitted => {
    const left = all.filter(({ heading, wholes }) => !omitted.includes(heading) || wholes.slice(1).includes(true));
    return shortens.reduce(
      (columns, heading) => columns.map(one => (one.heading === heading ? narrowed(one, excess(columns)) : one)),
      left,
    );
  });
  const columns = tries.find(one => excess(one) <= 0) ?? tries.at(-1) ?? all;
  const last = columns.at(-1);
  if (wraps !== true || !last) return columns;
  const width = Math.max(leastWrapped, last.width - Math.max(0, excess(columns)));
  return [...columns.slice(0, -1), { ...last, width: Math.min(last.width, width) }];
}

/** By as much as is too much, if it has so much to give. */
function narrowed(column: Column, tooMuch: number): Column {
  const least = Math.max(leastWidth, visibleLength(column.heading));
  const width = Math.min(column.width, Math.max(least, column.width - Math.max(0, tooMuch)));
  return { ...column, width };
}

function linesOf(columns: readonly Column[], row: number, wraps: boolean): readonly string[] {
  const last = columns.at(-1);
  const shown = columns.map(column => cut(column, row, wraps && column === last));
  const more = wraps && last ? wrapped(shown.pop() ?? '', last.width) : [''];
  const begin = shown.map((text, i) => pad(text, columns[i]?.width ?? 0, columns[i]?.numeric === true));
  const indent = begin.map(text => ' '.repeat(visibleLength(text)));
  return more.map((text, i) =>
    [...(i === 0 ? begin : indent), ...(wraps ? [text] : [])].join(' '.repeat(gap)).trimEnd(),
  );
}

function cut({ texts, wholes, width }: Column, row: number, isWrapped: boolean): string {
  const text = texts[row] ?? '';
  return isWrapped || wholes[row] === true ? text : shortened(text, width);
}

/** Of a SIP URI the scheme goes first: what stands behind it tells one from another. */
function shortened(text: string, width: number): string {
  if (visibleLength(text) <= width) return text;
  const plain = text.replace(/\u001b\[\d+m/g, '').replace(/^sips?:/, '');
  return plain.length <= width ? plain : `${plain.slice(0, width - 1)}…`;
}

function wrapped(text: string, width: number): readonly string[] {
  if (visibleLength(text) <= width) return [text];
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1) ?? ''} ${word}`;
    if (lines.length > 0 && visibleLength(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function cellText(cell: Cell): string {
  if (cell === null || cell === undefined) return '-';
  return printable(typeof cell === 'object' ? cell.whole : String(cell));
}

/** Text from the network (numbers, URIs) must not steer the terminal: only our own colours pass. */
export function printable(text: string): string {
  return text.replace(/\u001b(?!\[\d{1,2}m)|[\u0000-\u001a\u001c-\u001f\u007f-\u009f]/g, '?');
}

function visibleLength(text: string): number {
  return text.replace(/\u001b\[\d+m/g, '').length;
}

function pad(text: string, width: number, right: boolean): string {
  const blanks = ' '.repeat(Math.max(0, width - visibleLength(text)));
  return right ? blanks + text : text + blanks;
}
