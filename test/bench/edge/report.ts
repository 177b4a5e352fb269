// The tables of the edge benchmark.
import type { Spent } from './edge-under-test.js';
import { has, type Variant } from './variants.js';

/** CPU of one call, ms. */
export interface Cost {
  readonly variant: Variant;
  readonly calls: number;
  readonly failed: number;
  readonly kamailio: number;
  readonly rtpengine: number;
}

export interface Limit {
  readonly variant: Variant;
  /** Calls per second. */
  readonly rate: number;
  /** Busy cores at that rate. */
  readonly cores: Spent;
}

export function costTable(costs: readonly Cost[]): string {
  const of = (name: string | undefined): number | undefined =>
    costs.find(({ variant }) => variant.name === name)?.kamailio;
  const bare = of('bare');
  const rows = costs.map(({ variant, kamailio, rtpengine, calls, failed }) => {
    const other = of(variant.over);
    return [
      variant.title,
      `${kamailio.toFixed(2)} ms`,
      bare === undefined ? '' : (kamailio / bare).toFixed(1),
      other === undefined ? '' : `${(kamailio - other).toFixed(2)} ms`,
      has(variant, 'audio') ? `${rtpengine.toFixed(2)} ms` : '',
      `${failed} of ${calls}`,
    ];
  });
  return table(['', 'Kamailio', 'of `forward()`', 'it adds', 'RTPEngine', 'failed'], rows);
}

export function rateTable(limits: readonly Limit[]): string {
  const bare = limits.find(({ variant }) => variant.on === 'bare')?.rate;
  const rows = limits.map(({ variant, rate, cores }) => [
    variant.title,
    rate.toFixed(0),
    bare === undefined ? '' : (rate / bare).toFixed(2),
    ...[cores.kamailio, cores.rtpengine, cores.machine].map(busy => busy.toFixed(2)),
  ]);
  const head = ['', 'calls/s', 'of `forward()`', 'cores: Kamailio', 'RTPEngine', 'all the machine'];
  return table(head, rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n');
}
