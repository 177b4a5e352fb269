// A transfer (REFER): another party takes the place of whoever asked for it. Pure part of the call's state table.
import { dialTargets } from './call-dialling.js';
import { answeredElsewhere, end, hangupLegs, liveOutbound, normalClearing, withLeg } from './call-ending.js';
import { unchanged, type CallAction, type CallEvent, type TransferOutcome, type Transition } from './call-events.js';
import type { ConnectStep } from './call-facts.js';
import { isLive, type CallRecord, type LegRecord } from './call-record.js';
import { bestStatus, isGlobalFailure } from './sip-status.js';
import { isTransferTarget, mayAdd, mayRefer, presentReferrer, withTransfer, withTransferStep } from './transfers.js';

/** Whoever was told that its transfer is done hangs up by itself (RFC 5589 §6.1); our BYE would overtake a NOTIFY that is late. */
export const byeAfterMs = 1_000;

/** A leg is gone, and the others stay. */
export function parted(call: CallRecord, legId: string, orEnd = false): Transition {
  if (call.conferenceId === null) return unchanged(call);
  return { call, actions: [{ do: 'part', leg: legId, ...(orEnd ? { orEnd } : {}) }] };
}

export function referred(
  call: CallRecord,
  { leg, dialled, commanded = false, adds = false, replaces, other }: Extract<CallEvent, { type: 'referred' }>,
): Transition {
  // An Asterisk tells a leg's every REFER the same: what becomes of the first one, which a refusal would seem to end.
  if (call.transfer?.referrer === leg && !call.transfer.commanded) return unchanged(call);
  if (adds ? !mayAdd(call, leg) : !mayRefer(call, leg)) {
    return commanded ? unchanged(call) : { call, actions: [{ do: 'tellReferrer', leg, outcome: 'refused' }] };
  }
  const asked = { replaces: replaces ?? null, other: other ?? null };
  const transfer = { referrer: leg, dialled, step: null, commanded, adds, ...asked };
  const next: CallAction = other === undefined ? { do: 'refer', leg } : { do: 'merge', other };
  return { call: { ...call, transfer }, actions: [next] };
}

export function transferred(call: CallRecord, legId: string, step: ConnectStep | undefined, nowMs: number): Transition {
  if (call.transfer?.referrer !== legId || call.transfer.step !== null || call.transfer.other !== null)
    return unchanged(call);
  if (!step || step.targets.length === 0) return transferFailed(call, 'refused', 'refused', nowMs);
  const dialled = dialTargets(withTransferStep(call, step), step, nowMs);
  const referrer = presentReferrer(call);
  return { ...dialled, actions: [...told(call, referrer, 'progress'), ...dialled.actions] };
}

/** The new party takes the place of whoever asked for it, or comes in as well. */
export function transferAnswered(call: CallRecord, leg: LegRecord, nowMs: number): Transition {
  const { transfer } = call;
  const referrer = transfer?.adds === true ? undefined : presentReferrer(call);
  const rivals = liveOutbound(call).filter(one => one.id !== leg.id && isTransferTarget(call, one) && !one.ending);
  const stays = call.legs.filter(one => one.state === 'confirmed' && !one.ending && one.id !== referrer?.id);
  const over: CallRecord = { ...call, transfer: null };
  const done =
    transfer === null || transfer.adds
      ? over
      : withTransfer(over, transfer.referrer, { kind: 'blind', to: transfer.dialled, call: null }, nowMs);
  const lost = hangupLegs(
    done,
    rivals.map(one => one.id),
    answeredElsewhere,
  );
  const giving = referrer ? withLeg(lost.call, referrer.id, { gaveWay: true }) : lost.call;
  const left = dismissed(giving, told(call, referrer, 'answered'), referrer);
  const join: CallAction = { do: 'join', legs: stays.map(one => one.id) };
  const free: readonly CallAction[] = transfer?.adds === true ? [] : [{ do: 'unhold' }];
  return { call: left.call, actions: [join, ...free, ...left.actions, ...lost.actions] };
}

export function transferTargetFailed(call: CallRecord, status: number, nowMs: number): Transition {
  const step = call.flow[call.step];
  const tried = call.legs.filter(leg => leg.step === call.step);
  if (tried.some(isLive)) return unchanged(call);
  const isMore = step?.action === 'connect' && step.strategy === 'in-order' && tried.length < step.targets.length;
  if (isMore && !isGlobalFailure(status)) return dialTargets(call, step, nowMs);
  const statuses = tried.flatMap(leg => (leg.sipStatus === null ? [] : [leg.sipStatus]));
  const best = bestStatus(statuses);
  return transferFailed(call, isGlobalFailure(best) ? 'declined' : 'unavailable', `${best}`, nowMs);
}

/** Whoever has given way hears what became of it, and is hung up. */
export function dismissed(
  call: CallRecord,
  telling: readonly CallAction[],
  referrer: LegRecord | undefined,
): Transition {
  const left = hangupLegs(call, referrer ? [referrer.id] : [], normalClearing);
  const grace = telling.length > 0 ? { afterMs: byeAfterMs } : {};
  return { call: left.call, actions: [...telling, ...left.actions.map(action => ({ ...action, ...grace }))] };
}

/** Whoever is replaced by command has asked for nothing. */
export function told(
  { transfer }: CallRecord,
  referrer: LegRecord | undefined,
  outcome: TransferOutcome,
): readonly CallAction[] {
  return referrer && transfer?.commanded !== true ? [{ do: 'tellReferrer', leg: referrer.id, outcome }] : [];
}

/** Whoever asked for it has its call as it was; if it has left, nobody is there for the other one. */
export function transferFailed(call: CallRecord, outcome: TransferOutcome, why: string, nowMs: number): Transition {
  const over = { ...call, transfer: null };
  const referrer = presentReferrer(call);
  if (referrer) return { call: over, actions: told(call, referrer, outcome) };
  const reason = `transfer to ${call.transfer?.dialled ?? ''} failed: ${why}`;
  return end(over, { by: 'holdfast', reason }, nowMs, nowMs);
}
