// Draws SIP messages as a ladder: a lane for each end, a rung for each message, and the Kamailio that carried it. Pure.
import type { DemoCall, DemoReport } from './composition.js';
import { printable } from './table.js';
import type { Style } from './style.js';

export interface Lane {
  readonly key: string;
  /** Two lines over it: who, and where. */
  readonly title: readonly [string, string];
}

export interface Rung {
  readonly atMs: number;
  /** Keys of lanes. */
  readonly from: string;
  readonly to: string;
  readonly text: string;
  /** Name of the Kamailio; null where it is not known. */
  readonly via: string | null;
  /** The same message was there before. */
  readonly again: boolean;
}

/** Widest and narrowest distance between two lanes. */
const lane = { most: 26, least: 17 } as const;
const timeWidth = 10;
const viaWidth = 14;
/** Where a line does not end at the edge of a terminal. */
const unlimited = Number.POSITIVE_INFINITY;

/** Lines, times in seconds since the first message; undefined where so many lanes do not fit into `columns`. */
export function drawLadder(
  lanes: readonly Lane[],
  rungs: readonly Rung[],
  style: Style,
  columns: number = unlimited,
): string[] | undefined {
  const gaps = Math.max(1, lanes.length - 1);
  const width = Math.min(lane.most, Math.floor((columns - timeWidth - viaWidth - 4) / gaps));
  if (width < lane.least) return undefined;
  const indexes = new Map(lanes.map(({ key }, index) => [key, index]));
  const [names, places] = [0, 1].map(line => titles(lanes, line as 0 | 1, width));
  const firstMs = rungs[0]?.atMs ?? 0;
  return [
    `${' '.repeat(timeWidth)}${style('bold', names ?? '')}`,
    ...(places === '' ? [] : [`${' '.repeat(timeWidth)}${style('dim', places ?? '')}`]),
    ...rungs.map(rung => {
      const at = ((rung.atMs - firstMs) / 1000).toFixed(3).padStart(timeWidth - 2);
      const line = drawRung(indexes.get(rung.from) ?? 0, indexes.get(rung.to) ?? 0, rung, lanes.length, width);
      return `${at}  ${rung.again ? style('dim', line) : line}  ${style('cyan', rung.via ?? '?')}`;
    }),
  ];
}

function titles(lanes: readonly Lane[], line: 0 | 1, width: number): string {
  return lanes
    .map(({ title }) =>
      printable(title[line])
        .slice(0, width - 1)
        .padEnd(width),
    )
    .join('')
    .trimEnd();
}

/** One line: a bar at each lane, and an arrow from one to the other. */
function drawRung(from: number, to: number, { text, again }: Rung, lanes: number, width: number): string {
  const label = `${printable(text)}${again ? ' (again)' : ''}`;
  const [left, right] = [Math.min(from, to), Math.max(from, to)];
  const between = '│'.padEnd(width);
  if (left === right) {
    const room = left === lanes - 1 ? 0 : width;
    const own = `┼ ${cut(label, Math.max(room, width) - 3)}`.padEnd(Math.max(1, room));
    return `${between.repeat(left)}${own}${between.repeat(Math.max(0, lanes - 2 - left))}${left === lanes - 1 ? '' : '│'}`;
  }
  const inner = (right - left) * width - 1;
  const shaft = centred(` ${cut(label, inner - 6)} `, inner - 1);
  const arrow = from < to ? `│${shaft}►` : `│◄${shaft}`;
  return `${between.repeat(left)}${arrow}${between.repeat(lanes - 1 - right)}│`;
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

function centred(text: string, width: number): string {
  const arms = Math.max(0, width - text.length);
  return `${'─'.repeat(Math.floor(arms / 2))}${text}${'─'.repeat(Math.ceil(arms / 2))}`;
}

export function formatDemoCall(call: DemoCall, style: Style, columns?: number): string {
  const lanes = [...new Set(call.messages.flatMap(({ from, to }) => [from, to]))].map((name): Lane => ({
    key: name,
    title: [name, ''],
  }));
  const rungs = call.messages.map(({ atMs, from, to, via, summary }) => ({
    ...{ atMs, from, to, via },
    text: summary.replace(/ \(again\)$/, ''),
    again: summary.endsWith(' (again)'),
  }));
  const { sentHz, heardHz } = call.tone;
  const heard = heardHz === null ? style('red', 'nothing heard') : `${Math.round(heardHz)} Hz heard`;
  return [
    `${style('bold', 'Call')} ${printable(call.callId)}: ${call.ok ? style('green', 'ok') : style('red', 'failed')}`,
    `, tone of ${sentHz} Hz sent, ${heard}\n`,
    ...(drawLadder(lanes, rungs, style, columns) ?? drawLadder(lanes, rungs, style) ?? []).map(line => `${line}\n`),
  ].join('');
}

/** How many messages each Kamailio carried, and how the calls went. */
export function formatDemoSummary({ calls }: DemoReport): string {
  const carried = new Map<string, number>();
  for (const { via } of calls.flatMap(({ messages }) => messages)) {
    if (via !== null) carried.set(via, (carried.get(via) ?? 0) + 1);
  }
  const shares = [...carried].sort(([a], [b]) => a.localeCompare(b)).map(([name, count]) => `${name} ${count}`);
  const ok = calls.filter(call => call.ok).length;
  return `${ok} of ${calls.length} calls ok. Messages carried: ${shares.join(', ') || 'none seen'}.\n`;
}
