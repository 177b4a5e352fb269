// Answers digest challenges (RFC 7616, RFC 8760; RFC 3261 §22): which of them, and the header that does.
import { createHash, randomBytes } from 'node:crypto';
import { splitOutside } from '../trace/sip-header.js';

/** One challenge of a 401 or 407 that we can answer. */
export interface DigestChallenge {
  /** Of a 407. */
  readonly isProxy: boolean;
  readonly realm: string;
  readonly nonce: string;
  readonly opaque: string | undefined;
  readonly algorithm: Algorithm;
  /** RFC 2617: `auth` is offered; else as of RFC 2069. */
  readonly hasQop: boolean;
  readonly isStale: boolean;
}

export interface DigestUser {
  readonly username: string;
  readonly secret: string;
}

const hashes = { MD5: 'md5', 'SHA-256': 'sha256', 'SHA-512-256': 'sha512-256' } as const;
type Algorithm = keyof typeof hashes | `${keyof typeof hashes}-sess`;

/** The first one that we can answer: they come in the order in which their sender likes them (RFC 8760 §2.4). */
export function readChallenge(values: readonly string[], isProxy: boolean): DigestChallenge | undefined {
  return values
    .flatMap(challengesIn)
    .map(one => read(one, isProxy))
    .find(one => one !== undefined);
}

/** Some write two challenges into one header field, though RFC 3261 §20.27 has a field for each. */
function challengesIn(value: string): readonly string[] {
  return value.split(/,\s*(?=Digest\s)/i);
}

function read(challenge: string, isProxy: boolean): DigestChallenge | undefined {
  const rest = /^\s*Digest\s+(.*)$/is.exec(challenge)?.[1];
  if (rest === undefined) return undefined;
  const fields = new Map(splitOutside(rest, ',').map(fieldOf));
  const { realm, nonce, qop, algorithm = 'MD5', stale, opaque } = Object.fromEntries(fields);
  const known = algorithms.find(one => one.toLowerCase() === algorithm.toLowerCase());
  const hasQop = qop !== undefined && qop !== '';
  const hasAuth = hasQop && qop.split(',').some(one => one.trim().toLowerCase() === 'auth');
  if (known === undefined || realm === undefined || nonce === undefined || (hasQop && !hasAuth)) return undefined;
  return { isProxy, realm, nonce, opaque, algorithm: known, hasQop, isStale: stale?.toLowerCase() === 'true' };
}

const algorithms = Object.keys(hashes).flatMap(one => [one, `${one}-sess`]) as readonly Algorithm[];

function fieldOf(text: string): readonly [name: string, value: string] {
  const [, name = '', value = ''] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/s.exec(text) ?? [];
  const quoted = /^"(.*)"$/s.exec(value)?.[1];
  return [name.toLowerCase(), quoted === undefined ? value : quoted.replace(/\\(.)/gs, '$1')];
}

/** `count`: how often this nonce is answered, this time included. */
export function answerChallenge(
  { isProxy, realm, nonce, opaque, algorithm, hasQop }: DigestChallenge,
  { username, secret }: DigestUser,
  request: { readonly method: string; readonly uri: string },
  count: number,
  cnonce = randomBytes(12).toString('hex'),
): readonly [name: string, value: string] {
  const hash = (...parts: readonly string[]): string =>
    createHash(hashes[algorithm.replace('-sess', '') as keyof typeof hashes])
      .update(parts.join(':'))
      .digest('hex');
  const own = hash(username, realm, secret);
  const ha1 = algorithm.endsWith('-sess') ? hash(own, nonce, cnonce) : own;
  const ha2 = hash(request.method, request.uri);
  const nc = count.toString(16).padStart(8, '0');
  const response = hasQop ? hash(ha1, nonce, nc, cnonce, 'auth', ha2) : hash(ha1, nonce, ha2);
  const fields = [
    `username=${quoted(username)}`,
    `realm=${quoted(realm)}`,
    `nonce=${quoted(nonce)}`,
    `uri=${quoted(request.uri)}`,
    `response="${response}"`,
    `algorithm=${algorithm}`,
    ...(opaque === undefined ? [] : [`opaque=${quoted(opaque)}`]),
    ...(hasQop ? ['qop=auth', `nc=${nc}`] : []),
    ...(hasQop || algorithm.endsWith('-sess') ? [`cnonce="${cnonce}"`] : []),
  ];
  return [isProxy ? 'Proxy-Authorization' : 'Authorization', `Digest ${fields.join(', ')}`];
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

/** Challenges that were answered, for the requests that follow: by each realm, of the proxy and of the server itself. */
export class DigestMemory {
  readonly #answered = new Map<string, { challenge: DigestChallenge; count: number; round: number }>();
  #round = 0;

  /** What is learnt from now on is of a new round of challenges. */
  begin(): void {
    this.#round++;
  }

  /** Credentials for everybody who has challenged so far. */
  headers(
    user: DigestUser,
    request: { readonly method: string; readonly uri: string },
  ): readonly (readonly [name: string, value: string])[] {
    return [...this.#answered.values()].map(known => answerChallenge(known.challenge, user, request, ++known.count));
  }

  /**
   * Takes the challenge that the last request was answered with. False: that request bore credentials for a nonce of this very round, and they were
   * not good. A nonce from before may be too old, whether the server says so (`stale`) or not.
   */
  learn(challenge: DigestChallenge): boolean {
    const key = `${challenge.isProxy ? 'proxy' : 'server'} ${challenge.realm}`;
    const isRefused = this.#answered.get(key)?.round === this.#round && !challenge.isStale;
    if (isRefused) this.#answered.delete(key);
    else this.#answered.set(key, { challenge, count: 0, round: this.#round });
    return !isRefused;
  }

  forget(): void {
    this.#answered.clear();
  }
}
