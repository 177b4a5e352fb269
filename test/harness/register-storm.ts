// Many subscribers that register at a rate, as phones do: each answers the challenges it gets, and once more where its nonce has become stale.
import { setTimeout as sleep } from 'node:timers/promises';
import { answerChallenge } from './sip-digest.js';
import type { SipEndpoint } from './sip-endpoint.js';
import type { Header } from './sip-message.js';

export interface Storm {
  /** One socket for all of them; each has a Contact of its own. */
  readonly endpoint: SipEndpoint;
  readonly registrar: string;
  readonly domain: string;
  readonly users: readonly string[];
  readonly secretOf: (user: string) => string;
  readonly perSecond: number;
  /** Run when so many have begun. */
  readonly at?: Readonly<Record<number, () => Promise<void>>>;
}

export interface StormReport {
  readonly registered: number;
  readonly failures: readonly string[];
  /** Those that had to register anew, as a nonce had become stale. */
  readonly again: number;
  /** Milliseconds from the first REGISTER to the 200, sorted. */
  readonly tookMs: readonly number[];
}

/** A nonce of a registrar that is gone is stale at another one: after the first challenge one more may come. */
const mostChallenges = 2;

export async function registerAll(storm: Storm): Promise<StormReport> {
  const startMs = performance.now();
  const events: Promise<void>[] = [];
  const phones: Promise<{ status: number; challenges: number; ms: number }>[] = [];
  for (const [i, user] of storm.users.entries()) {
    const waitMs = startMs + (i * 1000) / storm.perSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const event = storm.at?.[i];
    if (event) events.push(event());
    phones.push(register(storm, user));
  }
  await Promise.all(events);
  const results = await Promise.all(phones);
  const failures = results.flatMap(({ status, challenges }, i) =>
    status === 200 ? [] : [`${storm.users[i] ?? ''}: ${status} after ${challenges} challenges`],
  );
  return {
    registered: results.length - failures.length,
    failures,
    again: results.filter(({ challenges }) => challenges > 1).length,
    tookMs: results.map(({ ms }) => ms).sort((a, b) => a - b),
  };
}

async function register(
  { endpoint, registrar, domain, secretOf }: Storm,
  user: string,
): Promise<{ status: number; challenges: number; ms: number }> {
  const startMs = performance.now();
  const address = `<sip:${user}@${domain}>`;
  const contact = `<sip:${user}@${endpoint.address}:${endpoint.port}>`;
  const own: Header[] = [
    ['From', `${address};tag=${user}`],
    ['To', address],
    ['Contact', contact],
    ['Expires', '3600'],
  ];
  const callId: Header = ['Call-ID', `${user}-${startMs}@${endpoint.address}`];
  let credentials: Header[] = [];
  for (let challenges = 0; ; challenges++) {
    const headers: Header[] = [...own, callId, ['CSeq', `${challenges + 1} REGISTER`], ...credentials];
    const response = await endpoint.request('REGISTER', registrar, { headers });
    const { status } = response;
    if (status !== 401 || challenges === mostChallenges) return { status, challenges, ms: performance.now() - startMs };
    const asked = { requestUri: registrar, method: 'REGISTER' };
    const answer = answerChallenge(response, asked, { username: user, password: secretOf(user) });
    if (answer === undefined) return { status, challenges, ms: performance.now() - startMs };
    credentials = [answer];
  }
}
