// Answers a digest challenge (RFC 2617 with qop=auth, MD5; RFC 8760, SHA-256; RFC 3261 §22).
import { createHash, randomBytes } from 'node:crypto';
import type { SipMessage } from './sip-message.js';

export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** The only one that is answered, of a challenge with several. Default MD5. */
  readonly algorithm?: 'MD5' | 'SHA-256';
}

/** The header that answers the 401 or 407, or undefined where there is no digest challenge of that algorithm in it. */
export function answerChallenge(
  response: SipMessage,
  request: Pick<SipMessage, 'requestUri' | 'method'>,
  { username, password, algorithm = 'MD5' }: Credentials,
): readonly [name: string, value: string] | undefined {
  const proxy = response.status === 407;
  const challenge = challengesOf(response).find(
    one => /^digest/i.test(one) && (fieldOf(one, 'algorithm') || 'MD5').toUpperCase() === algorithm,
  );
  if (challenge === undefined) return undefined;
  const [realm = '', nonce = '', opaque = '', qop = ''] = ['realm', 'nonce', 'opaque', 'qop'].map(name =>
    fieldOf(challenge, name),
  );
  const uri = request.requestUri;
  const hashed = (...parts: readonly string[]): string => hash(algorithm, parts.join(':'));
  const [ha1, ha2] = [hashed(username, realm, password), hashed(request.method, uri)];
  const base = `Digest username="${username}", realm="${realm}", nonce="${nonce}", uri="${uri}", algorithm=${algorithm}`;
  const tail = opaque === '' ? '' : `, opaque="${opaque}"`;
  const name = proxy ? 'Proxy-Authorization' : 'Authorization';
  if (!/auth/.test(qop)) return [name, `${base}, response="${hashed(ha1, nonce, ha2)}"${tail}`];
  const cnonce = randomBytes(8).toString('hex');
  const digest = hashed(ha1, nonce, '00000001', cnonce, 'auth', ha2);
  return [name, `${base}, response="${digest}", qop=auth, nc=00000001, cnonce="${cnonce}"${tail}`];
}

/** The challenges of a 401 or 407; none of any other response. */
export function challengesOf(response: SipMessage): readonly string[] {
  if (response.status === 407) return response.all('Proxy-Authenticate');
  return response.status === 401 ? response.all('WWW-Authenticate') : [];
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
  const md5 = (text: string): string => hash('MD5', text);
  const response = md5(`${md5(`${username}:${realm}:${password}`)}:${nonce}:${md5(`${request.method}:${uri}`)}`);
  return given.includes(`nonce="${nonce}"`) && given.includes(`response="${response}"`);
}

function fieldOf(challenge: string, name: string): string {
  const field = new RegExp(`[\\s,]${name}\\s*=\\s*(?:"([^"]*)"|([^,\\s]+))`, 'i').exec(challenge);
  return field?.slice(1).find(Boolean) ?? '';
}

function hash(algorithm: 'MD5' | 'SHA-256', text: string): string {
  return createHash(algorithm.replace('-', '')).update(text).digest('hex');
}
