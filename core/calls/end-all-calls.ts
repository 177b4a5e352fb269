// Hangs up every call before the farm goes down: its phones hear of it, and it has its record.
import { setTimeout as delay } from 'node:timers/promises';
import type { CallEngine } from './call-engine.js';

const lookMs = 20;
/** Nothing has ended for so long: what is left has no Asterisk that would end it. */
const stallMs = 3_000;
/** Where there are thousands. */
const mostMs = 15_000;

/** Resolves when none is left, or none ends any more; gives how many are left. One that begins meanwhile is hung up, too. */
export async function endAllCalls(engine: Pick<CallEngine, 'book' | 'tell'>, reason: string): Promise<number> {
  const told = new Set<string>();
  const startMs = Date.now();
  let [fewest, sinceMs] = [Infinity, startMs];
  for (;;) {
    const calls = engine.book.list();
    for (const { id } of calls) {
      if (told.has(id)) continue;
      told.add(id);
      engine.tell(id, { type: 'hangup', reason });
    }
    const nowMs = Date.now();
    if (calls.length < fewest) [fewest, sinceMs] = [calls.length, nowMs];
    if (calls.length === 0 || nowMs - sinceMs > stallMs || nowMs - startMs > mostMs) return calls.length;
    await delay(lookMs);
  }
}
