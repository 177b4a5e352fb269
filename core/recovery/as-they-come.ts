// Takes what many promises come to in groups, so that the slow ones keep the others waiting for a moment only.

/** What has come, all of it at once where all have, and else every `everyMs`. Rejects as soon as one of them does. */
export async function* asTheyCome<T>(works: readonly Promise<T>[], everyMs: number): AsyncGenerator<readonly T[]> {
  const come: T[] = [];
  let taken = 0;
  const all = Promise.all(works.map(async work => void come.push(await work)));
  while (taken < works.length) {
    let timer: NodeJS.Timeout | undefined;
    const moment = new Promise(resolve => (timer = setTimeout(resolve, everyMs)));
    await Promise.race([all, moment]).finally(() => clearTimeout(timer));
    const group = come.splice(0);
    taken += group.length;
    if (group.length > 0) yield group;
  }
}
