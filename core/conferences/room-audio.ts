// Who is heard in a room and who hears what: decisions on its record, and what makes a channel so. Pure.
import { present, type ConferenceRecord, type Participant } from './conference-record.js';

/** How a participant's channel in the room's bridge is: `nothing` as it enters, when the room is not for its ears yet. */
export interface Audio {
  readonly muted: boolean;
  readonly hears: 'room' | 'music' | 'silence' | 'nothing';
  /** With what `TALK_DETECT()` listens to it: silence in ms and level; null: nobody does, undefined: to be begun anew. */
  readonly talkDetect: string | null | undefined;
}

/** One ARI operation on a channel. */
export type AudioCommand =
  | { readonly do: 'mute' | 'unmute'; readonly direction: 'in' | 'out' }
  | { readonly do: 'startMoh' | 'stopMoh' | 'startSilence' | 'stopSilence' }
  | { readonly do: 'setChannelVar'; readonly variable: string; readonly value: string };

/** True while all wait for a moderator. */
export function isWaiting(conference: Pick<ConferenceRecord, 'policy' | 'participants'>): boolean {
  return conference.policy.waitForModerator && !present(conference).some(one => one.role === 'moderator');
}

/** How this participant's channel is to be. */
export function audioOf(conference: ConferenceRecord, member: Participant): Audio {
  const speech = isListenedTo(conference, member) ? conference.policy.activeSpeaker : null;
  return {
    muted: isMuted(member),
    hears: hearsOf(conference, member),
    talkDetect: speech && `${speech.silenceMs},${speech.level}`,
  };
}

function hearsOf(conference: ConferenceRecord, member: Participant): Audio['hears'] {
  if (member.deaf) return 'silence';
  const { musicWhenAlone } = conference.policy;
  if (isWaiting(conference)) return musicWhenAlone ? 'music' : 'silence';
  const others = present(conference).filter(one => one.legId !== member.legId);
  if (others.length === 0 && musicWhenAlone) return 'music';
  // With nobody to be heard no RTP would be sent to its phone, which may take that for the end of its call.
  return others.every(isMuted) ? 'silence' : 'room';
}

export function isMuted({ muted, onHold, role }: Pick<Participant, 'muted' | 'onHold' | 'role'>): boolean {
  return muted || onHold || role === 'listener';
}

/** Whether this participant's speech is of interest: the room asks who speaks, and others may hear it. */
export function isListenedTo(conference: ConferenceRecord, member: Participant): boolean {
  return conference.policy.activeSpeaker !== null && !isMuted(member) && !isWaiting(conference);
}

export function isSpeaking(conference: ConferenceRecord, member: Participant): boolean {
  return member.speaking && isListenedTo(conference, member);
}

/** Directions to be muted before the channel enters the bridge, so that not a word is heard that should not be. */
export function muteAtEntry({ muted, hears }: Pick<Audio, 'muted' | 'hears'>): 'in' | 'out' | 'all' | '' {
  const out = hears !== 'room';
  if (muted) return out ? 'all' : 'in';
  return out ? 'out' : '';
}

/** How a channel is that has entered so. */
export function audioAtEntry(mute: string): Audio {
  const out = mute === 'out' || mute === 'all';
  return { muted: mute === 'in' || mute === 'all', hears: out ? 'nothing' : 'room', talkDetect: null };
}

const starts = { room: [], music: [{ do: 'startMoh' }], silence: [{ do: 'startSilence' }], nothing: [] } as const;

/** In this order, from what a channel is to what it should be; `undefined`: not known, so everything is said. */
export function audioCommands(now: Audio | undefined, wanted: Audio): AudioCommand[] {
  return [...muteCommands(now, wanted), ...earCommands(now, wanted), ...talkCommands(now, wanted)];
}

function muteCommands(now: Audio | undefined, wanted: Audio): AudioCommand[] {
  return now?.muted === wanted.muted ? [] : [{ do: wanted.muted ? 'mute' : 'unmute', direction: 'in' }];
}

function earCommands(now: Audio | undefined, wanted: Audio): AudioCommand[] {
  if (now?.hears === wanted.hears) return [];
  const commands: AudioCommand[] = [];
  // The end of music ends any generator (main/channel.c), so it comes before the beginning of another.
  if (now === undefined || now.hears === 'music') commands.push({ do: 'stopMoh' });
  if (now === undefined || now.hears === 'silence') commands.push({ do: 'stopSilence' });
  commands.push(...starts[wanted.hears]);
  if (now === undefined || now.hears === 'nothing') commands.push({ do: 'unmute', direction: 'out' });
  return commands;
}

/** What it was told before goes first: what is heard of a muted channel is as it was (main/channel.c), so it is listened to anew afterwards. */
function talkCommands(now: Audio | undefined, wanted: Audio): AudioCommand[] {
  // Where nobody knows: what a channel still says is not asked for in a room that does not ask.
  if (now?.talkDetect === wanted.talkDetect || (!now && wanted.talkDetect === null)) return [];
  const commands: AudioCommand[] = [];
  if (now?.talkDetect !== null) commands.push({ do: 'setChannelVar', variable: 'TALK_DETECT(remove)', value: '' });
  if (wanted.talkDetect) commands.push({ do: 'setChannelVar', variable: 'TALK_DETECT(set)', value: wanted.talkDetect });
  return commands;
}
