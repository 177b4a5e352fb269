// What a conference is after others have come into it: where it is mixed then, and what is new for each participant. Pure.
import { present, type ConferenceRecord, type Participant } from './conference-record.js';

/** Most that are mixed on a call node: a third one moves the conference to the conference farm. */
const mostOnCallNode = 2;

/** One who is in a conference after a transition, and how it was before: undefined for one who has just come. */
export interface Change {
  readonly now: Participant;
  readonly was: Participant | undefined;
  readonly from: ConferenceRecord | undefined;
}

/**
 * The conference with these in it, of whom some may have been in others (`before`) until now. `conferenceNode` is where it would be put; with none, three on
 * one call node are mixed there rather than not at all. Undefined where it cannot be mixed anywhere.
 */
export function withParticipants(
  conference: ConferenceRecord,
  participants: readonly Participant[],
  before: readonly ConferenceRecord[],
  conferenceNode: string | undefined,
): ConferenceRecord | undefined {
  const { mixing, node } = conference;
  const together = participants.every(one => one.callNode === node);
  const stays =
    mixing === 'call-node' && (!outgrows(conference, participants) || (together && conferenceNode === undefined));
  if (stays) return { ...conference, participants: [...participants] };
  const farmNode = mixing === 'conference-farm' ? node : conferenceNode;
  if (farmNode === undefined) return undefined;
  const after: ConferenceRecord = { ...conference, mixing: 'conference-farm', node: farmNode, participants: [] };
  return { ...after, participants: participants.map(one => withInner(one, conferenceOf(one, before), after)) };
}

/** True where these are too many, or too far apart, for where the conference is mixed. */
export function outgrows({ mixing, node }: ConferenceRecord, participants: readonly Participant[]): boolean {
  const isTogether = participants.every(one => one.callNode === node);
  return mixing === 'call-node' && (participants.length > mostOnCallNode || !isTogether);
}

/** An inner leg stays where its other end is on the right node; else it is another one, with a name of its own. */
function withInner(one: Participant, from: ConferenceRecord | undefined, after: ConferenceRecord): Participant {
  const stays = from?.mixing === 'conference-farm' && from.node === after.node;
  return from === undefined || stays ? one : { ...one, innerLegs: one.innerLegs + 1 };
}

function conferenceOf({ legId }: Participant, before: readonly ConferenceRecord[]): ConferenceRecord | undefined {
  return before.find(one => present(one).some(member => member.legId === legId));
}

export function changesBetween(before: readonly ConferenceRecord[], after: ConferenceRecord): readonly Change[] {
  return present(after).map(now => {
    const from = conferenceOf(now, before);
    return { now, from, was: from && present(from).find(one => one.legId === now.legId) };
  });
}

/** What is to be done about the leg to the conference farm: none, a new one in place of none or of another, or its far end into another bridge. */
export function innerChange({ now, was, from }: Change, after: ConferenceRecord): 'none' | 'make' | 'replace' | 'move' {
  if (after.mixing === 'call-node') return 'none';
  if (from?.mixing !== 'conference-farm' || !was) return 'make';
  if (was.innerLegs !== now.innerLegs) return 'replace';
  return from.id === after.id ? 'none' : 'move';
}

/** True where the phone's leg has to go into another bridge on its call node. */
export function changesBridge({ from }: Change, after: ConferenceRecord): boolean {
  if (from === undefined || from.mixing !== after.mixing) return true;
  return after.mixing === 'call-node' && from.id !== after.id;
}
