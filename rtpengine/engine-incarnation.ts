// Tells from two answers on one address whether the same rtpengine process gave both. Pure.

/** What one `statistics` answer says about the process behind it. */
export interface EngineSighting {
  readonly atMs: number;
  readonly uptimeSeconds: number;
  /** `totalstatscount`: `statistics` requests answered before this one. */
  readonly statisticsRequests: number;
}

/** rtpengine gives its uptime in whole seconds, and an answer may take as long as its deadline. */
const toleranceMs = 2500;

/**
 * ng has no process id. But its counters begin at 0 with the process and never fall (rtpengine 10.5
 * daemon/statistics.c, `controlstatistics`), and its start time, now less uptime, stands still. A younger start or a
 * fallen counter is another process. The counter sees a restart at once; the start time one that the counter misses
 * because somebody else asks for statistics too.
 */
export function isRestart(before: EngineSighting, after: EngineSighting): boolean {
  if (after.uptimeSeconds < before.uptimeSeconds) return true;
  if (after.statisticsRequests < before.statisticsRequests) return true;
  const startedMs = (sighting: EngineSighting): number => sighting.atMs - sighting.uptimeSeconds * 1000;
  return startedMs(after) - startedMs(before) > toleranceMs;
}
