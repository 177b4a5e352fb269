// Draws traced messages for the terminal, one line per hop: when, what, from where through which Kamailio to where. Pure.
import { hopsOf, type Hop } from './hops.js';
import type { TraceMessage } from './trace-message.js';

/** A node's name for an `address:port`; undefined where it has none. */
export type NameOf = (end: string) => string | undefined;

/** Lines like `+  12.3 ms  INVITE       127.40.0.200 → kamailio-2 → call-1`, times since the first message. */
export function ladder(messages: readonly TraceMessage[], nameOf: NameOf = () => undefined): string[] {
  const hops = hopsOf(messages);
  const firstMs = hops[0]?.atMs ?? 0;
  const rows = hops.map(hop => rowOf(hop, firstMs, nameOf));
  const width = (cell: 0 | 1 | 2 | 3): number => Math.max(0, ...rows.map(row => row[cell].length));
  const widths = { at: width(0), summary: width(1), from: width(2), via: width(3) };
  return rows.map(([at, summary, from, via, to]) =>
    [
      `+${at.padStart(widths.at)} ms  ${summary.padEnd(widths.summary)}  `,
      `${from.padStart(widths.from)} ${from === '' ? ' ' : '→'} ${via.padEnd(widths.via)} ${to === '' ? '✕' : '→'} ${to}`,
    ]
      .join('')
      .trimEnd(),
  );
}

type Row = readonly [at: string, summary: string, from: string, via: string, to: string];

function rowOf(hop: Hop, firstMs: number, nameOf: NameOf): Row {
  const name = (end: string | null): string => (end === null ? '' : (nameOf(end) ?? end.replace(/:5060$/, '')));
  const summary = `${hop.summary}${hop.retransmission ? ' (again)' : ''}`;
  return [(hop.atMs - firstMs).toFixed(1), printable(summary), name(hop.from), hop.via, name(hop.to)];
}

/** A reason phrase comes from anybody: no control character of it reaches the terminal. */
function printable(text: string): string {
  return text.replace(/[\p{C}]/gu, '?').slice(0, 40);
}
