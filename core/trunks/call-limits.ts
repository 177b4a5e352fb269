// What trunks and subscribers may do, and what a call is told that goes over it.
import type { RejectAnswer, RouteAnswer } from '../calls/call-facts.js';
import type { DestinationRules } from '../numbers/destinations.js';

export interface CallLimits extends DestinationRules {
  /** A subscriber's: all that it takes part in. A trunk's: both directions. */
  readonly callsAtOnce?: number;
  /** A subscriber's: those that it makes. A trunk's: each direction by itself. */
  readonly callsPerSecond?: number;
}

/** Key of the config that refused a call, for its record and the metrics. */
export type LimitName = 'callsAtOnce' | 'callsPerSecond' | 'destinations' | 'identities';

/** A refusal by one of them. */
export interface Refusal extends RejectAnswer {
  readonly limit: LimitName;
}

/** What becomes of a route's answer. */
export type AdmittedAnswer = RouteAnswer | Refusal;

export type Owner =
  { readonly kind: 'trunk'; readonly trunk: string } | { readonly kind: 'subscriber'; readonly subscriber: string };

/** In words, as log and call record have it; also its key in tables. */
export function ownerName(owner: Owner): string {
  return owner.kind === 'trunk' ? `trunk ${owner.trunk}` : `subscriber ${owner.subscriber}`;
}

/** After so long a trunk's peer may try again: a call lasts longer than the second that a rate counts. */
const retrySeconds = { callsAtOnce: 5, callsPerSecond: 1 } as const;

/** A trunk's peer can send its call elsewhere (503). Whose own lines are all in use is busy (486). */
export function tooMany(owner: Owner, limit: 'callsAtOnce' | 'callsPerSecond', most: number): Refusal {
  const what = limit === 'callsAtOnce' ? 'calls at once' : 'calls per second';
  const reason = `${ownerName(owner)} has its ${most} ${what}`;
  if (owner.kind === 'subscriber' && limit === 'callsAtOnce') return { reject: 486, reason, limit };
  return { reject: 503, reason, limit, retryAfterSeconds: retrySeconds[limit] };
}

/** Of a destination. */
export function forbidden(owner: Owner, number: string, why: string): Refusal {
  return { reject: 403, reason: `${ownerName(owner)} may not call ${number}: ${why}`, limit: 'destinations' };
}

/** Of a caller. */
export function notTheirs(owner: Owner, number: string): Refusal {
  return { reject: 403, reason: `${ownerName(owner)} may not call as ${number || 'nobody'}`, limit: 'identities' };
}
