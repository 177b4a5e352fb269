// Whose calls are refused where more come for a node than it may have: those of whoever sends most. Pure.
import { lots, quietSources } from '../ports/edge.js';

/** One that calls often enough to be counted by itself. Rates are calls per second. */
export interface SourceRate {
  readonly source: string;
  readonly offered: number;
  /** What it has had while the node kept up. */
  readonly usual: number;
}

export interface OfferedRates {
  readonly sources: readonly SourceRate[];
  /** Of all those together that call too seldom to be counted one by one. */
  readonly quiet: number;
}

/** Calls come by chance: in one second of twenty more than this many standard deviations (of a Poisson process) above what is usual. */
const chance = 2;

/** Of what may be let in, this much is for those who call seldom, whoever else calls. */
const quietPart = 0.9;

/**
 * Source → of all `lots`, those that are refused. Whoever has called before goes on as usual, and those who call seldom; what is left is shared
 * equally among those who want more. Where the usual is too much already, whoever has most of it gives first.
 */
export function sharesRefused(limit: number, { sources, quiet }: OfferedRates): ReadonlyMap<string, number> {
  const quietLimit = Math.min(quiet, sources.length === 0 ? limit : quietPart * limit);
  const left = limit - quietLimit;
  const usual = levelled(
    left,
    sources.map(({ offered, usual }) => Math.min(offered, usual + chance * Math.sqrt(usual))),
  );
  const spare = left - sum(usual);
  const more = levelled(
    spare,
    sources.map(({ offered }, i) => offered - (usual[i] ?? 0)),
  );
  const refused = sources.map(
    ({ source, offered }, i) => [source, lotsRefused(offered, (usual[i] ?? 0) + (more[i] ?? 0))] as const,
  );
  return new Map([...refused, [quietSources, lotsRefused(quiet, quietLimit)] as const]);
}

/** In favour of the caller; and one call in so many is let in, or nobody would see that it gets better. */
function lotsRefused(offered: number, admitted: number): number {
  return offered <= 0 ? 0 : Math.min(lots - 1, Math.floor(lots * (1 - admitted / offered) + 1e-9));
}

/** What each gets of `limit` who wants so much: all alike, and nobody more than it wants (max-min fairness). */
function levelled(limit: number, wanted: readonly number[]): readonly number[] {
  const ascending = wanted.map((_, i) => i).sort((a, b) => (wanted[a] ?? 0) - (wanted[b] ?? 0));
  const given = wanted.map(() => 0);
  let [left, takers] = [Math.max(0, limit), wanted.length];
  for (const i of ascending) {
    given[i] = Math.min(wanted[i] ?? 0, left / takers--);
    left -= given[i];
  }
  return given;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}
