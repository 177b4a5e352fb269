// Judges an Asterisk by its signs of life: pure, so that every combination can be tested.

/** What is known of one Asterisk; times in ms of one monotonic clock, 0 for never. */
export interface Signs {
  /** True once its process is gone, or a zombie. */
  readonly processGone: boolean;
  /** Its event stream is open, as far as the daemon knows. */
  readonly streamOpen: boolean;
  readonly ariAnsweredMs: number;
  readonly optionsAnsweredMs: number;
  /** When its SIP port was last refused: nobody listens there. */
  readonly refusedMs: number;
  /** From when on silence counts: before that we were not listening ourselves. */
  readonly listeningSinceMs: number;
  /** When the process was started, perhaps by an earlier daemon. */
  readonly startedMs: number;
}

export interface Verdict {
  readonly health: 'up' | 'suspect' | 'dead';
  readonly reason: string;
}

/** How long one missing answer is nothing to speak of, ms. */
const hesitationMs = 500;
/** How long an Asterisk may take to load its modules before its silence means anything, ms. */
const startMs = 30_000;

/**
 * A process that is gone is dead, and so is one that refuses SIP with its event stream closed. Silence is death only when
 * ARI *and* SIP are silent for `silenceMs` of our own listening; one that answers either of them is suspect, however long.
 */
export function judge(signs: Signs, nowMs: number, silenceMs: number): Verdict {
  const { ariAnsweredMs, optionsAnsweredMs, refusedMs, streamOpen, listeningSinceMs } = signs;
  if (signs.processGone) return { health: 'dead', reason: 'its process is gone' };
  const starts = ariAnsweredMs === 0 && optionsAnsweredMs === 0 && nowMs - signs.startedMs < startMs;
  if (starts) return { health: 'suspect', reason: 'it has not answered yet' };
  // One that has not spoken SIP yet may still be loading it, with ARI there already.
  const refused = optionsAnsweredMs > 0 && refusedMs > Math.max(optionsAnsweredMs, listeningSinceMs);
  if (refused && !streamOpen) return { health: 'dead', reason: 'its SIP port is closed, and its event stream' };
  const since = (answeredMs: number): number => nowMs - Math.max(answeredMs, listeningSinceMs);
  const [ariSilentMs, sipSilentMs] = [since(ariAnsweredMs), since(optionsAnsweredMs)];
  if (Math.min(ariSilentMs, sipSilentMs) >= silenceMs) {
    return { health: 'dead', reason: `silent on ARI and SIP for ${silenceMs} ms` };
  }
  if (ariAnsweredMs === 0) return { health: 'suspect', reason: 'ARI has not answered yet' };
  if (optionsAnsweredMs === 0) return { health: 'suspect', reason: 'SIP has not answered yet' };
  if (!streamOpen) return { health: 'suspect', reason: 'its event stream is closed' };
  if (ariSilentMs >= Math.max(hesitationMs, silenceMs / 2)) return { health: 'suspect', reason: 'ARI is silent' };
  if (sipSilentMs >= Math.max(hesitationMs, silenceMs)) return { health: 'suspect', reason: 'SIP is silent' };
  return { health: 'up', reason: 'ARI is connected, SIP answers' };
}
