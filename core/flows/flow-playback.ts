// What a flow plays to its caller, item by item, and where it stands in it: pure, so that it can go on at its offset.
import type { MediaItem } from './flow-facts.js';
import type { FlowPlayback, FlowRun } from './flow-run.js';

/** What is to be done for the caller's ears. */
export type PlaybackCommand =
  | { readonly do: 'play'; readonly id: string; readonly media: string; readonly offsetMs: number }
  | { readonly do: 'stopPlay'; readonly id: string };

export interface PlaybackStep {
  readonly run: FlowRun;
  readonly commands: readonly PlaybackCommand[];
  /** All of it was played. */
  readonly isDone?: boolean;
}

/** Begins with the first of these items, in place of what is playing. */
export function startPlayback(run: FlowRun, items: readonly MediaItem[], times: number, nowMs: number): PlaybackStep {
  const stopped = stopPlayback(run, nowMs);
  if (items.length === 0) return { ...stopped, isDone: true };
  const begun = startItem(stopped.run, { items, index: 0, times, isMusic: false }, 0, nowMs);
  return { run: begun.run, commands: [...stopped.commands, ...begun.commands] };
}

/** Music goes on from there, when it does. */
export function stopPlayback(run: FlowRun, nowMs: number): PlaybackStep {
  const { playback } = run;
  if (playback === null) return { run, commands: [] };
  const isPlaying = playback.id !== null && playback.startedMs !== null;
  const { items, index, offsetMs } = pausePlayback(run, nowMs).playback ?? playback;
  return {
    run: { ...run, playback: null, ...(playback.isMusic && run.music ? { music: { items, index, offsetMs } } : {}) },
    commands: isPlaying && playback.id !== null ? [{ do: 'stopPlay', id: playback.id }] : [],
  };
}

/** What a step plays is over; music is not. */
export function stopStep(run: FlowRun, nowMs: number): PlaybackStep {
  return run.playback?.isMusic === true ? { run, commands: [] } : stopPlayback(run, nowMs);
}

/** What a caller on hold is to hear from now on; null: they are not on hold any more. */
export function setMusic(run: FlowRun, items: readonly MediaItem[] | null, nowMs: number): PlaybackStep {
  const { run: silent, commands } = run.playback?.isMusic === true ? stopPlayback(run, nowMs) : { run, commands: [] };
  return { run: { ...silent, music: items && { items, index: 0, offsetMs: 0 } }, commands };
}

/** The caller is on hold, and nothing else plays: the music does. */
export function playMusic(run: FlowRun, nowMs: number): PlaybackStep {
  const { playback, music, pausedMs } = run;
  if (playback !== null || music === null || pausedMs !== null) return { run, commands: [] };
  return startItem(run, { ...music, times: 0, isMusic: true }, music.offsetMs, nowMs);
}

/**
 * The item that plays now has ended: the next one, or the end. A tone must be told to end. What is to be repeated is not, where its
 * last item has failed: it would be tried for ever.
 */
export function nextItem(run: FlowRun, nowMs: number, failed = false): PlaybackStep {
  const { playback } = run;
  if (playback === null) return { run, commands: [] };
  const stopped: PlaybackStep =
    playback.untilMs === null ? { run: { ...run, playback: null }, commands: [] } : stopPlayback(run, nowMs);
  const { items, index, times, isMusic } = playback;
  const isLast = index + 1 >= items.length;
  if (isLast && failed && isMusic) return { ...stopped, run: { ...stopped.run, music: null } };
  if (isLast && (times === 1 || failed)) return { ...stopped, isDone: true };
  const next = { items, index: isLast ? 0 : index + 1, times: isLast && times > 0 ? times - 1 : times, isMusic };
  const begun = startItem(stopped.run, next, 0, nowMs);
  return { run: begun.run, commands: [...stopped.commands, ...begun.commands] };
}

/** The caller cannot be heard, nor hear, since `sinceMs`: where it stood is where it will go on. */
export function pausePlayback(run: FlowRun, sinceMs: number): FlowRun {
  const { playback } = run;
  if (playback?.startedMs == null) return run;
  const played = Math.max(0, sinceMs - playback.startedMs);
  return { ...run, playback: { ...playback, startedMs: null, offsetMs: playback.offsetMs + played, untilMs: null } };
}

/** The rest of the item at which it was paused. */
export function resumePlayback(run: FlowRun, nowMs: number): PlaybackStep {
  const { playback } = run;
  if (playback === null || playback.startedMs !== null) return { run, commands: [] };
  return startItem(run, playback, playback.offsetMs, nowMs);
}

function startItem(
  run: FlowRun,
  { items, index, times, isMusic }: Pick<FlowPlayback, 'items' | 'index' | 'times' | 'isMusic'>,
  offsetMs: number,
  nowMs: number,
): PlaybackStep {
  const item = items[index] ?? { silence: 0 };
  const serial = run.serial + 1;
  const media = mediaOf(item);
  const id = media === undefined ? null : playbackId(serial);
  const seconds = secondsOf(item);
  const untilMs = seconds === null ? null : nowMs + Math.max(0, seconds * 1000 - offsetMs);
  const playback: FlowPlayback = { items, index, times, id, startedMs: nowMs, offsetMs, untilMs, isMusic };
  return {
    run: { ...run, serial, playback },
    // A tone has no beginning and no end of its own.
    commands:
      media === undefined || id === null ? [] : [{ do: 'play', id, media, offsetMs: seconds === null ? offsetMs : 0 }],
  };
}

/** Its ARI id is the call's id with this behind it. */
function playbackId(serial: number): string {
  return `p${serial}`;
}

/** The item as ARI's media URI; undefined for silence. */
function mediaOf(item: MediaItem): string | undefined {
  if (typeof item === 'string') return `sound:${item}`;
  if ('sound' in item) return `sound:${item.sound}`;
  return 'tone' in item ? `tone:${item.tone}` : undefined;
}

/** Null for a sound: as long as it is. */
function secondsOf(item: MediaItem): number | null {
  if (typeof item === 'string' || 'sound' in item) return null;
  return 'tone' in item ? item.seconds : item.silence;
}
