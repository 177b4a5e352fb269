// The sequence numbers of one side of a dialog (RFC 3261 §12.2): the highest, and the requests that were not seen. Pure.

export interface CseqSpace {
  /** Null before the first request. */
  highest: number | null;
  /** Numbers below that no request was seen with. */
  missing: number[];
  /** There are more missing than are kept. */
  hasSkipped: boolean;
}

const mostMissing = 16;

export function cseqSpace(highest: number | null = null): CseqSpace {
  return { highest, missing: [], hasSkipped: false };
}

/** Every number up to the highest was seen. */
export function isGapless({ missing, hasSkipped }: CseqSpace): boolean {
  return missing.length === 0 && !hasSkipped;
}

/** A request was seen. `late`: it was missed before; `old`: it was seen before, or nobody waits for it. */
export function noteRequest(space: CseqSpace, cseq: number): 'new' | 'late' | 'old' {
  if (space.highest === null || cseq > space.highest) {
    if (space.highest !== null) miss(space, space.highest + 1, cseq);
    space.highest = cseq;
    return 'new';
  }
  const at = space.missing.indexOf(cseq);
  if (at < 0) return 'old';
  space.missing.splice(at, 1);
  return 'late';
}

/** A response or an ACK tells of a request. `matters`: that request would have changed the dialog, had it been seen. */
export function noteTrace(space: CseqSpace, cseq: number, matters: boolean): void {
  if (space.highest !== null && cseq <= space.highest) return;
  miss(space, (space.highest ?? cseq - 1) + 1, matters ? cseq + 1 : cseq);
  space.highest = cseq;
}

function miss(space: CseqSpace, from: number, below: number): void {
  for (let cseq = from; cseq < below; cseq++) {
    if (space.missing.length >= mostMissing) {
      space.hasSkipped = true;
      return;
    }
    space.missing.push(cseq);
  }
}
