// Runs another's code with a deadline.

/** What came of it: a value, what it threw, or nothing in time. */
export type DeadlineOutcome<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'threw'; readonly error: unknown }
  | { readonly kind: 'late' };

/**
 * Runs `work`, waiting at most `deadlineMs`; then its signal aborts and whatever it still does is ignored. Code that never
 * returns to the event loop cannot be stopped this way.
 */
export async function withDeadline<T>(
  deadlineMs: number,
  work: (signal: AbortSignal) => Promise<T> | T,
): Promise<DeadlineOutcome<T>> {
  const abort = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<DeadlineOutcome<T>>(resolve => {
    timer = setTimeout(() => {
      resolve({ kind: 'late' });
      abort.abort(new Error(`deadline of ${deadlineMs} ms passed`));
    }, deadlineMs);
  });
  const done = (async (): Promise<DeadlineOutcome<T>> => {
    try {
      return { kind: 'done', value: await work(abort.signal) };
    } catch (error) {
      return { kind: 'threw', error };
    }
  })();
  try {
    return await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}
