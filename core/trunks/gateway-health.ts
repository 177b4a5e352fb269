// Whether a gateway lives, from what its OPTIONS and calls came to. Pure.

export interface GatewayHealth {
  /** `unknown`: it has not been asked yet, or is never; it is used as if it lived. */
  readonly state: 'unknown' | 'up' | 'down';
  /** Since when, ms since 1970. */
  readonly sinceMs: number;
  /** Questions in a row that it has not answered as one that takes calls. */
  readonly missed: number;
  /** Of its last answer; null where the last question had none. */
  readonly sipStatus: number | null;
  /** When it is asked next. */
  readonly nextMs: number;
}

export interface ProbeRules {
  /** How often one that lives is asked. 0: never. */
  readonly everySeconds: number;
}

/** So many questions in a row must be missed, as a packet may be lost. */
export const mostMissed = 3;
/** One that has missed a question is asked again so soon; so is one that is down. */
const againMs = 1_000;

export function newHealth(nowMs: number): GatewayHealth {
  return { state: 'unknown', sinceMs: nowMs, missed: 0, sipStatus: null, nextMs: nowMs };
}

/** Any answer says that it is there, but for those with which a server says that it takes no calls (RFC 3261 §21.5.4). */
export function isAlive(sipStatus: number): boolean {
  return sipStatus !== 503 && sipStatus !== 408;
}

/** An OPTIONS had this answer; null: none in time. */
export function afterProbe(
  health: GatewayHealth,
  sipStatus: number | null,
  nowMs: number,
  { everySeconds }: ProbeRules,
): GatewayHealth {
  if (sipStatus !== null && isAlive(sipStatus)) {
    const sinceMs = health.state === 'up' ? health.sinceMs : nowMs;
    return { state: 'up', sinceMs, missed: 0, sipStatus, nextMs: nowMs + everySeconds * 1000 };
  }
  const missed = health.missed + 1;
  const isDown = health.state === 'down' || missed >= mostMissed;
  return {
    state: isDown ? 'down' : health.state,
    sinceMs: isDown && health.state !== 'down' ? nowMs : health.sinceMs,
    missed,
    sipStatus,
    nextMs: nowMs + againMs,
  };
}

/** A call failed there as it would at a gateway that is down: it is asked at once. */
export function afterCallFailed(health: GatewayHealth, nowMs: number): GatewayHealth {
  return { ...health, nextMs: Math.min(health.nextMs, nowMs) };
}
