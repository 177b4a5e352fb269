// What SIP statuses mean for a call: which of several failures the caller hears, and the outcome a CDR names.
import type { CallOutcome } from './call-facts.js';

/** SIP status for a Q.850 cause when the channel gives no status of its own (RFC 3398 §8.2.6.1). */
const statusOfCause: Readonly<Record<number, number>> = {
  1: 404,
  3: 404,
  17: 486,
  18: 408,
  19: 480,
  20: 480,
  21: 403,
  22: 410,
  27: 502,
  28: 484,
  34: 503,
  38: 503,
  41: 503,
  42: 503,
  44: 503,
  58: 488,
  65: 488,
  88: 488,
};

/** The final status of a leg that ended unanswered: the peer's own where there is one, else from the Q.850 cause. */
export function finalStatus(techCause: number | undefined, cause: number): number {
  if (techCause !== undefined && techCause >= 300 && techCause <= 699) return techCause;
  return statusOfCause[cause] ?? 480;
}

/**
 * The one status the caller hears when every target failed (RFC 3261 §16.7 step 6): a 6xx before all, else of the lowest
 * class the last one heard. A redirection is no answer (step 4 takes it out where it is followed).
 */
export function bestStatus(statuses: readonly number[]): number {
  if (statuses.length === 0) return 480;
  const global = statuses.find(status => status >= 600);
  if (global !== undefined) return passable(global);
  const answers = statuses.filter(status => status >= 400);
  const lowest = Math.min(...answers.map(status => Math.floor(status / 100)));
  const candidates = answers.filter(status => Math.floor(status / 100) === lowest);
  return passable(candidates[candidates.length - 1] ?? 480);
}

/**
 * A status as it may be passed on by a B2BUA: a redirection or a challenge is meant for us, not for the caller
 * (RFC 3261 §8.1.3.4, §22.1), and says nothing that the caller could act on.
 */
function passable(status: number): number {
  if (status < 400) return 480;
  if (status === 401 || status === 407) return 500;
  // Our own edge's word for a connection that is gone: no endpoint is to get it (RFC 5626 §11).
  if (status === 430) return 480;
  return status;
}

/** True where a failure is final for the whole call: no other target is tried (RFC 3261 §21.6). */
export function isGlobalFailure(status: number): boolean {
  return status >= 600;
}

export function outcomeOf(status: number): CallOutcome {
  if (status === 486 || status === 600) return 'busy';
  if (status === 408 || status === 480) return 'no-answer';
  if (status === 603 || status === 403) return 'declined';
  if (status === 487) return 'cancelled';
  return 'failed';
}
