// Aligned columns of text. Colours count for nothing in the width. Pure.

export type Cell = string | number | null | undefined;

/** Lines with two blanks between columns; a cell without a value (null, undefined) shows as `-`, numbers are aligned to the right. */
export function formatTable(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = [headings, ...rows].map(row => headings.map((_, column) => cellText(row[column])));
  const widths = headings.map((_, column) => Math.max(...texts.map(row => visibleLength(row[column] ?? ''))));
  const numeric = headings.map((_, column) => rows.length > 0 && rows.every(row => typeof row[column] === 'number'));
  return texts
    .map(row =>
      row
        .map((text, column) => pad(text, widths[column] ?? 0, numeric[column] === true))
        .join('  ')
        .trimEnd(),
    )
    .map(line => `${line}\n`)
    .join('');
}

function cellText(cell: Cell): string {
  return cell === null || cell === undefined ? '-' : printable(String(cell));
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
