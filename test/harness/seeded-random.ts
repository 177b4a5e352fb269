// Chance that is the same in every run.

/** `below`: a number from 0 to below it. */
export type Random = (below: number) => number;

/** mulberry32: the same in every run. */
export function seeded(seed: number): Random {
  let state = seed;
  return below => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}
