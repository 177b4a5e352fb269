// What ends by itself, and when: what the config's `limits` may say.

/** A day. An RTPEngine's own time-outs, which nobody would see in a record, are longer. */
export const longestLimitSeconds = 86_400;

/** RTPEngine forgets an offer without an answer so late: a call that rings longer would be answered into nothing. */
export const offerTimeoutSeconds = 300;
