// A telephone provider whose customers register: a registrar with digest on a SipEndpoint, which may be told to be difficult.
import { createHash, randomBytes } from 'node:crypto';
import type { OutgoingCall } from './outgoing-call.js';
import { SipEndpoint, type EndpointOptions } from './sip-endpoint.js';
import { parameter, uriOf, type Header, type SipMessage } from './sip-message.js';
import type { ResponseExtra } from './sip-transport.js';

export interface ProviderAccount {
  readonly username: string;
  readonly password: string;
}

/** What it is like now; a test changes it. */
export interface ProviderManner {
  /** Longest registration that is granted. */
  grantSeconds: number;
  /** Shorter ones are refused (423). */
  minSeconds: number;
  /** Every REGISTER is answered so; 0: not at all. */
  refuses: number | undefined;
  retryAfterSeconds: number | undefined;
  /** How often a nonce is taken before it is stale. */
  nonceUses: number;
}

interface Answer {
  readonly status: number;
  readonly extra?: ResponseExtra;
}

export class Provider {
  readonly endpoint: SipEndpoint;
  readonly registers: SipMessage[] = [];
  /** Contact URI → until when, ms since 1970. */
  readonly bindings = new Map<string, { readonly untilMs: number; readonly callId: string; readonly cseq: number }>();
  readonly manner: ProviderManner = {
    ...{ grantSeconds: 600, minSeconds: 60, nonceUses: 100 },
    ...{ refuses: undefined, retryAfterSeconds: undefined },
  };
  readonly #account: ProviderAccount;
  readonly #domain: string;
  readonly #algorithm: 'MD5' | 'SHA-256';
  readonly #nonces = new Map<string, number>();

  private constructor(endpoint: SipEndpoint, domain: string, account: ProviderAccount, algorithm: 'MD5' | 'SHA-256') {
    this.endpoint = endpoint;
    this.#domain = domain;
    this.#account = account;
    this.#algorithm = algorithm;
    endpoint.onRequest(request => (request.method === 'REGISTER' ? this.#register(request) : { status: 200 }));
  }

  static async open(
    address: string,
    domain: string,
    account: ProviderAccount,
    algorithm: 'MD5' | 'SHA-256' = 'MD5',
    wire: Pick<EndpointOptions, 'port' | 'listens' | 'security'> = {},
  ): Promise<Provider> {
    const endpoint = await SipEndpoint.open({ address, user: 'provider', codecs: ['PCMA'], ...wire });
    return new Provider(endpoint, domain, account, algorithm);
  }

  get contacts(): readonly string[] {
    return [...this.bindings].filter(([, { untilMs }]) => untilMs > Date.now()).map(([contact]) => contact);
  }

  /** Calls the customer as it has registered, for somebody who has dialled this number. */
  async call(number: string, headers: readonly Header[] = [], contact = this.contacts[0]): Promise<OutgoingCall> {
    if (contact === undefined) throw new Error('the customer is not registered');
    return this.endpoint.invite(contact, { headers: [['To', `<sip:${number}@${this.#domain}>`], ...headers] });
  }

  #register(request: SipMessage): Answer | undefined {
    this.registers.push(request);
    const { refuses, retryAfterSeconds, minSeconds, grantSeconds } = this.manner;
    if (refuses === 0) return undefined;
    if (refuses !== undefined) {
      const headers: Header[] = retryAfterSeconds === undefined ? [] : [['Retry-After', `${retryAfterSeconds} (busy)`]];
      return { status: refuses, extra: { headers } };
    }
    const challenge = this.#challenge(request);
    if (challenge) return { status: 401, extra: { headers: [['WWW-Authenticate', challenge]] } };
    const contact = request.get('Contact');
    const asked = Number(parameter(contact, 'expires') || request.get('Expires'));
    if (asked > 0 && asked < minSeconds) return { status: 423, extra: { headers: [['Min-Expires', `${minSeconds}`]] } };
    const uri = uriOf(contact);
    const known = this.bindings.get(uri);
    if (known && known.callId === request.callId && known.cseq >= request.cseq) return { status: 500 };
    const granted = Math.min(asked, grantSeconds);
    if (granted === 0) this.bindings.delete(uri);
    else {
      const untilMs = Date.now() + granted * 1000;
      this.bindings.set(uri, { untilMs, callId: request.callId, cseq: request.cseq });
    }
    const listed = this.contacts.map((one): Header => ['Contact', `<${one}>;expires=${granted}`]);
    return { status: 200, extra: { headers: listed } };
  }

  /** RFC 7616 §3.4, with qop=auth; undefined for good credentials. */
  #challenge(request: SipMessage): string | undefined {
    const given = request.get('Authorization');
    const field = (name: string): string =>
      new RegExp(`[\\s,]${name}=(?:"([^"]*)"|([^,\\s]+))`).exec(given)?.slice(1).find(Boolean) ?? '';
    const hash = (...parts: readonly string[]): string =>
      createHash(this.#algorithm.replace('-', '')).update(parts.join(':')).digest('hex');
    const { username, password } = this.#account;
    const ha1 = hash(username, this.#domain, password);
    const ha2 = hash('REGISTER', request.requestUri);
    const [nonce, nc] = [field('nonce'), field('nc')];
    const isRight =
      field('username') === username &&
      field('response') === hash(ha1, nonce, nc, field('cnonce'), 'auth', ha2) &&
      field('uri') === request.requestUri;
    const uses = this.#nonces.get(nonce);
    if (isRight && uses !== undefined && parseInt(nc, 16) === uses + 1 && uses < this.manner.nonceUses) {
      this.#nonces.set(nonce, uses + 1);
      return undefined;
    }
    const fresh = randomBytes(8).toString('hex');
    this.#nonces.set(fresh, 0);
    const stale = isRight ? ', stale=true' : '';
    return `Digest realm="${this.#domain}", nonce="${fresh}", algorithm=${this.#algorithm}, qop="auth,auth-int", opaque="o, \\"p\\""${stale}`;
  }
}
