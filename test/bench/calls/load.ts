// One stretch of calls at one rate, from a SIPp at a trunk's address to another one behind the gateway.
import type { Farm } from '../../harness/farm.js';
import { Sipp } from '../../harness/sipp.js';

/** How long the callee rings: no part of what is measured. */
const ringMs = 100;
const holdMs = 1_000;
/** The dialled number; the farm of the benchmark sends it to `.208`. */
const dialled = '70001';
/** A set-up that takes longer than this for one call of a hundred is a farm with more calls than it can take. */
const mostSetUpMs = 500;

export interface Load {
  readonly rate: number;
  readonly calls: number;
  readonly failed: number;
  /** Of these: with 503, at once. */
  readonly refused?: number;
  /** INVITE to 180 at the caller, where the callee sends its 180 at once. */
  readonly postDialMs: readonly number[];
  /** INVITE to 200 at the caller, without the ringing. */
  readonly setUpMs: readonly number[];
}

export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

/** The phone that is called, for as long as it is not stopped. */
export function openCallee(farm: Farm): Promise<Sipp> {
  return Sipp.uas({ address: farm.host(208), ringMs, deadlineMs: 900_000 });
}

/** `lenient`: a 180 that its 200 has overtaken is no failure of a phone; but a refusal that is no part of the scenario is not heard then, either. */
export async function offer(
  farm: Farm,
  rate: number,
  seconds: number,
  { holdMs: holdFor = holdMs, lenient = true } = {},
): Promise<Load> {
  const sipp = await Sipp.uac({
    ...{ address: farm.host(200), target: { address: farm.host(100), port: 5060 }, service: dialled },
    ...{ calls: Math.round(rate * seconds), rate, holdMs: holdFor, times: true },
    lenient,
    deadlineMs: seconds * 1_000 + holdFor + 30_000,
  });
  const { total, successful, ringingMs, answeredMs, failures } = await sipp.finished();
  for (const { callId, reason } of failures.slice(0, 3)) process.stderr.write(`  ${callId}: ${reason}\n`);
  return {
    rate,
    calls: total,
    failed: total - successful,
    refused: failures.filter(({ reason }) => reason.includes('SIP/2.0 503')).length,
    postDialMs: ringingMs,
    setUpMs: answeredMs.map(ms => ms - ringMs),
  };
}

/** Calls that stay up until the caller is stopped. */
export function holdUp(farm: Farm, calls: number, rate: number): Promise<Sipp> {
  const target = { address: farm.host(100), port: 5060 };
  const deadlineMs = 600_000;
  return Sipp.uac({
    ...{ address: farm.host(200), target, service: dialled, calls, rate, holdMs: deadlineMs, deadlineMs },
  });
}

export function isSustained(load: Load): boolean {
  return load.failed === 0 && percentile(load.setUpMs, 0.99) <= mostSetUpMs;
}

/** Below it nothing is looked for. */
export const firstRate = 40;
const seconds = 5;

/** The highest rate without a failed call and with set-ups in time. `settle` waits for the calls to be over, and tells how many never were. */
export async function highestRate(farm: Farm, settle: () => Promise<number>): Promise<number> {
  const holds = async (rate: number): Promise<boolean> => {
    const load = await offer(farm, rate, seconds);
    const left = await settle();
    const p99 = percentile(load.setUpMs, 0.99).toFixed(0);
    process.stderr.write(
      `  ${rate.toFixed(0)} calls/s: ${load.failed} of ${load.calls} failed, ${left} legs never ended, set-up p99 ${p99} ms\n`,
    );
    return isSustained(load) && left === 0;
  };
  return highestThat(holds, { from: firstRate, growth: 1.3, resolution: 1.04 });
}

export interface Search {
  readonly from: number;
  /** Factor of each step until one does not hold. */
  readonly growth: number;
  /** The answer is this exact. */
  readonly resolution: number;
}

/** The highest rate that holds: growing, then halving the step. 0 where the first one does not. */
export async function highestThat(holds: (rate: number) => Promise<boolean>, search: Search): Promise<number> {
  let [good, bad] = [0, search.from];
  while (await holds(bad)) [good, bad] = [bad, bad * search.growth];
  while (good > 0 && bad / good > search.resolution) {
    const middle = (good + bad) / 2;
    if (await holds(middle)) good = middle;
    else bad = middle;
  }
  return good;
}
