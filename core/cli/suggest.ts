// Finds what somebody probably meant to type. Pure.

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

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? (before[j - 2] ?? 0) + 1 : Infinity;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitute, swap));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
