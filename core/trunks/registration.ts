// One registration with a provider: what is known of it, and when it is tried again. Pure.
import type { RegisterAnswer } from './register-message.js';

/** What one attempt came to; `null`: nobody has answered. */
export interface RegisterOutcome {
  readonly registrar: string;
  readonly answer: RegisterAnswer | null;
  /** Why there is no registration though it was answered, in words; undefined where there is one. */
  readonly refusal?: string | undefined;
  /** What was asked for, or what a 423 has made of it. */
  readonly askedSeconds: number;
}

export interface RegistrationState {
  /** Until when our Contact is registered, ms since 1970; 0: it never was, or is no more. */
  readonly untilMs: number;
  /** Who has granted it, `host:port`. */
  readonly registrar: string | null;
  /** Attempts in a row that have failed. */
  readonly failed: number;
  /** Of the last attempt, where it has failed. */
  readonly error: string | null;
  readonly sipStatus: number | null;
  /** What is asked for; more than the config has it where a registrar wants that (423). */
  readonly askedSeconds: number;
  readonly nextMs: number;
}

/** RFC 5626 §4.5 counts on from 30 s; a provider that is back within seconds is wanted back within seconds. */
const firstWaitMs = 4_000;
const longestWaitMs = 120_000;
/** Nobody changes their mind about a password within seconds, and some close an account that asks too often. */
const refusedWaitMs = 60_000;
const longestRefusedMs = 1_800_000;
/** RFC 3261 §20.33 sets no limit to what a registrar may ask for. */
const longestRetryAfterMs = 3_600_000;

export function newRegistration(askedSeconds: number, nowMs: number): RegistrationState {
  return { untilMs: 0, registrar: null, failed: 0, error: null, sipStatus: null, askedSeconds, nextMs: nowMs };
}

/** As an earlier daemon has left it: it goes on, and is refreshed when it would have been. */
export function resumedRegistration(
  known: { readonly untilMs: number; readonly grantedSeconds: number; readonly registrar: string | null },
  askedSeconds: number,
  nowMs: number,
): RegistrationState {
  if (known.untilMs <= nowMs) return newRegistration(askedSeconds, nowMs);
  const nextMs = Math.max(nowMs, known.untilMs - known.grantedSeconds * 500);
  return { ...newRegistration(askedSeconds, nextMs), untilMs: known.untilMs, registrar: known.registrar };
}

/** `random`: 0 to below 1. */
export function afterAttempt(
  state: RegistrationState,
  outcome: RegisterOutcome,
  nowMs: number,
  random: () => number,
): RegistrationState {
  const { answer, registrar, refusal, askedSeconds } = outcome;
  if (answer !== null && refusal === undefined) {
    const grantedMs = (answer.grantedSeconds ?? askedSeconds) * 1000;
    // Half of it is left for failures; all trunks of a daemon that was started at one moment come back at many.
    const nextMs = nowMs + grantedMs * (0.5 - 0.1 * random());
    return { untilMs: nowMs + grantedMs, registrar, failed: 0, error: null, sipStatus: null, askedSeconds, nextMs };
  }
  const failed = state.failed + 1;
  const waitMs = waitAfter(answer, failed) * (0.5 + 0.5 * random());
  const askedMs = Math.min((answer?.retryAfterSeconds ?? 0) * 1000, longestRetryAfterMs);
  return {
    ...state,
    ...{ failed, askedSeconds },
    error: refusal ?? 'no answer',
    sipStatus: answer?.sipStatus ?? null,
    nextMs: nowMs + Math.max(waitMs, askedMs * (1 + 0.1 * random())),
  };
}

function waitAfter(answer: RegisterAnswer | null, failed: number): number {
  const isFinal = answer !== null && !mayBeElsewhere(answer.sipStatus);
  const [first, longest] = isFinal ? [refusedWaitMs, longestRefusedMs] : [firstWaitMs, longestWaitMs];
  return Math.min(longest, first * 2 ** Math.min(failed - 1, 20));
}

/** A server's trouble, which the next registrar may not have (RFC 3261 §21.5; 408 and 430: §21.4.9, RFC 5626 §11). */
export function mayBeElsewhere(sipStatus: number): boolean {
  return sipStatus === 408 || sipStatus === 430 || (sipStatus >= 500 && sipStatus < 600);
}

export type RegistrationWord = 'registered' | 'failed' | 'trying';

/** A refresh that fails takes nothing away before its time. */
export function wordOf({ untilMs, failed }: RegistrationState, nowMs: number): RegistrationWord {
  if (untilMs > nowMs) return 'registered';
  return failed > 0 ? 'failed' : 'trying';
}
