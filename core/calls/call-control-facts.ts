// What plugins may know of calls that are up, and do to them: plain values, part of the public plugin API.
import type { CallSource } from './call-facts.js';

/** A party of a call that is up: somebody at the far end of one of its legs who has been answered. */
export interface CallParty {
  /** Names it in operations. */
  readonly id: string;
  readonly side: 'caller' | 'callee';
  /** The caller's number, or the URI that was called. */
  readonly peer: string;
  readonly sipCallId: string | null;
  /** By an operation: it hears music, and is not heard. */
  readonly onHold: boolean;
}

/** A call that is up. */
export interface RunningCall {
  readonly id: string;
  readonly source: CallSource;
  readonly callerNumber: string;
  readonly dialled: string;
  /** Id of the conference that it is in; null while it is in none. */
  readonly conference: string | null;
  readonly parties: readonly CallParty[];
}

/** `caller`, `callee`, or a party by its id or SIP Call-ID. */
export type PartyName = string;

/**
 * Calls as a plugin may run them. A call is named by its id, or by the SIP Call-ID of one of its legs. What is done is in the store first, and
 * holds after the death of a call node, a conference node or the daemon. Each throws CALL_NOT_FOUND or CALL_REFUSED; `transfer`
 * also CALL_NOT_TRANSFERRED.
 */
export interface CallControl {
  list(): readonly RunningCall[];
  /** Resolves when it is over, or after some seconds. */
  hangup(call: string): Promise<void>;
  /** This party hears music and is not heard, until it is taken off hold, transferred or the call ends; no phone is told. Default: the caller. */
  hold(call: string, party?: PartyName): Promise<RunningCall>;
  /** Default: all that are on hold. */
  unhold(call: string, party?: PartyName): Promise<RunningCall>;
  /**
   * Whoever answers at this number takes the place of one party, by default the callee. Resolves when somebody has; throws
   * CALL_NOT_TRANSFERRED where nobody does, and the call is as it was.
   */
  transfer(call: string, to: string, replaced?: 'caller' | 'callee'): Promise<void>;
  /**
   * Leaves one party of each call to the other: `replaced` (default: the callee) leaves the first, and the same party, or `replacedOther`, the
   * second. Both calls go on in one conference, each with a record of its own.
   */
  transferToCall(
    call: string,
    other: string,
    replaced?: 'caller' | 'callee',
    replacedOther?: 'caller' | 'callee',
  ): Promise<void>;
  /** Calls this number as if one party (default: the caller) had dialled it; whoever answers comes in. Throws CALL_REFUSED where nobody does. */
  add(call: string, number: string, by?: PartyName): Promise<RunningCall>;
  /** Makes one conference of those that two calls are in; a room takes the others in. */
  merge(call: string, other: string): Promise<RunningCall>;
}
