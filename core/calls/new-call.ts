// The record of a call at its beginning.
import type { CallerIdentity } from './caller-identity.js';
import type { IncomingCall, Limits } from './call-facts.js';
import type { CallRecord } from './call-record.js';
import { noTimes } from './leg-times.js';
import { newLeg } from './new-leg.js';

/** What is told to nobody, only presented. */
type Presented = Partial<Pick<CallerIdentity, 'presented' | 'asserted'>>;

/** A call whose INVITE has just come, by this channel. */
export function newCallRecord(
  facts: IncomingCall & Presented,
  node: string,
  channelId: string,
  startedMs: number,
  {
    maxSetupSeconds: seconds,
    rtpTimeoutSeconds,
    rtpTimeoutOnHoldSeconds,
  }: Pick<Limits, 'maxSetupSeconds' | 'rtpTimeoutSeconds' | 'rtpTimeoutOnHoldSeconds'>,
): CallRecord {
  return {
    id: facts.id,
    state: 'trying',
    source: facts.source,
    dialled: facts.dialled,
    callerNumber: facts.callerNumber,
    callerName: facts.callerName,
    presented: facts.presented ?? null,
    asserted: facts.asserted ?? [],
    privacy: facts.privacy,
    headers: facts.headers,
    startedMs,
    answeredMs: null,
    deadline: seconds === 0 ? null : { atMs: startedMs + seconds * 1000, limit: 'maxSetupSeconds', seconds },
    maxCallSeconds: 0,
    rtpTimeouts: { seconds: rtpTimeoutSeconds, onHoldSeconds: rtpTimeoutOnHoldSeconds },
    routeName: null,
    flow: [],
    run: null,
    muted: false,
    step: -1,
    conferenceId: null,
    transfer: null,
    transfers: [],
    legs: [
      newLeg({
        id: channelId,
        direction: 'inbound',
        step: -1,
        node,
        peer: facts.callerNumber,
        sipCallId: facts.sipCallId,
        targetIndex: null,
        ringUntilMs: null,
        times: { ...noTimes, startedMs },
      }),
    ],
    ending: null,
    recoveries: 0,
    lostNodes: [],
  };
}
