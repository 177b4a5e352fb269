// A leg of which nothing has been heard yet.
import type { LegRecord } from './call-record.js';

/** What a leg is born with; all else is told of it from the start. */
const untold = {
  state: 'trying',
  sipStatus: null,
  redirect: null,
  ending: false,
  gaveWay: false,
  held: false,
  recovering: null,
} as const satisfies Partial<LegRecord>;

export function newLeg(own: Omit<LegRecord, keyof typeof untold | 'endHeaders'>): LegRecord {
  return { ...own, ...untold, endHeaders: [] };
}
