// Awaits a condition with a deadline and says, when it does not come true, what was the case instead.
import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Default 15,000. */
  readonly deadlineMs?: number;
  /** Default 20. */
  readonly everyMs?: number;
  /** What there is to know about a failure, e.g. the log of a server; asked once, at the deadline. */
  readonly describe?: () => string | Promise<string>;
}

type Witness = () => string | Promise<string>;
const witnesses = new Set<Witness>();

/** From now on every wait that fails ends with what this witness says; until what is given back is called. */
export function addWitness(witness: Witness): () => void {
  witnesses.add(witness);
  return () => witnesses.delete(witness);
}

/**
 * Asks `condition` until it gives something true, and returns that. A condition that throws has not come true yet;
 * its last error is the failure's cause. `what` completes "waited … for".
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  { deadlineMs = 15_000, everyMs = 20, describe }: WaitOptions = {},
): Promise<Exclude<T, false | 0 | '' | null | undefined>> {
  const start = performance.now();
  let cause: unknown;
  for (;;) {
    // The last look is one after the deadline: whoever stood still until then has looked at nothing meanwhile.
    const isLast = performance.now() - start >= deadlineMs;
    try {
      const value = await condition();
      if (value) return value as Exclude<T, false | 0 | '' | null | undefined>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (isLast) break;
    await sleep(everyMs);
  }
  const waited = Math.round(performance.now() - start);
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  const said = await Promise.all((describe ? [describe] : []).map(tell));
  throw new Error([`waited ${waited} ms for ${what}${why}`, ...said, ...(await testimony())].join('\n'), { cause });
}

/** What the witnesses say now, each a text: for a failure that was not waited for. */
export async function testimony(): Promise<readonly string[]> {
  return Promise.all([...witnesses].map(tell));
}

/** A witness that cannot speak any more keeps nobody from hearing what failed. */
async function tell(witness: Witness): Promise<string> {
  try {
    return await witness();
  } catch (error) {
    return `(${String(error)})`;
  }
}
