// What the phone of a participant hears, as its leg on the call node has it: decisions on a conference's record. Pure.
import { present, type ConferenceRecord, type Participant } from './conference-record.js';

/** Who is on hold is out of the bridge, and hears music; who is left with nobody but such is sent silence. */
export type Ears = 'conference' | 'music' | 'silence';

/** One ARI operation on a participant's leg. */
export type EarCommand = 'enterBridge' | 'leaveBridge' | 'startMoh' | 'stopMoh' | 'startSilence' | 'stopSilence';

export function earsOf(conference: ConferenceRecord, member: Participant): Ears {
  if (member.onHold) return 'music';
  // Who hears whom in a room is said at the other end of the inner legs: see room-audio.ts.
  if (conference.room !== null) return 'conference';
  const others = present(conference).filter(one => one.legId !== member.legId);
  // With nobody to be heard no RTP would be sent to its phone, which may take that for the end of its call.
  return others.length > 0 && others.every(one => one.onHold) ? 'silence' : 'conference';
}

const stops = { conference: [], music: ['stopMoh', 'enterBridge'], silence: ['stopSilence'] } as const;
const starts = { conference: [], music: ['leaveBridge', 'startMoh'], silence: ['startSilence'] } as const;

/** In this order, from what it hears to what it should; `undefined`: not known, so everything is said. */
export function earCommands(now: Ears | undefined, wanted: Ears): readonly EarCommand[] {
  if (now === wanted) return [];
  if (now !== undefined) return [...stops[now], ...starts[wanted]];
  return wanted === 'music' ? ['stopSilence', ...starts.music] : ['stopSilence', ...stops.music, ...starts[wanted]];
}
