// An attended transfer (RFC 5589 §7): somebody who talks to two parties, in two calls, leaves them to each other. Pure part of the calls' state table.
import { end, hangupLegs, normalClearing, withLeg } from './call-ending.js';
import { unchanged, type CallAction, type CallEvent, type Transition } from './call-events.js';
import type { CallRecord, OtherCall } from './call-record.js';
import { dismissed, told, transferFailed } from './call-transfer.js';
import { presentReferrer, sideOf, transferee, withTransfer } from './transfers.js';

type Event<Type extends CallEvent['type']> = Extract<CallEvent, { type: Type }>;

/** The other call is found, and a plugin allows it. */
export function consulted(call: CallRecord, { leg, other }: Event<'consulted'>): Transition {
  const { transfer } = call;
  if (transfer?.referrer !== leg || transfer.step !== null || transfer.other !== null) return unchanged(call);
  return bringTogether({ ...call, transfer: { ...transfer, other } }, other);
}

function bringTogether(call: CallRecord, other: OtherCall): Transition {
  const merge: CallAction = { do: 'merge', other };
  return { call, actions: [...told(call, presentReferrer(call), 'progress'), merge] };
}

/** The two are in one conference: whoever asked for it leaves this call. */
export function merged(call: CallRecord, { conferenceId }: Event<'merged'>, nowMs: number): Transition {
  const { transfer } = call;
  if (!transfer?.other) return unchanged(call);
  const referrer = presentReferrer(call);
  const kind = { kind: 'attended', to: transfer.dialled, call: transfer.other.call } as const;
  const noted = withTransfer({ ...call, conferenceId, transfer: null }, transfer.referrer, kind, nowMs);
  const giving = withLeg(noted, transfer.referrer, { gaveWay: true });
  const left = dismissed(giving, told(call, referrer, 'answered'), referrer);
  return { call: left.call, actions: [{ do: 'unhold' }, ...left.actions] };
}

export function mergeFailed(call: CallRecord, { reason }: Event<'mergeFailed'>, nowMs: number): Transition {
  return call.transfer?.other ? transferFailed(call, 'unavailable', reason, nowMs) : unchanged(call);
}

/** In the other call: this leg may go from now on, and the call stays. */
export function givesWay(call: CallRecord, legId: string): Transition {
  return transferee(call, legId) === undefined
    ? unchanged(call)
    : { call: withLeg(call, legId, { gaveWay: true }), actions: [] };
}

/** In the other call: whoever is left of it is in that conference now. Told once more by a daemon that begins a transfer again. */
export function gaveWay(
  call: CallRecord,
  { leg: legId, conferenceId, to }: Event<'gaveWay'>,
  nowMs: number,
): Transition {
  const leg = call.legs.find(one => one.id === legId);
  if (!leg?.gaveWay) return unchanged(call);
  const isNoted = call.transfers.some(one => one.kind === 'attended' && one.call === to);
  const moved = { ...call, conferenceId };
  const noted = isNoted ? moved : withTransfer(moved, legId, { kind: 'attended', to: '', call: to }, nowMs);
  const isThere = leg.state !== 'terminated' && !leg.ending;
  const left = hangupLegs(noted, isThere ? [legId] : [], normalClearing);
  return { call: left.call, actions: [{ do: 'unhold' }, ...left.actions] };
}

/** In the other call: it has come to nothing. Where the leg has gone already, nobody is there for whoever is left. */
export function staysAfterAll(call: CallRecord, legId: string, nowMs: number): Transition {
  const leg = call.legs.find(one => one.id === legId);
  if (!leg?.gaveWay || leg.ending) return unchanged(call);
  const stays = withLeg(call, legId, { gaveWay: false });
  if (leg.state !== 'terminated') return { call: stays, actions: [] };
  const by = sideOf(call, legId);
  return end(stays, { by, reason: `${by} hung up, and could not be replaced` }, nowMs, nowMs);
}
