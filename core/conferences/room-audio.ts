// Who is heard in a room and who hears what: decisions on its record, and what makes a channel so. Pure.
import { present, type ConferenceRecord, type Participant } from './conference-record.js';

/** How a participant's channel in the room's bridge is: `nothing` as it enters, when the room is not for its ears yet. */
export interface Audio {
  readonly muted: boolean;
  readonly hears: 'room' | 'music' | 'silence' | 'nothing';
}

/** One ARI operation on a channel. */
export type AudioCommand =
  | { readonly do: 'mute' | 'unmute'; readonly direction: 'in' | 'out' }
  | { readonly do: 'startMoh' | 'stopMoh' | 'startSilence' | 'stopSilence' };

/** True while all wait for a moderator. */
export function isWaiting(conference: Pick<ConferenceRecord, 'policy' | 'participants'>): boolean {
  return conference.policy.waitForModerator && !present(conference).some(one => one.role === 'moderator');
}

/** How this participant's channel is to be. */
export function audioOf(conference: ConferenceRecord, member: Participant): Audio {
  const muted = isMuted(member);
  if (member.deaf) return { muted, hears: 'silence' };
  const { musicWhenAlone } = conference.policy;
  if (isWaiting(conference)) return { muted, hears: musicWhenAlone ? 'music' : 'silence' };
  const others = present(conference).filter(one => one.legId !== member.legId);
  if (others.length === 0 && musicWhenAlone) return { muted, hears: 'music' };
  // With nobody to be heard no RTP would be sent to its phone, which may take that for the end of its call.
  return { muted, hears: others.every(isMuted) ? 'silence' : 'room' };
}

export function isMuted({ muted, role }: Pick<Participant, 'muted' | 'role'>): boolean {
  return muted || role === 'listener';
}

/** Directions to be muted before the channel enters the bridge, so that not a word is heard that should not be. */
export function muteAtEntry({ muted, hears }: Audio): 'in' | 'out' | 'all' | '' {
  const out = hears !== 'room';
  if (muted) return out ? 'all' : 'in';
  return out ? 'out' : '';
}

/** How a channel is that has entered so. */
export function audioAtEntry(mute: string): Audio {
  return { muted: mute === 'in' || mute === 'all', hears: mute === 'out' || mute === 'all' ? 'nothing' : 'room' };
}

const starts = { room: [], music: [{ do: 'startMoh' }], silence: [{ do: 'startSilence' }], nothing: [] } as const;

/** In this order, from what a channel is to what it should be; `undefined`: not known, so everything is said. */
export function audioCommands(now: Audio | undefined, wanted: Audio): AudioCommand[] {
  const commands: AudioCommand[] = [];
  if (now?.muted !== wanted.muted) commands.push({ do: wanted.muted ? 'mute' : 'unmute', direction: 'in' });
  if (now?.hears === wanted.hears) return commands;
  // The end of music ends any generator (main/channel.c), so it comes before the beginning of another.
  if (now === undefined || now.hears === 'music') commands.push({ do: 'stopMoh' });
  if (now === undefined || now.hears === 'silence') commands.push({ do: 'stopSilence' });
  commands.push(...starts[wanted.hears]);
  if (now === undefined || now.hears === 'nothing') commands.push({ do: 'unmute', direction: 'out' });
  return commands;
}
