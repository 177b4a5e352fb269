// A demo call as a ladder: each message with its time, its ends, and the Kamailio that carried it. Pure.
import type { DemoCall, DemoReport } from './composition.js';
import { printable } from './table.js';
import type { Style } from './style.js';

const laneWidth = 24;

export function formatLadder(call: DemoCall, style: Style): string {
  const lanes = [...new Set(call.messages.flatMap(({ from, to }) => [from, to]))];
  const head = lanes
    .map(name => printable(name).padEnd(laneWidth))
    .join('')
    .trimEnd();
  const { sentHz, heardHz } = call.tone;
  const heard = heardHz === null ? style('red', 'nothing heard') : `${Math.round(heardHz)} Hz heard`;
  return [
    `${style('bold', 'Call')} ${printable(call.callId)}: ${call.ok ? style('green', 'ok') : style('red', 'failed')}`,
    `, tone of ${sentHz} Hz sent, ${heard}\n`,
    `${' '.repeat(11)}${style('bold', head)}\n`,
    ...call.messages.map(({ atMs, from, to, via, summary }) => {
      const rung = drawRung(lanes.indexOf(from), lanes.indexOf(to), printable(summary), lanes.length);
      return `${atMs.toFixed(1).padStart(7)} ms ${rung} ${style('cyan', via ?? '?')}\n`;
    }),
  ].join('');
}

/** One line of the ladder, as wide as all lanes. */
function drawRung(from: number, to: number, summary: string, lanes: number): string {
  const [left, right] = [Math.min(from, to), Math.max(from, to)];
  const inner = Math.max(4, (right - left) * laneWidth - 3);
  const text = ` ${summary.slice(0, inner - 4)} `;
  const arms = inner - text.length;
  const line = `${'─'.repeat(Math.floor(arms / 2))}${text}${'─'.repeat(Math.ceil(arms / 2))}`;
  const arrow = from === to ? `↻ ${summary.slice(0, laneWidth - 3)}` : from < to ? `├${line}►` : `◄${line}┤`;
  return `${' '.repeat(left * laneWidth)}${arrow}`.padEnd(lanes * laneWidth);
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
