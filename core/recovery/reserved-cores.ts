// Leaves the cores to a recovery: what can wait until it is over, waits.
import { setFlagsFromString } from 'node:v8';

/** The cores are needed for a recovery: from `hold` until `release`, at most for as long as each can wait. */
export interface ReservedCores {
  hold(): void;
  release(): void;
}

/** The trace's thread, which reads what it was held back from when it is asked for it. */
export interface HeldTrace {
  hold(mostMs: number): void;
  release(): void;
}

/** A new call's Call-ID is learnt from the copies: it must not wait for long. */
const traceMs = 3_000;
/** A recovery that takes longer is the faster for optimised code. */
const optimiserMs = 500;

/**
 * Holds back the trace, and V8's optimising compiler: what a recovery runs becomes hot in that very moment, and the threads
 * that compile it anew take the cores from it. V8 reads the flag whenever it thinks of optimising (test/unit/recovery-reserved-cores).
 */
export function reservedCores(trace: () => HeldTrace | undefined, setFlags = setFlagsFromString): ReservedCores {
  let timer: NodeJS.Timeout | undefined;
  const optimise = (): void => {
    clearTimeout(timer);
    timer = undefined;
    setFlags('--turbofan');
  };
  return {
    hold: () => {
      trace()?.hold(traceMs);
      setFlags('--no-turbofan');
      clearTimeout(timer);
      timer = setTimeout(optimise, optimiserMs);
    },
    release: () => {
      trace()?.release();
      if (timer !== undefined) optimise();
    },
  };
}
