// Asks plugins whether a party of a call may be transferred, and to whom.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Party, ReferAnswer, Referral } from './call-facts.js';
import type { CallEvent } from './call-machine.js';
import { connectStepSchema, incomingCall, targetOf, type CallRecord, type LegRecord } from './call-record.js';
import { transferee } from './transfers.js';

export interface TransferQuestion {
  readonly askRefer: (referral: Referral) => Promise<ReferAnswer | undefined>;
  readonly log: Logger;
}

/** A plugin that fails has not allowed it. */
export async function askTransfer(
  call: CallRecord,
  legId: string,
  { askRefer, log }: TransferQuestion,
): Promise<CallEvent> {
  const declined = { type: 'transferred', leg: legId, step: undefined } as const;
  const by = call.legs.find(leg => leg.id === legId);
  const other = transferee(call, legId);
  if (!by || !other || !call.transfer) return declined;
  const { dialled, commanded } = call.transfer;
  try {
    const parties = { by: partyOf(call, by), transferee: partyOf(call, other) };
    const answer = await askRefer({
      call: incomingCall(call),
      ...parties,
      dialled,
      ...(commanded ? { commanded } : {}),
    });
    return answer === undefined ? declined : { ...declined, step: connectStepSchema.parse(answer) };
  } catch (error) {
    log.error({ call: call.id, leg: legId, error }, `no transfer to ${dialled}: ${messageOf(error)}`);
    return declined;
  }
}

/** Who is at the far end of a leg. */
function partyOf(call: CallRecord, leg: LegRecord): Party {
  const isCaller = leg.direction === 'inbound';
  const { trunk, subscriber }: { trunk?: string; subscriber?: string } = isCaller
    ? call.source
    : (targetOf(call, leg) ?? {});
  return {
    side: isCaller ? 'caller' : 'callee',
    peer: leg.peer,
    ...(trunk === undefined ? {} : { trunk }),
    ...(subscriber === undefined ? {} : { subscriber }),
  };
}
