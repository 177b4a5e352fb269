// Waits until a farm is as if nothing had ever been on it.
import type { Farm } from './farm.js';
import { leftovers } from './leftovers.js';
import { waitFor } from './wait-for.js';

/** No call, channel, bridge, conference or media session is left anywhere. */
export async function nothingLeft(farm: Farm, deadlineMs = 25_000): Promise<void> {
  await farm.idle(deadlineMs);
  await waitFor('nothing to be left', async () => (await leftovers(farm)).length === 0, {
    deadlineMs,
    everyMs: 100,
    describe: async () => (await leftovers(farm)).join('\n'),
  });
}
