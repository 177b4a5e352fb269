// Work on nodes that may die under it: then it is of no account, as whoever recovers what was there does it again.
import type { NodeStates } from '../farm/node-states.js';

/** A dead node's refusals and silence may be here so long before its death is known. */
const verdictMs = 2_000;

/** What `work` gives; undefined as soon as one of these nodes is dead, or where it fails and one of them proves to be. Throws any other failure. */
export async function unlessDead<T>(
  nodes: NodeStates,
  names: readonly string[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  if (names.some(name => nodes.isDead(name))) return undefined;
  let forget: () => void = () => undefined;
  const death = new Promise<undefined>(resolve => {
    forget = nodes.onChange('conferences', ({ node, to }) => {
      if (to === 'dead' && names.includes(node.name)) resolve(undefined);
    });
  });
  let late: NodeJS.Timeout | undefined;
  try {
    const done = work();
    done.catch(() => undefined);
    return await Promise.race([done, death]);
  } catch (error) {
    const alive = new Promise<never>((_, reject) => {
      late = setTimeout(() => reject(error as Error), verdictMs);
    });
    await Promise.race([death, alive]);
    return undefined;
  } finally {
    clearTimeout(late);
    forget();
  }
}
