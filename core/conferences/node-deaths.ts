// Work on nodes that may die under it: then it is of no account, as whoever recovers what was there does it again.
import { HoldfastError } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';

/** A dead node's refusals and silence may be here so long before its death is known. */
const verdictMs = 2_000;

/** The node that was asked has not heard it, or has not said so. */
export function isUnheard(error: unknown): boolean {
  return HoldfastError.is(error, 'ARI_TIMEOUT') || HoldfastError.is(error, 'ARI_UNREACHABLE');
}

/** What one node gives; undefined where it did not hear the question and is dead, or proves to be. Throws any other failure: what is refused is refused by a living one. */
export async function heardUnlessDead<T>(
  nodes: Pick<NodeStates, 'isDead' | 'onChange'>,
  name: string,
  ask: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (!isUnheard(error)) throw error;
    return unlessDead(nodes, [name], () => Promise.reject(error as Error));
  }
}

/** What `work` gives; undefined as soon as one of these nodes is dead, or where it fails and one of them proves to be. Throws any other failure. */
export async function unlessDead<T>(
  nodes: Pick<NodeStates, 'isDead' | 'onChange'>,
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
