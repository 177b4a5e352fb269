// How many calls per second one call node may have now: by how late it is, as TCP finds out what a line carries. Pure.

/** What was seen of a node since the last look, about a second ago. Rates are calls per second. */
export interface NodeLoad {
  /** How long its answers take, or our own turn, whichever is more. */
  readonly lateMs: number;
  readonly offered: number;
  readonly admitted: number;
  /** What it has had while it kept up. */
  readonly usual: number;
  /** It is late for another reason: sessions are being recovered. */
  readonly excused: boolean;
  /** Since the last look. */
  readonly seconds: number;
}

export interface OverloadRules {
  /** Answers that take longer are late. */
  readonly lateMs: number;
}

/** `limit` null: it takes all that come. */
export interface CallLimit {
  readonly limit: number | null;
  /** Seconds for which it was late without a limit, or was not late with one that refused nobody. */
  readonly lasted: number;
  /** Seconds since the limit was lowered: what that has done is seen when those calls are through which had come before. */
  readonly sinceLowered: number;
  readonly lateMsBefore: number;
  /** Seconds for which there is a limit. */
  readonly held: number;
  /** The limit under which it was late last. */
  readonly late: number | null;
}

export const noLimit: CallLimit = { limit: null, lasted: 0, sinceLowered: 0, lateMsBefore: 0, held: 0, late: null };

/** Fewer calls are no reason to be late, and are never refused. */
export const leastLimit = 5;
/** Not for a moment, nor for one long turn of ours. */
const secondsToBegin = 5;
/** Where far more comes than is usual: each second of waiting leaves calls behind that are set up late. */
const secondsToBeginInFlood = 2;
const flood = 2;
/** Where nothing is usual nobody can be told from anybody: that is for one who is all but lost. */
const lateMsUnknown = 4_000;
/** What it carried before it is let in for so long, as the lateness may be of what had come before the limit; who is late still carries less than he did. */
const secondsOfUsual = 60;
const secondsToEnd = 10;
const secondsToLower = 3;
/** What it has carried, and a little more: one that was late by chance refuses nobody. */
const first = 1.2;
/** Nobody knows what it carries: this much of what was too much. */
const firstOfTooMuch = 0.3;
const lower = 0.7;
const raise = 1.1;
/** Near where it was late last. */
const raiseSlowly = 1.01;
const near = 0.85;
/** Not late at all: so much of what would be late. */
const well = 0.25;

/** Nothing is to be seen of any lateness. */
export function isWell(nowMs: number, { lateMs }: OverloadRules): boolean {
  return nowMs <= well * lateMs;
}

/** Called about once a second. */
export function nextLimit(before: CallLimit, load: NodeLoad, rules: OverloadRules): CallLimit {
  if (before.limit === null) return begin(before, load, rules);
  const { seconds } = load;
  const state = {
    ...before,
    limit: before.limit,
    sinceLowered: before.sinceLowered + seconds,
    held: before.held + seconds,
  };
  if (load.lateMs >= rules.lateMs) return lowered(state, load);
  if (!isWell(load.lateMs, rules)) return { ...state, lasted: 0 };
  const lasted = load.offered < state.limit ? state.lasted + load.seconds : 0;
  if (lasted >= secondsToEnd) return noLimit;
  const step = state.late !== null && state.limit > near * state.late ? raiseSlowly : raise;
  // No higher than what comes asks for: or it would be far too high when more comes.
  const highest = Math.max(state.limit, 1.5 * load.offered);
  return { ...state, lasted, limit: Math.min(state.limit * step, highest) };
}

function begin(before: CallLimit, load: NodeLoad, rules: OverloadRules): CallLimit {
  const { offered, admitted, usual, excused, lateMs } = load;
  const isKnown = usual >= leastLimit;
  const isLate = lateMs >= (isKnown ? rules.lateMs : Math.max(lateMsUnknown, rules.lateMs));
  const lasted = isLate && !excused && offered > leastLimit ? before.lasted + load.seconds : 0;
  if (lasted < (isKnown && offered > flood * usual ? secondsToBeginInFlood : secondsToBegin))
    return { ...noLimit, lasted };
  const limit = Math.max(leastLimit, first * usual, firstOfTooMuch * admitted);
  return { ...noLimit, limit, late: admitted, lateMsBefore: lateMs };
}

function lowered(before: CallLimit & { readonly limit: number }, { lateMs, admitted, usual }: NodeLoad): CallLimit {
  if (before.sinceLowered < secondsToLower) return { ...before, lasted: 0 };
  const isBetter = lateMs < 0.9 * before.lateMsBefore;
  const at = { ...before, lasted: 0, sinceLowered: 0, lateMsBefore: lateMs };
  const { limit } = before;
  const least = before.held < secondsOfUsual ? Math.max(leastLimit, usual) : leastLimit;
  return isBetter ? at : { ...at, limit: Math.max(least, lower * limit), late: Math.min(limit, admitted) };
}
