// Blind transfers (RFC 3515): one party of a call asks that the other one be connected elsewhere. What the call's table does with them; pure.
import type { ConnectStep } from './call-facts.js';
import { echoPeer, isLive, type CallRecord, type DoneTransfer, type LegRecord } from './call-record.js';

/** Who may be transferred by this leg, which may have left since it asked: the one other party of a call of two; undefined where nobody is. */
export function transferee(call: CallRecord, legId: string): LegRecord | undefined {
  const [other, ...more] = call.legs.filter(leg => leg.id !== legId && isUp(leg));
  return more.length === 0 && other?.peer !== echoPeer ? other : undefined;
}

/** True where this leg may ask for a transfer now: the call has one at a time. */
export function mayRefer(call: CallRecord, legId: string): boolean {
  const isParty = call.legs.some(leg => leg.id === legId && isUp(leg));
  return isParty && call.transfer === null && transferee(call, legId) !== undefined;
}

export function isUp(leg: LegRecord): boolean {
  return leg.state === 'confirmed' && !leg.ending;
}

/** True where this leg may have somebody else come in now. */
export function mayAdd(call: CallRecord, legId: string): boolean {
  return call.conferenceId !== null && call.transfer === null && call.legs.some(leg => leg.id === legId && isUp(leg));
}

export function sideOf(call: CallRecord, legId: string): 'caller' | 'callee' {
  return call.legs.find(leg => leg.id === legId)?.direction === 'inbound' ? 'caller' : 'callee';
}

/** The call with a transfer that is done, for its record. */
export function withTransfer(
  call: CallRecord,
  legId: string,
  how: Pick<DoneTransfer, 'kind' | 'to' | 'call'>,
  atMs: number,
): CallRecord {
  return { ...call, transfers: [...call.transfers, { atMs, by: sideOf(call, legId), ...how }] };
}

/** The call with the step that a plugin answered as its next one. The transferee calls: it is who the new party sees. */
export function withTransferStep(call: CallRecord, step: ConnectStep): CallRecord {
  const { transfer } = call;
  if (transfer === null) return call;
  // Of one who is added it is whoever asks that the new party sees.
  const isCalleeShown = (call.legs[0]?.id === transfer.referrer) !== transfer.adds;
  const shown = isCalleeShown ? { callerNumber: call.dialled, callerName: '', ...step } : step;
  const at = call.step + 1;
  return {
    ...call,
    flow: [...call.flow.slice(0, at), shown, ...call.flow.slice(at)],
    step: at,
    transfer: { ...transfer, step: at },
  };
}

/** True for a leg that was made for the transfer that is under way. */
export function isTransferTarget({ transfer }: CallRecord, leg: LegRecord): boolean {
  return transfer !== null && transfer.step !== null && transfer.step === leg.step;
}

/** The one who asked, if it has not left. */
export function presentReferrer(call: CallRecord): LegRecord | undefined {
  return call.legs.find(leg => leg.id === call.transfer?.referrer && isLive(leg) && !leg.ending);
}
