// The benchmark's results as the tables of docs/calls-benchmark.md.
import type { Contender } from './contenders.js';
import { firstRate } from './load.js';

export interface Cost {
  readonly contender: Contender;
  readonly calls: number;
  readonly failed: number;
  /** CPU milliseconds a call: of the call node's Asterisk, the conference node's, the program that controls them, and the edge. */
  readonly call: number;
  readonly conference: number;
  readonly program: number;
  readonly edge: number;
  /** CPU milliseconds a second that the program takes without calls. */
  readonly idleProgram: number;
  /** Milliseconds from INVITE to 180, median and 99 %. */
  readonly postDial: readonly [p50: number, p99: number];
  /** On the Asterisks, at about `up` calls. */
  readonly channelsPerCall: number;
  readonly bridgesPerCall: number;
}

export interface Memory {
  readonly calls: number;
  readonly beforeKb: number;
  readonly afterKb: number;
}

const titles: Readonly<Record<Contender, string>> = {
  dial: 'dialplan `Dial()`',
  naive: 'naive ARI program',
  'call-node': 'Holdfast, `call-node`',
  'conference-farm': 'Holdfast, `conference-farm`',
};

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map(cells => `| ${cells.join(' | ')} |`).join('\n');
}

/** Post-dial delay beyond that of `Dial()`; empty where there is no 180. */
function addedMs({ postDial }: Cost, dial: Cost | undefined): string {
  if (dial === undefined || Number.isNaN(postDial[0])) return '';
  return postDial.map((ms, i) => (ms - (dial.postDial[i] ?? 0)).toFixed(0)).join(' / ');
}

/** `Dial()` first: the others are told as multiples of it. */
export function costTable(costs: readonly Cost[]): string {
  const dial = costs.find(one => one.contender === 'dial');
  const head = [
    ...['', 'Asterisk', 'of `Dial()`', 'conference node', 'program', 'program idle', 'edge'],
    ...['post-dial p50 / p99', 'added', 'channels', 'bridges', 'failed'],
  ];
  const rows = [...costs]
    .reverse()
    .map(one => [
      titles[one.contender],
      `${one.call.toFixed(1)} ms`,
      dial ? (one.call / dial.call).toFixed(2) : '',
      one.contender === 'conference-farm' ? `${one.conference.toFixed(1)} ms` : '',
      one.contender === 'dial' ? '' : `${one.program.toFixed(2)} ms`,
      one.contender === 'dial' ? '' : `${one.idleProgram.toFixed(0)} ms/s`,
      `${one.edge.toFixed(1)} ms`,
      Number.isNaN(one.postDial[0]) ? 'no 180' : `${one.postDial.map(ms => ms.toFixed(0)).join(' / ')} ms`,
      addedMs(one, dial),
      one.channelsPerCall.toFixed(1),
      one.bridgesPerCall.toFixed(1),
      `${one.failed} of ${one.calls}`,
    ]);
  return table(head, rows);
}

export function rateTable(rates: ReadonlyMap<Contender, number>): string {
  const dial = rates.get('dial');
  const rows = [...rates]
    .reverse()
    .map(([contender, rate]) =>
      rate === 0
        ? [titles[contender], `below ${firstRate}`, '']
        : [titles[contender], rate.toFixed(0), dial ? (rate / dial).toFixed(2) : ''],
    );
  return table(['', 'calls/s', 'of `Dial()`'], rows);
}

export function memoryLine({ calls, beforeKb, afterKb }: Memory): string {
  const each = (afterKb - beforeKb) / calls;
  const mb = (kb: number): string => `${(kb / 1024).toFixed(0)} MB`;
  return `With ${calls} calls up the daemon has ${mb(afterKb)} of memory, ${mb(beforeKb)} without: ${each.toFixed(1)} kB a call.`;
}
