// Brings two calls together for an attended transfer: their conferences become one, and each of the two calls is told what it is now.
import type { Conferences } from '../conferences/conferences.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { CallEvent } from './call-events.js';
import type { CallRecord, OtherCall } from './call-record.js';

export interface MergeCallsOptions {
  readonly conferences: Pick<Conferences, 'merge'>;
  /** Tells another call; resolves when it has acted upon it. */
  readonly tellOther: (callId: string, event: CallEvent) => Promise<void>;
  readonly log: Logger;
}

/** Done anew, as by the next daemon, it ends in the same. */
export async function mergeCalls(
  call: CallRecord,
  other: OtherCall,
  { conferences, tellOther, log }: MergeCallsOptions,
): Promise<CallEvent> {
  if (call.ending || call.transfer === null) return { type: 'mergeFailed', reason: 'the call has ended' };
  try {
    // Whoever asked may hang up either of its calls at any moment now.
    void tellOther(other.call, { type: 'givesWay', leg: other.leg });
    const conferenceId = await conferences.merge(call.id, other.call, [call.transfer.referrer, other.leg]);
    // First the other call: this one's word is what the next daemon would begin again by.
    await tellOther(other.call, { type: 'gaveWay', leg: other.leg, conferenceId, to: call.id });
    return { type: 'merged', conferenceId };
  } catch (error) {
    log.warn({ call: call.id, other: other.call, error }, `no transfer to call ${other.call}: ${messageOf(error)}`);
    void tellOther(other.call, { type: 'staysAfterAll', leg: other.leg });
    return { type: 'mergeFailed', reason: messageOf(error) };
  }
}
