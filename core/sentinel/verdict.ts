// Judges a server by its signs of life: pure, so that every combination can be tested.

/** What was heard of one of a server's voices; times in ms of one monotonic clock, 0 for never. */
export interface VoiceSigns {
  readonly name: string;
  readonly answeredMs: number;
  /** When its port was last refused: nobody listens there. */
  readonly refusedMs: number;
  /** Whether the daemon's event stream is open, where there is one. */
  readonly streamOpen: boolean | undefined;
  /** Silent for this part of `silenceMs` it alone makes its server suspect. */
  readonly suspectAfter: number;
  /** Was silent for so long before we stopped listening for a while, and has not answered since. */
  readonly wasQuiet: boolean;
}

/** What is known of one server. */
export interface Signs {
  /** True once its process is gone, or a zombie. */
  readonly processGone: boolean;
  readonly voices: readonly VoiceSigns[];
  /** From when on silence counts: what was before a pause of our own does not, or not all of it. */
  readonly listeningSinceMs: number;
  /** When the process was started, perhaps by an earlier daemon; -Infinity for one that is known to be past its start. */
  readonly startedMs: number;
  /** How long it was kept waiting for a CPU since it fell silent: asked only of one that would be dead. */
  readonly starvedMs: () => number;
}

export interface Verdict {
  readonly health: 'up' | 'suspect' | 'dead';
  readonly reason: string;
}

/** How long one missing answer is nothing to speak of, ms. */
const hesitationMs = 500;
/** How long a server may take to start before its silence means anything, ms. */
const startMs = 30_000;
/** However long it waits for a CPU, a server that is silent for so many times the limit is of no use. */
const patience = 5;

/**
 * A process that is gone is dead, and so is one none of whose voices anybody serves. Silence is death only when *all* voices are
 * silent for `silenceMs` of our own listening, in which it could have answered; a server that answers with one of them is suspect, however long.
 */
export function judge(signs: Signs, nowMs: number, silenceMs: number): Verdict {
  const { processGone, voices, listeningSinceMs, startedMs } = signs;
  const names = voices.map(voice => voice.name).join(' and ');
  if (processGone) return { health: 'dead', reason: 'its process is gone' };
  const starts = voices.every(voice => voice.answeredMs === 0) && nowMs - startedMs < startMs;
  if (starts) return { health: 'suspect', reason: 'it has not answered yet' };
  if (voices.every(voice => isClosed(voice, listeningSinceMs)))
    return { health: 'dead', reason: `nobody serves ${names} there` };
  const silentMs = ({ answeredMs }: VoiceSigns): number => nowMs - Math.max(answeredMs, listeningSinceMs);
  const allSilentMs = Math.min(...voices.map(silentMs));
  if (allSilentMs >= silenceMs) {
    const starvedMs = allSilentMs < patience * silenceMs ? Math.round(signs.starvedMs()) : 0;
    if (allSilentMs < silenceMs + starvedMs)
      return { health: 'suspect', reason: `silent on ${names}, and waiting for a CPU: ${starvedMs} ms so far` };
    return { health: 'dead', reason: `silent on ${names} for ${Math.round(allSilentMs)} ms` };
  }
  const mute = voices.find(voice => voice.answeredMs === 0);
  if (mute) return { health: 'suspect', reason: `${mute.name} has not answered yet` };
  if (voices.some(voice => voice.streamOpen === false))
    return { health: 'suspect', reason: 'its event stream is closed' };
  const quiet = voices.find(voice => isQuiet(voice, nowMs - listeningSinceMs, nowMs, silenceMs));
  if (quiet) return { health: 'suspect', reason: `${quiet.name} is silent` };
  return { health: 'up', reason: `it answers on ${names}` };
}

/** Alone makes its server suspect. A pause of our own proves no death, and no life either: one that was silent before is so until it answers. */
export function isQuiet(voice: VoiceSigns, listenedMs: number, nowMs: number, silenceMs: number): boolean {
  const silentMs = Math.min(nowMs - voice.answeredMs, listenedMs);
  return voice.wasQuiet || silentMs >= Math.max(hesitationMs, silenceMs * voice.suspectAfter);
}

/** Refused since it last answered, or without its stream. One that never answered may only not be loaded yet. */
function isClosed({ answeredMs, refusedMs, streamOpen }: VoiceSigns, listeningSinceMs: number): boolean {
  if (streamOpen !== undefined) return !streamOpen;
  return answeredMs > 0 && refusedMs > Math.max(answeredMs, listeningSinceMs);
}
