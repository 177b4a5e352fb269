// Asks plugins whether a party of a call may be transferred, and to whom.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AsteriskFarm } from '../ports/asterisk.js';
import type { Party, ReferAnswer, Referral } from './call-facts.js';
import type { CallEvent } from './call-machine.js';
import {
  connectStepSchema,
  incomingCall,
  targetOf,
  type CallRecord,
  type LegRecord,
  type ReplacedDialog,
} from './call-record.js';
import { mayRefer, transferee } from './transfers.js';

/** A leg with its call. */
export interface CallLeg {
  readonly call: CallRecord;
  readonly leg: LegRecord;
}

export interface TransferQuestion {
  readonly askRefer: (referral: Referral) => Promise<ReferAnswer | undefined>;
  /** A leg of any call, by its SIP Call-ID. */
  readonly legOfDialog: (sipCallId: string) => CallLeg | undefined;
  readonly asterisks: AsteriskFarm;
  readonly log: Logger;
}

/** A plugin that fails has not allowed it. */
export async function askTransfer(call: CallRecord, legId: string, question: TransferQuestion): Promise<CallEvent> {
  const declined = { type: 'transferred', leg: legId, step: undefined } as const;
  const by = call.legs.find(leg => leg.id === legId);
  const { transfer } = call;
  const other = transfer?.adds === true ? by : transferee(call, legId);
  if (!by || !other || !transfer) return declined;
  const { dialled, commanded, adds, replaces } = transfer;
  try {
    const consulted = replaces === null ? undefined : await consultedLeg({ call, leg: by }, replaces, question);
    if (consulted === undefined && replaces !== null) return declined;
    const others = consulted && transferee(consulted.call, consulted.leg.id);
    const answer = await question.askRefer({
      call: incomingCall(call),
      by: partyOf(call, by),
      transferee: partyOf(call, other),
      dialled,
      ...(commanded ? { commanded } : {}),
      ...(adds ? { adds } : {}),
      ...(consulted && others ? { consulted: partyOf(consulted.call, others) } : {}),
    });
    if (answer === undefined) return declined;
    if (consulted) return { type: 'consulted', leg: legId, other: { call: consulted.call.id, leg: consulted.leg.id } };
    return { ...declined, step: connectStepSchema.parse(answer) };
  } catch (error) {
    question.log.error({ call: call.id, leg: legId, error }, `no transfer to ${dialled}: ${messageOf(error)}`);
    return declined;
  }
}

/**
 * The leg that a REFER's Replaces names (RFC 3891), if it is the same party's: a call that is up, of that trunk or subscriber, and the tags are those that only its two
 * ends know. Undefined for any other, said in the log.
 */
async function consultedLeg(
  by: CallLeg,
  dialog: ReplacedDialog,
  { legOfDialog, asterisks, log }: TransferQuestion,
): Promise<CallLeg | undefined> {
  const found = legOfDialog(dialog.sipCallId);
  const why =
    found === undefined || found.call.id === by.call.id
      ? 'there is no other call with it'
      : !isSameParty(partyOf(by.call, by.leg), partyOf(found.call, found.leg))
        ? `it is not a call of ${by.leg.peer}`
        : !mayRefer(found.call, found.leg.id)
          ? 'it is not a call of two that are talking, or a transfer is under way'
          : (await hasTags(found.leg, dialog, asterisks))
            ? undefined
            : 'its tags are others';
  if (why === undefined) return found;
  const { sipCallId } = dialog;
  log.info({ call: by.call.id, leg: by.leg.id, sipCallId }, `no transfer to the dialog ${sipCallId}: ${why}`);
  return undefined;
}

async function hasTags(leg: LegRecord, dialog: ReplacedDialog, asterisks: AsteriskFarm): Promise<boolean> {
  const { channels } = asterisks.node(leg.node).ari;
  const tag = async (which: 'local' | 'remote'): Promise<string> =>
    (await channels.getChannelVar({ channelId: leg.id, variable: `CHANNEL(pjsip,${which}_tag)` })).value;
  const [local, remote] = await Promise.all([tag('local'), tag('remote')]);
  return local === dialog.localTag && remote === dialog.remoteTag;
}

export function isSameParty(one: Party, other: Party): boolean {
  const { subscriber, trunk } = one;
  return subscriber === undefined ? trunk !== undefined && trunk === other.trunk : subscriber === other.subscriber;
}

/** Who is at the far end of a leg. */
export function partyOf(call: CallRecord, leg: LegRecord): Party {
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
