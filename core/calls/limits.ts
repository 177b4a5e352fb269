// What ends by itself, and when: what the config's `limits` may say.
import type { Limits } from './call-facts.js';

/** Nothing ends by itself. */
export const noLimits: Limits = {
  maxSetupSeconds: 0,
  maxCallSeconds: 0,
  rtpTimeoutSeconds: 0,
  rtpTimeoutOnHoldSeconds: 0,
  strayGraceSeconds: 0,
};

/** A day. An RTPEngine's own time-outs, which nobody would see in a record, are longer. */
export const longestLimitSeconds = 86_400;

/** RTPEngine forgets an offer without an answer so late: a call that rings longer would be answered into nothing. */
export const offerTimeoutSeconds = 300;
