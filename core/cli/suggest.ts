// Finds what somebody probably meant to type. Pure.
import { editDistance } from '../config/edit-distance.js';

/** The candidate nearest to `typed`, or undefined where none is near enough to be a slip. */
export function suggest(typed: string, candidates: readonly string[]): string | undefined {
  const nearest = candidates
    .map(candidate => ({ candidate, distance: editDistance(typed, candidate) }))
    .sort((a, b) => a.distance - b.distance)[0];
  if (!nearest) return undefined;
  const prefix = typed.length >= 2 && nearest.candidate.startsWith(typed);
  const near = nearest.distance <= Math.max(1, Math.floor(nearest.candidate.length / 3));
  return near || prefix ? nearest.candidate : candidates.find(c => typed.length >= 2 && c.startsWith(typed));
}
