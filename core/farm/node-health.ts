// Judges an Asterisk by its signs of life: pure, so that every combination can be tested.

export interface AsteriskSigns {
  /** Undefined where the host cannot tell. */
  readonly processRuns: boolean | undefined;
  readonly ariConnected: boolean;
  readonly optionsAnswered: boolean;
}

export interface Verdict {
  readonly health: 'up' | 'suspect' | 'dead';
  readonly reason: string;
}

/** A node silent on ARI alone is suspect, and gets no new calls; only one that is silent on both, or gone, is dead. */
export function judgeAsterisk(signs: AsteriskSigns): Verdict {
  if (signs.processRuns === false) return { health: 'dead', reason: 'its process is gone' };
  if (signs.ariConnected) return { health: 'up', reason: 'ARI is connected' };
  if (signs.optionsAnswered) return { health: 'suspect', reason: 'ARI is silent, SIP answers' };
  return { health: 'dead', reason: 'silent on ARI and SIP' };
}
