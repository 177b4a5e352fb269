// What the event stream says of calls and rooms: facts of plain records. Pure.
import { callerLeg, incomingCall, type CallRecord } from '../calls/call-record.js';
import { changesOf, type ConferenceChange } from '../conferences/conference-changes.js';
import { participantId, type ConferenceRecord } from '../conferences/conference-record.js';
import type { EventFacts, NewEvent } from './event-log.js';

/** Between two records of a call, `before` undefined where it begins; its end is told with its call record. */
export function callEvents(before: CallRecord | undefined, after: CallRecord): readonly NewEvent[] {
  if (before === undefined) return [callStarted(after)];
  const { id: call } = after;
  const isRung = ({ state }: CallRecord): boolean => state === 'proceeding' || state === 'early';
  const by = after.legs.find(leg => leg.direction === 'outbound' && leg.state === 'confirmed');
  const held = after.legs.flatMap((leg): NewEvent[] => {
    const was = before.legs.find(one => one.id === leg.id);
    if (was === undefined || was.held === leg.held) return [];
    return [{ type: leg.held ? 'call.held' : 'call.resumed', facts: { call, leg: leg.direction, peer: leg.peer } }];
  });
  return [
    ...(!isRung(before) && isRung(after) ? [{ type: 'call.ringing', facts: { call } }] : []),
    ...(before.answeredMs === null && after.answeredMs !== null
      ? [{ type: 'call.answered', facts: { call, answeredBy: by?.peer ?? after.dialled, node: callerLeg(after).node } }]
      : []),
    ...held,
  ];
}

function callStarted(call: CallRecord): NewEvent {
  const { sipCallId, source, callerNumber, callerName, dialled } = incomingCall(call);
  return { type: 'call.started', facts: { call: call.id, sipCallId, source, callerNumber, callerName, dialled } };
}

/** Who was put on hold by an operation, or taken off it, in any conference. */
export function holdEvents(
  before: ConferenceRecord | undefined,
  after: ConferenceRecord | undefined,
): readonly NewEvent[] {
  if (!before || !after) return [];
  const were = new Map(before.participants.map(one => [one.legId, one.onHold]));
  return after.participants.flatMap((one): NewEvent[] => {
    const { legId, callId: call, onHold } = one;
    if (onHold === (were.get(legId) ?? onHold)) return [];
    const type = onHold ? 'call.putOnHold' : 'call.takenOffHold';
    return [{ type, facts: { call, participant: participantId(one) } }];
  });
}

/** Of rooms only: a call's own conference is its call's business. */
export function roomEvents(
  before: ConferenceRecord | undefined,
  after: ConferenceRecord | undefined,
): readonly NewEvent[] {
  const conference = after ?? before;
  if (!conference || conference.room === null) return [];
  const { id, room, node } = conference;
  return changesOf(before, after).map(change => ({
    type: `conference.${change.type}`,
    facts: { conference: id, room, node, ...factsOf(change) },
  }));
}

function factsOf(change: ConferenceChange): EventFacts {
  if ('from' in change) return { from: change.from };
  if (!('participant' in change)) return {};
  const { participant } = change;
  const { callId: call, callerNumber, callerName, role } = participant;
  return { participant: participantId(participant), call, callerNumber, callerName, role };
}
