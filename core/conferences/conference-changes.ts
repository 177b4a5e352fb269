// What has happened to a conference between one record of it and the next. Pure.
import type { SpeakerFacts } from './conference-facts.js';
import { participantId, present, type ConferenceRecord, type Participant } from './conference-record.js';
import { isSpeaking } from './room-audio.js';

type ParticipantChange =
  'joined' | 'left' | 'muted' | 'unmuted' | 'deafened' | 'undeafened' | 'startedSpeaking' | 'stoppedSpeaking';

export type ConferenceChange =
  | { readonly type: 'created' | 'ended' | 'locked' | 'unlocked' }
  /** Its mixing is on another node: that one died, or the calls of it were recovered. */
  | { readonly type: 'moved'; readonly from: string }
  | {
      readonly type: ParticipantChange;
      readonly participant: Participant;
    };

/** Undefined: not there yet, or not any more. In the order in which they are told. */
export function changesOf(
  before: ConferenceRecord | undefined,
  after: ConferenceRecord | undefined,
): readonly ConferenceChange[] {
  const [was, is] = [membersOf(before), membersOf(after)];
  return [
    ...(before || !after ? [] : [{ type: 'created' } as const]),
    ...(before && after ? ofRoom(before, after) : []),
    ...[...is.values()].flatMap(one => ofParticipant(was.get(one.participant.legId), one)),
    ...[...was.values()].flatMap(one => (is.has(one.participant.legId) ? [] : ofLeaver(one))),
    ...(before && !after ? [{ type: 'ended' } as const] : []),
  ];
}

/** Who has begun to speak, or stopped, as plugins are told of it. */
export function speakerChanges(
  before: ConferenceRecord | undefined,
  after: ConferenceRecord | undefined,
): readonly { readonly type: 'startedSpeaking' | 'stoppedSpeaking'; readonly facts: SpeakerFacts }[] {
  const { id, room, policy } = after ?? before ?? {};
  if (id === undefined || !room || !policy?.activeSpeaker) return [];
  return changesOf(before, after).flatMap(({ type, ...change }) => {
    if (!('participant' in change) || (type !== 'startedSpeaking' && type !== 'stoppedSpeaking')) return [];
    const { callId: call, callerNumber, callerName, role } = change.participant;
    const participant = participantId(change.participant);
    return [{ type, facts: { conference: id, room, participant, call, callerNumber, callerName, role } }];
  });
}

interface Member {
  readonly participant: Participant;
  readonly speaks: boolean;
}

function membersOf(conference: ConferenceRecord | undefined): ReadonlyMap<string, Member> {
  if (!conference) return new Map();
  const members = present(conference).map(participant => ({
    participant,
    speaks: isSpeaking(conference, participant),
  }));
  return new Map(members.map(one => [one.participant.legId, one]));
}

function ofRoom(before: ConferenceRecord, after: ConferenceRecord): ConferenceChange[] {
  return [
    ...(before.node === after.node ? [] : [{ type: 'moved', from: before.node } as const]),
    ...(before.locked === after.locked ? [] : [{ type: after.locked ? 'locked' : 'unlocked' } as const]),
  ];
}

function ofParticipant(was: Member | undefined, { participant, speaks }: Member): ConferenceChange[] {
  const { muted, deaf } = participant;
  const changed = (type: ParticipantChange, differs: boolean): ConferenceChange[] =>
    differs ? [{ type, participant }] : [];
  return [
    ...changed('joined', !was),
    ...changed(muted ? 'muted' : 'unmuted', was !== undefined && was.participant.muted !== muted),
    ...changed(deaf ? 'deafened' : 'undeafened', was !== undefined && was.participant.deaf !== deaf),
    ...changed(speaks ? 'startedSpeaking' : 'stoppedSpeaking', (was?.speaks ?? false) !== speaks),
  ];
}

function ofLeaver({ participant, speaks }: Member): ConferenceChange[] {
  const left: ConferenceChange = { type: 'left', participant };
  return speaks ? [{ type: 'stoppedSpeaking', participant }, left] : [left];
}
