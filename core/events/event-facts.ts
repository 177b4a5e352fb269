// What the event stream says of calls and rooms: facts of plain records. Pure.
import type { IncomingCall } from '../calls/call-facts.js';
import { callerLeg, type CallRecord } from '../calls/call-record.js';
import { changesOf, type ConferenceChange } from '../conferences/conference-changes.js';
import { participantId, type ConferenceRecord } from '../conferences/conference-record.js';
import type { EventFacts } from './event-log.js';

/** An event that has no number yet. */
export interface NewEvent {
  readonly type: string;
  readonly facts: EventFacts;
}

export function callStarted({ id, sipCallId, source, callerNumber, callerName, dialled }: IncomingCall): NewEvent {
  return { type: 'call.started', facts: { call: id, sipCallId, source, callerNumber, callerName, dialled } };
}

/** Between two records of a call; its beginning and its end are told by those who know more of them. */
export function callEvents(before: CallRecord, after: CallRecord): readonly NewEvent[] {
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
