// A small SIP user agent on one UDP address, or on a connection to a proxy, scripted by a test: real transactions and dialogs (RFC 3261), real audio.
import { randomBytes } from 'node:crypto';
import { IncomingCall } from './incoming-call.js';
import { MediaSession, type MediaOptions } from './media-session.js';
import { OutgoingCall, type InviteOptions } from './outgoing-call.js';
import type { SipCall } from './sip-call.js';
import { answerChallenge, challengesOf, type Credentials } from './sip-digest.js';
import { SipLadder, type LadderRow } from './sip-ladder.js';
import { hostPortOf, parameter, SipMessage, type Header, type HostPort } from './sip-message.js';
import { ClientTransaction, ServerTransaction } from './sip-transaction.js';
import { openListener, type ListenerOptions } from './sip-listener.js';
import { openConnection, openUdp, type ConnectionOptions, type SipWire } from './sip-wire.js';
import { timeoutStatus, unsentStatus, type ResponseExtra, type SipTransport } from './sip-transport.js';
import { waitFor } from './wait-for.js';

export interface EndpointOptions extends MediaOptions {
  readonly address: string;
  /** Default 5060. */
  readonly port?: number;
  /** One connection for all it sends, instead of UDP: `port` is what the kernel gives. */
  readonly connection?: ConnectionOptions;
  /** Takes connections at its port, and opens some, as a server does. */
  readonly listens?: ListenerOptions;
  /** User part of From and Contact. Default `test`. */
  readonly user?: string;
  /** Host part of From. Default: the address. */
  readonly domain?: string;
  readonly credentials?: Credentials;
  /** Methods outside of calls that are answered 200. Default: OPTIONS. */
  readonly accepts?: readonly string[];
  /** Changes each message's text before it is sent: compact names, folded headers, other bodies. */
  readonly writes?: (text: string) => string;
}

export interface RequestOptions {
  /** Added, or put in the place of what would have been there (From, To, Call-ID, CSeq, Route, …). */
  readonly headers?: readonly Header[];
  readonly body?: string;
  readonly proxy?: HostPort;
  readonly credentials?: Credentials;
}

type RequestHandler = (request: SipMessage) => { readonly status: number; readonly extra?: ResponseExtra } | undefined;
type InviteHandler = (call: IncomingCall) => void | Promise<void>;

const reasons: Readonly<Record<number, string>> = {
  100: 'Trying',
  180: 'Ringing',
  183: 'Session Progress',
  200: 'OK',
  404: 'Not Found',
  408: 'Request Timeout',
  480: 'Temporarily Unavailable',
  481: 'Call/Transaction Does Not Exist',
  482: 'Loop Detected',
  486: 'Busy Here',
  487: 'Request Terminated',
  488: 'Not Acceptable Here',
  491: 'Request Pending',
  500: 'Server Internal Error',
  503: 'Service Unavailable',
  603: 'Decline',
};

export class SipEndpoint implements SipTransport {
  readonly address: string;
  readonly ladder = new SipLadder();
  /** Its network brings each datagram of its twice, the second one right behind the first; the ladder has them once. */
  doubles = false;
  readonly #options: EndpointOptions;
  #wire: SipWire | undefined;
  readonly #clients = new Map<string, ClientTransaction>();
  readonly #servers = new Map<string, ServerTransaction>();
  readonly #calls = new Set<SipCall>();
  readonly #failures: unknown[] = [];
  readonly #losses: ((row: Omit<LadderRow, 'atMs'>) => boolean)[] = [];
  #answers: RequestHandler = ({ method }) => ({
    status: (this.#options.accepts ?? ['OPTIONS']).includes(method) ? 200 : 501,
  });
  #handler: InviteHandler = call => call.reject(480);

  private constructor(options: EndpointOptions) {
    this.#options = options;
    this.address = options.address;
  }

  static async open(options: EndpointOptions): Promise<SipEndpoint> {
    const endpoint = new SipEndpoint(options);
    await endpoint.connect();
    return endpoint;
  }

  /** Opens its socket; a new connection where it had one, as a phone does that lost it. */
  async connect(): Promise<void> {
    const { address, port = 5060, connection, listens } = this.#options;
    const take = (data: Buffer, from: HostPort): void => this.#onMessage(data, from);
    await this.disconnect();
    this.#wire = connection
      ? await openConnection(address, connection, take)
      : listens
        ? await openListener({ address, port }, listens, take)
        : await openUdp({ address, port }, take, error => this.#failures.push(error));
  }

  /** Without a word to anybody. */
  async disconnect(): Promise<void> {
    await this.#wire?.close();
    this.#wire = undefined;
  }

  /** Its connection has been ended by the other side. */
  get isDisconnected(): boolean {
    return this.#wire?.ended?.() ?? true;
  }

  get port(): number {
    return this.#open.port;
  }

  get #open(): SipWire {
    if (!this.#wire) throw new Error(`the endpoint at ${this.address} is not connected`);
    return this.#wire;
  }

  get #reliable(): boolean {
    return this.#options.connection !== undefined || this.#options.listens !== undefined;
  }

  get uri(): string {
    return `sip:${this.#user}@${this.#options.domain ?? this.address}`;
  }

  get contact(): string {
    const { transport } = this.#open;
    const parameter = transport === 'UDP' ? '' : `;transport=${transport.toLowerCase()}`;
    return `<sip:${this.#user}@${this.address}:${this.port}${parameter}>`;
  }

  /** Calls placed and received, the first one first. */
  get calls(): readonly SipCall[] {
    return [...this.#calls];
  }

  /** Messages that we had to send again. */
  get retransmissions(): number {
    return this.ladder.rows().filter(row => row.retransmission).length;
  }

  /** Places a call; returns once the INVITE is sent. */
  async invite(target: string, options: InviteOptions = {}): Promise<OutgoingCall> {
    const { credentials } = this.#options;
    const all: InviteOptions = { ...(credentials ? { credentials } : {}), ...this.#media(options), ...options };
    const invite = this.#request('INVITE', target, [
      ['From', options.from ?? `<${this.uri}>;tag=${token()}`],
      ['Call-ID', options.callId ?? `${token()}@${this.address}`],
      ['Contact', this.contact],
      ...(options.headers ?? []),
    ]);
    const media = await MediaSession.open(this.address, all);
    const call = new OutgoingCall(this, media, invite, options.proxy ?? hostPortOf(target), all);
    this.#calls.add(call);
    return call;
  }

  /** What to do with calls from now on. A handler that throws fails the call with 500, and the endpoint's `close()`. */
  onInvite(handler: InviteHandler): void {
    this.#handler = handler;
  }

  /** How requests outside of calls are answered from now on; undefined: not at all. */
  onRequest(handler: RequestHandler): void {
    this.#answers = handler;
  }

  /** Waits for the next call that nobody has taken: `const call = await bob.incoming()`. Call it before the INVITE comes. */
  async incoming(deadlineMs = 15_000): Promise<IncomingCall> {
    let arrived: IncomingCall | undefined;
    this.onInvite(call => {
      arrived ??= call;
    });
    return waitFor('a call to come in', () => arrived, {
      deadlineMs,
      everyMs: 5,
      describe: () => this.ladder.print(),
    });
  }

  /** Another callee of the same INVITE, as a proxy on our side forks it (RFC 3261 §16.7): with a tag and media of its own. */
  async fork(call: IncomingCall): Promise<IncomingCall> {
    const other = call.fork(await MediaSession.open(this.address, this.#media({})), token());
    this.#calls.add(other);
    return other;
  }

  /** Carries a call of another endpoint on, as a phone does whose address has changed; resolves with the final response to the re-INVITE that says so. */
  async takeOver(call: SipCall, from: SipEndpoint): Promise<SipMessage> {
    from.#calls.delete(call);
    this.#calls.add(call);
    return call.moveTo(this);
  }

  /** REGISTER with this endpoint's Contact, unless `headers` have others; resolves with the final response. */
  async register(registrar: string, expiresSeconds = 60, options: RequestOptions = {}): Promise<SipMessage> {
    const { headers = [] } = options;
    const own: Header[] = [['To', `<${this.uri}>`], ...this.#contactBeside(headers), ['Expires', `${expiresSeconds}`]];
    return this.request('REGISTER', registrar, { ...options, headers: [...own, ...headers] });
  }

  /** Any request outside of our own dialogs, also a forged in-dialog one; resolves with the final response, or 408. */
  async request(method: string, target: string, options: RequestOptions = {}): Promise<SipMessage> {
    const { headers = [], body = '', proxy = hostPortOf(target) } = options;
    const credentials = options.credentials ?? this.#options.credentials;
    const message = this.#request(method, target, headers, body);
    const response = await this.#final(message, proxy);
    if (!credentials || (response.status !== 401 && response.status !== 407)) return response;
    return this.#answered(response, message, credentials, proxy);
  }

  /** Sends these very bytes. */
  async sendRaw(data: string | Buffer, to: HostPort): Promise<void> {
    await this.#open.send(data, to);
  }

  /** Waits for a message that was received and fulfils this, at any time so far or from now on. */
  async received(what: string, test: (message: SipMessage) => boolean, deadlineMs = 15_000): Promise<SipMessage> {
    const find = (): SipMessage | undefined =>
      this.ladder.rows().find(row => row.direction === 'received' && test(row.message))?.message;
    return waitFor(what, find, { deadlineMs, everyMs: 5, describe: () => this.ladder.print() });
  }

  /** Loses the next message that fulfils this, as a network would: it is neither sent nor received. */
  loseNext(test: (row: Omit<LadderRow, 'atMs'>) => boolean): void {
    this.#losses.push(test);
  }

  /** Frees everything at once, without a word to anybody. Throws what handlers threw meanwhile. */
  async close(): Promise<void> {
    for (const call of this.#calls) call.close();
    for (const transaction of [...this.#clients.values(), ...this.#servers.values()]) transaction.stop();
    await this.disconnect();
    if (this.#failures.length > 0) {
      const why = this.#failures.map(failure => (failure instanceof Error ? failure.message : String(failure)));
      throw new AggregateError(this.#failures, `failed at ${this.address}:${this.port}: ${why.join('; ')}`);
    }
  }

  sendRequest(request: SipMessage, to: HostPort): SipMessage {
    const sent = this.#withVia(request, newBranch());
    void this.#send(sent, to);
    return sent;
  }

  transact(
    request: SipMessage,
    to: HostPort,
    onResponse: (response: SipMessage) => void,
    branch = newBranch(),
  ): ClientTransaction {
    const own = request.headers.filter(([name]) => /^(from|to|call-id|cseq)$/i.test(name));
    const transaction: ClientTransaction = new ClientTransaction(this.#withVia(request, branch), {
      send: message =>
        void this.#send(message, to).then(isSent => {
          if (isSent || message.method === 'ACK') return;
          transaction.stop();
          onResponse(new SipMessage(`SIP/2.0 ${unsentStatus} (not sent)`, own));
        }),
      onResponse,
      onTimeout: () => onResponse(new SipMessage(`SIP/2.0 ${timeoutStatus} (no response)`, own)),
      reliable: this.#reliable,
    });
    this.#clients.set(`${branch} ${request.method}`, transaction);
    return transaction;
  }

  response(transaction: ServerTransaction, status: number, extra: ResponseExtra = {}): SipMessage {
    const { request } = transaction;
    const { toTag = '', headers = [], body = '', reason = reasons[status] ?? 'Unspecified' } = extra;
    const to = request.get('To');
    const copied = request.headers.filter(([name]) => /^(via|record-route|from|call-id|cseq)$/i.test(name));
    const message = new SipMessage(
      `SIP/2.0 ${status} ${reason}`,
      [
        ...copied,
        ['To', toTag === '' || request.toTag !== '' ? to : `${to};tag=${toTag}`],
        ...this.#contactBeside(headers),
        ...headers,
        ...(body === '' ? [] : [['Content-Type', 'application/sdp'] as const]),
      ],
      body,
    );
    return message;
  }

  /** Our Contact, where these headers have none: a redirection names others. */
  #contactBeside(headers: readonly Header[]): readonly Header[] {
    return headers.some(([name]) => name === 'Contact') ? [] : [['Contact', this.contact]];
  }

  get #user(): string {
    return this.#options.user ?? 'test';
  }

  /** The endpoint's own choice of media, where a call makes none. */
  #media(over: MediaOptions): MediaOptions {
    const { codecs, direction, telephoneEvent, sends, before, after, security, firstSequence } = {
      ...this.#options,
      ...over,
    };
    return {
      ...(before && { before }),
      ...(after && { after }),
      ...(codecs && { codecs }),
      ...(direction && { direction }),
      ...(telephoneEvent === undefined ? {} : { telephoneEvent }),
      ...(sends === undefined ? {} : { sends }),
      ...(security && { security }),
      ...(firstSequence === undefined ? {} : { firstSequence }),
    };
  }

  #request(method: string, target: string, headers: readonly Header[], body = ''): SipMessage {
    const message = new SipMessage(
      `${method} ${target} SIP/2.0`,
      [
        ['Max-Forwards', '70'],
        ['From', `<${this.uri}>;tag=${token()}`],
        ['To', `<${target}>`],
        ['Call-ID', `${token()}@${this.address}`],
        ['CSeq', `1 ${method}`],
      ],
      body,
    );
    const names = new Set(headers.map(([name]) => name));
    const replaced = (made: SipMessage, name: string): SipMessage =>
      made.with(name, ...headers.filter(([key]) => key === name).map(([, value]) => value));
    return [...names].reduce(replaced, message);
  }

  /** Once, and once more where the nonce has become stale meanwhile (RFC 2617 §3.2.1). */
  async #answered(
    challenge: SipMessage,
    message: SipMessage,
    credentials: Credentials,
    proxy: HostPort,
    attempt = 1,
  ): Promise<SipMessage> {
    const answer = answerChallenge(challenge, message, credentials);
    if (!answer) return challenge;
    const cseq = `${message.cseq + attempt} ${message.method}`;
    const response = await this.#final(message.with('CSeq', cseq).with(...answer), proxy);
    const isStale = challengesOf(response).some(one => /stale\s*=\s*"?true/i.test(one));
    return isStale && attempt === 1 ? this.#answered(response, message, credentials, proxy, 2) : response;
  }

  async #final(request: SipMessage, to: HostPort): Promise<SipMessage> {
    return new Promise(resolve => {
      this.transact(request, to, response => {
        if (response.status >= 200) resolve(response);
      });
    });
  }

  #withVia(request: SipMessage, branch: string): SipMessage {
    const via = `SIP/2.0/${this.#open.transport} ${this.address}:${this.port};branch=${branch};rport`;
    return new SipMessage(request.startLine, [['Via', via], ...request.headers], request.body);
  }

  /** False where a connection would not take it: nobody repeats it. Over UDP the next one is on its way already. */
  async #send(message: SipMessage, to: HostPort): Promise<boolean> {
    if (this.#isLost({ direction: 'sent', peer: to, message, retransmission: false })) return true;
    const row = this.ladder.add('sent', to, message);
    const { writes = (text: string): string => text } = this.#options;
    const text = writes(message.toString());
    try {
      await this.#wire?.send(text, to);
      if (this.doubles) await this.#wire?.send(text, to);
      return true;
    } catch (error) {
      row.lost = String(error);
      return !this.#reliable;
    }
  }

  #isLost(row: Omit<LadderRow, 'atMs'>): boolean {
    const at = this.#losses.findIndex(test => test(row));
    if (at >= 0) this.#losses.splice(at, 1);
    return at >= 0;
  }

  #onMessage(data: Buffer, { address, port }: HostPort): void {
    const message = SipMessage.parse(data);
    const peer = { address, port };
    if (!message || this.#isLost({ direction: 'received', peer, message, retransmission: false })) return;
    this.ladder.add('received', peer, message);
    try {
      if (!message.isRequest) this.#clients.get(`${message.branch} ${message.method}`)?.receive(message);
      else if (message.method === 'ACK') this.#onAck(message);
      else this.#onRequest(message, peer);
    } catch (error) {
      this.#failures.push(error);
    }
  }

  #onAck(ack: SipMessage): void {
    const refused = this.#servers.get(serverKey(ack, 'INVITE'));
    if (refused && refused.finalStatus >= 300) refused.receiveAck();
    else this.#callOf(ack)?.receiveAck(ack);
  }

  #onRequest(request: SipMessage, peer: HostPort): void {
    const key = serverKey(request, request.method);
    const known = this.#servers.get(key);
    if (known) {
      known.receiveAgain();
      return;
    }
    // §18.2.2: to the sent-by of the topmost Via, or to the source where rport asks for it (RFC 3581).
    const via = request.get('Via');
    const sentBy = /^SIP\/2\.0\/[A-Z]+\s+(\S+?)(?::(\d+))?\s*(?:;|$)/i.exec(via);
    const rport = /;\s*rport\b/i.test(via);
    const to = { address: peer.address, port: rport || this.#reliable ? peer.port : Number(sentBy?.[2] ?? 5060) };
    const transaction = new ServerTransaction(rport ? markReceived(request, peer) : request, {
      send: message => void this.#send(message, to),
      reliable: this.#reliable,
    });
    this.#servers.set(key, transaction);
    const respond = (status: number): void =>
      transaction.respond(this.response(transaction, status, { toTag: token() }));
    const call = this.#callOf(request);
    if (request.method === 'CANCEL') this.#onCancel(transaction, respond);
    else if (call) call.receive(transaction);
    else if (request.toTag !== '') respond(481);
    else if (request.method === 'INVITE') this.#onInvite(transaction, respond);
    else this.#onOther(transaction);
  }

  #onOther(transaction: ServerTransaction): void {
    const answer = this.#answers(transaction.request);
    if (answer !== undefined)
      transaction.respond(this.response(transaction, answer.status, { toTag: token(), ...answer.extra }));
  }

  #onCancel(transaction: ServerTransaction, respond: (status: number) => void): void {
    const { request } = transaction;
    const cancelled = this.#servers.get(serverKey(request, 'INVITE'))?.request;
    const call = [...this.#calls].find(one => one instanceof IncomingCall && one.invite === cancelled);
    if (call instanceof IncomingCall) call.receiveCancel(transaction);
    else respond(481);
  }

  #onInvite(transaction: ServerTransaction, respond: (status: number) => void): void {
    const { request } = transaction;
    // §8.2.2.2: the same INVITE by another way.
    const merged = [...this.#servers.values()].some(
      ({ request: other }) =>
        other !== request &&
        other.method === 'INVITE' &&
        other.callId === request.callId &&
        other.fromTag === request.fromTag &&
        other.cseq === request.cseq,
    );
    if (merged) {
      respond(482);
      return;
    }
    void this.#take(transaction);
  }

  async #take(transaction: ServerTransaction): Promise<void> {
    let call: IncomingCall | undefined;
    try {
      const media = await MediaSession.open(this.address, this.#media({}));
      call = new IncomingCall(this, media, transaction, token());
      this.#calls.add(call);
      await this.#handler(call);
    } catch (error) {
      this.#failures.push(error);
      if (transaction.finalStatus === 0) transaction.respond(this.response(transaction, 500, { toTag: token() }));
    }
  }

  #callOf(request: SipMessage): SipCall | undefined {
    return [...this.#calls].find(call => call.hasDialog && call.dialog.has(request));
  }
}

function newBranch(): string {
  return `z9hG4bK${token()}`;
}

function token(): string {
  return randomBytes(6).toString('hex');
}

/** §17.2.3 */
function serverKey(request: SipMessage, method: string): string {
  const sentBy = /^\S+\s+([^;\s]+)/.exec(request.get('Via'))?.[1] ?? '';
  return `${request.branch} ${sentBy} ${method}`;
}

/** RFC 3581 §4: the response's topmost Via says where the request came from. */
function markReceived(request: SipMessage, peer: HostPort): SipMessage {
  const [top = '', ...others] = request.all('Via');
  const marked = top.replace(/;\s*rport\b(=\d*)?/i, `;rport=${peer.port}`);
  const received = parameter(top, 'received') === '' ? `${marked};received=${peer.address}` : marked;
  return request.with('Via', received, ...others);
}
