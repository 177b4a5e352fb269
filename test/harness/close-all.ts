// Closes what a set-up has opened, also where it broke off: what was not opened then keeps nothing else open, least of all a farm, or the process of the tests.

interface Opened {
  close(): unknown;
}

/** Each on its own; what throws as it closes has failed a test before. */
export async function closeAll(...opened: readonly (Opened | undefined)[]): Promise<void> {
  await Promise.allSettled(opened.map(async one => one?.close()));
}

/** Opens them at once; where one fails, the others are closed again. */
export async function openAll<T extends readonly Opened[]>(
  ...opening: { readonly [K in keyof T]: Promise<T[K]> }
): Promise<T> {
  const outcomes = await Promise.allSettled<Opened>(opening);
  const opened = outcomes.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = outcomes.find(one => one.status === 'rejected');
  if (!failed) return opened as unknown as T;
  await closeAll(...opened);
  throw failed.reason;
}
