// One attempt to register: every registrar in turn, with answers to their challenges, until one has said what is to be said.
import { DigestMemory, type DigestUser } from './digest-answer.js';
import { registerUri, type Registrant, type RegisterAnswer, type RegisterRequest } from './register-message.js';
import { mayBeElsewhere, type RegisterOutcome } from './registration.js';

export interface RegisterAttempt extends Registrant {
  readonly callId: string;
  /** `host:port`s, the best first. */
  readonly registrars: readonly string[];
  /** Of one that is reached by a connection. */
  readonly flowTo: (registrar: string) => string | undefined;
  /** 0 ends the registration. */
  readonly expiresSeconds: number;
  readonly user?: DigestUser | undefined;
  /** Kept from attempt to attempt. */
  readonly digest: DigestMemory;
  /** The next one that was never sent, which is kept before it is. */
  readonly nextCseq: () => Promise<number>;
  readonly ask: (request: RegisterRequest) => Promise<RegisterAnswer | null>;
}

/** A proxy and a registrar behind it may each challenge, and each find a nonce stale once; then there is something wrong. */
const mostChallenges = 4;
/** A week (RFC 3261 §10.3 sets no limit to Min-Expires). */
const longestSeconds = 604_800;

export async function attemptRegistration(attempt: RegisterAttempt): Promise<RegisterOutcome> {
  let outcome: RegisterOutcome | undefined;
  for (const registrar of attempt.registrars) {
    outcome = await registerAt(registrar, attempt);
    const { answer } = outcome;
    if (answer !== null && !mayBeElsewhere(answer.sipStatus)) return outcome;
  }
  return (
    outcome ?? { registrar: '', answer: null, refusal: 'there is no registrar', askedSeconds: attempt.expiresSeconds }
  );
}

async function registerAt(registrar: string, attempt: RegisterAttempt): Promise<RegisterOutcome> {
  const { aor, contact, callId, user, digest } = attempt;
  digest.begin();
  const request = { method: 'REGISTER', uri: registerUri(attempt) };
  let askedSeconds = attempt.expiresSeconds;
  for (let challenges = 0; ;) {
    const credentials = user === undefined ? [] : digest.headers(user, request);
    const cseq = await attempt.nextCseq();
    const answer = await attempt.ask({
      ...{
        aor,
        contact,
        registrar,
        flow: attempt.flowTo(registrar),
        callId,
        cseq,
        expiresSeconds: askedSeconds,
        credentials,
      },
    });
    const say = (refusal: string | undefined): RegisterOutcome => ({ registrar, answer, refusal, askedSeconds });
    if (answer === null) return say('no answer');
    const { sipStatus, reason, challenge, minExpiresSeconds = 0 } = answer;
    const said = `${sipStatus} ${reason}`.trim();
    if (sipStatus < 300)
      return say(answer.grantedSeconds === 0 && askedSeconds > 0 ? 'granted for 0 seconds' : undefined);
    if (sipStatus === 423 && minExpiresSeconds > askedSeconds && minExpiresSeconds <= longestSeconds) {
      askedSeconds = minExpiresSeconds;
      continue;
    }
    if (sipStatus !== 401 && sipStatus !== 407) return say(said);
    if (user === undefined) return say(`${said}: it wants a password, and the trunk has no credentials`);
    if (challenge === undefined) return say(`${said}: it offers no digest that is known here`);
    if (!digest.learn(challenge)) return say(`${said}: it does not take the credentials`);
    if (++challenges > mostChallenges) return say(`${said}: it challenges again and again`);
  }
}
