// Answers a digest challenge (RFC 2617 with qop=auth, MD5; RFC 3261 §22).
import { createHash, randomBytes } from 'node:crypto';
import type { SipMessage } from './sip-message.js';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** The header that answers the 401 or 407, or undefined where there is no digest challenge in it. */
export function answerChallenge(
  response: SipMessage,
  request: SipMessage,
  { username, password }: Credentials,
): readonly [name: string, value: string] | undefined {
  const proxy = response.status === 407;
  const challenges = response.all(proxy ? 'Proxy-Authenticate' : 'WWW-Authenticate');
  const challenge = challenges.find(value => /^digest/i.test(value) && !/algorithm\s*=\s*"?SHA/i.test(value));
  if (challenge === undefined) return undefined;
  const field = (name: string): string =>
    new RegExp(`[\\s,]${name}\\s*=\\s*(?:"([^"]*)"|([^,\\s]+))`, 'i').exec(challenge)?.slice(1).find(Boolean) ?? '';
  const [realm, nonce, opaque] = [field('realm'), field('nonce'), field('opaque')];
  const uri = request.requestUri;
  const ha1 = md5(`${username}:${realm}:${password}`);
  const ha2 = md5(`${request.method}:${uri}`);
  const base = `Digest username="${username}", realm="${realm}", nonce="${nonce}", uri="${uri}", algorithm=MD5`;
  const tail = opaque === '' ? '' : `, opaque="${opaque}"`;
  const name = proxy ? 'Proxy-Authorization' : 'Authorization';
  if (!/auth/.test(field('qop'))) return [name, `${base}, response="${md5(`${ha1}:${nonce}:${ha2}`)}"${tail}`];
  const cnonce = randomBytes(8).toString('hex');
  const digest = md5(`${ha1}:${nonce}:00000001:${cnonce}:auth:${ha2}`);
  return [name, `${base}, response="${digest}", qop=auth, nc=00000001, cnonce="${cnonce}"${tail}`];
}

/** Whether a request answers a challenge without qop (RFC 2617 §3.2.2.1) with these credentials. */
export function answersChallenge(
  request: SipMessage,
  realm: string,
  nonce: string,
  { username, password }: Credentials,
): boolean {
  const given = request.get('Authorization') + request.get('Proxy-Authorization');
  const uri = /uri="([^"]*)"/.exec(given)?.[1] ?? '';
  const response = md5(`${md5(`${username}:${realm}:${password}`)}:${nonce}:${md5(`${request.method}:${uri}`)}`);
  return given.includes(`nonce="${nonce}"`) && given.includes(`response="${response}"`);
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}
