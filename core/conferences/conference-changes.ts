// What has happened to a conference between one record of it and the next. Pure.
import { present, type ConferenceRecord, type Participant } from './conference-record.js';

export type ConferenceChange =
  | { readonly type: 'created' | 'ended' | 'locked' | 'unlocked' }
  /** Its mixing is on another node: that one died, or the calls of it were recovered. */
  | { readonly type: 'moved'; readonly from: string }
  | {
      readonly type: 'joined' | 'left' | 'muted' | 'unmuted' | 'deafened' | 'undeafened';
      readonly participant: Participant;
    };

/** Undefined: not there yet, or not any more. In the order in which they are told. */
export function changesOf(
  before: ConferenceRecord | undefined,
  after: ConferenceRecord | undefined,
): readonly ConferenceChange[] {
  if (!after) return before ? [...leavers(before, []), { type: 'ended' }] : [];
  const [was, is] = [before ? present(before) : [], present(after)];
  const known = new Map(was.map(one => [one.legId, one]));
  return [
    ...(before ? ofRoom(before, after) : [{ type: 'created' } as const]),
    ...is.flatMap(one => ofParticipant(known.get(one.legId), one)),
    ...(before ? leavers(before, is) : []),
  ];
}

function ofRoom(before: ConferenceRecord, after: ConferenceRecord): ConferenceChange[] {
  return [
    ...(before.node === after.node ? [] : [{ type: 'moved', from: before.node } as const]),
    ...(before.locked === after.locked ? [] : [{ type: after.locked ? 'locked' : 'unlocked' } as const]),
  ];
}

function ofParticipant(was: Participant | undefined, participant: Participant): ConferenceChange[] {
  if (!was) return [{ type: 'joined', participant }];
  const { muted, deaf } = participant;
  return [
    ...(was.muted === muted ? [] : [{ type: muted ? 'muted' : 'unmuted', participant } as const]),
    ...(was.deaf === deaf ? [] : [{ type: deaf ? 'deafened' : 'undeafened', participant } as const]),
  ];
}

function leavers(before: ConferenceRecord, left: readonly Participant[]): ConferenceChange[] {
  const there = new Set(left.map(one => one.legId));
  return present(before).flatMap(participant =>
    there.has(participant.legId) ? [] : [{ type: 'left', participant } as const],
  );
}
