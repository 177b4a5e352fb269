// What a record and a snapshot of its node together ask for: pure, for a daemon that comes back to calls in progress.
import type { AriChannel } from '../ports/asterisk.js';
import type { CallAction, CallEvent } from './call-machine.js';
import { mutedAgain } from './call-steps.js';
import { byeAfterMs } from './call-transfer.js';
import { callerLeg, isLive, type CallRecord, type LegRecord } from './call-record.js';
import { isUp, sideOf } from './transfers.js';

/**
 * The events a call missed, as far as a node's channels tell: legs that are gone, that ring, that were answered.
 * `isDialling` excuses a leg whose channel is just being made.
 */
export function missedEvents(
  call: CallRecord,
  node: string,
  channels: ReadonlyMap<string, AriChannel>,
  blindSinceMs: number,
  isDialling: (legId: string) => boolean,
): CallEvent[] {
  return call.legs
    .filter(leg => leg.node === node && isLive(leg) && leg.recovering === null && !isDialling(leg.id))
    .flatMap((leg): CallEvent[] => {
      const channel = channels.get(leg.id);
      if (!channel) return [{ type: 'legEnded', leg: leg.id, sipStatus: 480, notBeforeMs: blindSinceMs, unseen: true }];
      if (leg.direction === 'inbound') return [];
      if (channel.state === 'Up' && leg.state !== 'confirmed') return [{ type: 'legAnswered', leg: leg.id }];
      if (channel.state === 'Ringing') return [{ type: 'legRinging', leg: leg.id }];
      return [];
    });
}

/** What an earlier daemon may have written and not done any more. Each action is harmless when done twice. */
export function resumeActions(call: CallRecord, channels: ReadonlyMap<string, AriChannel>): CallAction[] {
  const live = call.legs.filter(leg => isLive(leg) && channels.has(leg.id));
  if (call.ending) {
    const hangups = live.map((leg): CallAction => ({ do: 'hangup', leg: leg.id, cause: 16 }));
    const unanswered = call.answeredMs === null && live.some(leg => leg.direction === 'inbound');
    const reject: CallAction[] = unanswered ? [{ do: 'reject', sipStatus: call.ending.sipStatus }] : [];
    return [...reject, ...hangups, { do: 'leave' }, ...(call.legs.some(isLive) ? [] : [{ do: 'finish' } as const])];
  }
  if (call.routeName === null) return [{ do: 'route' }];
  const cancels = live
    .filter(leg => leg.ending)
    .flatMap((leg): CallAction[] => {
      const hangup: CallAction = { do: 'hangup', leg: leg.id, cause: 16 };
      if (!hasAsked(call, leg)) return [hangup];
      return [
        { do: 'tellReferrer', leg: leg.id, outcome: 'answered' },
        { ...hangup, afterMs: byeAfterMs },
      ];
    });
  const redirects = call.legs.filter(leg => leg.redirect !== null);
  const entering: CallAction[] = call.flow[call.step]?.action === 'conference_join' ? [{ do: 'enter' }] : [];
  if (call.answeredMs === null) {
    return [...cancels, ...redirects.map((leg): CallAction => ({ do: 'redirect', leg: leg.id })), ...entering];
  }
  const caller = channels.get(callerLeg(call).id);
  const answer: CallAction[] = caller && caller.state !== 'Up' ? [{ do: 'answer' }] : [];
  const confirmed = live.filter(leg => isUp(leg) && !hasLeft(call, leg)).map(leg => leg.id);
  const { transfer } = call;
  const refer: CallAction[] = transfer?.step === null ? [asked(transfer)] : [];
  // A flow may have answered its caller before it sent them into a room.
  if (call.run !== null && call.conferenceId === null && entering.length > 0)
    return [...answer, ...entering, ...cancels];
  return [...answer, ...conference(call, confirmed), ...mutedAgain(call).actions, ...refer, ...cancels];
}

/** Whoever a flow had connected its caller to may have hung up: that conference is over. */
function conference(call: CallRecord, confirmed: readonly string[]): CallAction[] {
  if (isJoined(call)) return [{ do: 'join', legs: confirmed }];
  return call.legs.slice(1).some(leg => leg.times.answeredMs !== null) ? [{ do: 'unhold' }, { do: 'leave' }] : [];
}

/** Leaves the others to each other in an attended transfer, and may be out of their conference already: it is never put back. */
function hasLeft({ transfer }: CallRecord, leg: LegRecord): boolean {
  const isReferrer = transfer !== null && transfer.other !== null && transfer.referrer === leg.id;
  return leg.gaveWay || isReferrer;
}

/** Asked for a transfer that is done, and may not have been told so: Asterisk would say at its end that it has failed. */
function hasAsked(call: CallRecord, leg: LegRecord): boolean {
  const side = sideOf(call, leg.id);
  return leg.gaveWay && call.transfers.some(({ by, to }) => by === side && to !== '');
}

/** An attended transfer that is allowed is done, any other is asked about. */
function asked({ referrer, other }: NonNullable<CallRecord['transfer']>): CallAction {
  return other === null ? { do: 'refer', leg: referrer } : { do: 'merge', other };
}

/** True but for a caller who is alone with a flow, or with those who are being called for them. */
function isJoined(call: CallRecord): boolean {
  const isRoom = call.flow[call.step]?.action === 'conference_join';
  return call.run === null || isRoom || call.legs.slice(1).some(leg => leg.state === 'confirmed' && !leg.ending);
}
