// What both sides of a call can do once there is a dialog: hang up, re-INVITE, ask, and answer the other side's requests.
import { randomBytes } from 'node:crypto';
import type { MediaOptions, MediaSession } from './media-session.js';
import type { RtpStream } from './rtp-stream.js';
import type { SipDialog } from './sip-dialog.js';
import { answersChallenge, type Credentials } from './sip-digest.js';
import type { Header, SipMessage } from './sip-message.js';
import type { ServerTransaction } from './sip-transaction.js';
import type { ResponseExtra, SipTransport } from './sip-transport.js';
import { waitFor } from './wait-for.js';

/** RFC 3261 §12 and RFC 4235's words for where an INVITE dialog stands. */
export type CallState = 'trying' | 'proceeding' | 'early' | 'confirmed' | 'terminated';

/** How a confirmed call ended. */
export interface CallEnd {
  readonly by: 'us' | 'them';
  /** The BYE, or our own. */
  readonly bye: SipMessage;
}

/** What to do with a re-INVITE: answer it, refuse it with a status, challenge it, or leave it without an answer. */
export type ReinviteAnswer = 'answer' | 'ignore' | number | { readonly status: number; readonly challenge: Header };
export type ReinviteBehaviour = ReinviteAnswer | ((request: SipMessage) => ReinviteAnswer | Promise<ReinviteAnswer>);

/** Answers re-INVITEs that bear the credentials, and challenges all others: each time anew, as some gateways do. */
export function challenging(status: 401 | 407, realm: string, credentials: Credentials): ReinviteBehaviour {
  const name = status === 407 ? 'Proxy-Authenticate' : 'WWW-Authenticate';
  let nonce = '';
  return request => {
    if (nonce !== '' && answersChallenge(request, realm, nonce, credentials)) return 'answer';
    nonce = randomBytes(8).toString('hex');
    return { status, challenge: [name, `Digest realm="${realm}", nonce="${nonce}", algorithm=MD5`] };
  };
}

export abstract class SipCall {
  readonly callId: string;
  readonly media: MediaSession;
  protected transport: SipTransport;
  #state: CallState = 'trying';
  #wasConfirmed = false;
  protected dialogState: SipDialog | undefined;
  #end: CallEnd | undefined;
  /** Our own re-INVITE that has no final response yet: makes theirs a 491 (§14.2). */
  #reinviting = false;
  readonly #reinvites: SipMessage[] = [];
  readonly #requests: SipMessage[] = [];
  /** INVITE transactions of the other side that wait for their ACK, by CSeq. */
  protected readonly unacknowledged = new Map<number, ServerTransaction>();
  /** Set where our 2xx bore an offer: the ACK has the answer. */
  protected offeredIn2xx = false;
  onReinvite: ReinviteBehaviour = 'answer';
  /** Told of every request in the dialog but ACK, BYE and INVITE; the status it gives is answered. */
  onRequest: (request: SipMessage) => number = () => 200;

  protected constructor(transport: SipTransport, callId: string, media: MediaSession) {
    this.transport = transport;
    this.callId = callId;
    this.media = media;
  }

  get state(): CallState {
    return this.#state;
  }

  protected setState(state: CallState): void {
    if (this.#state !== 'terminated') this.#state = state;
    if (this.#state === 'confirmed') this.#wasConfirmed = true;
    if (state === 'terminated') this.media.stream.stop();
  }

  /** The call's audio. */
  get audio(): RtpStream {
    return this.media.stream;
  }

  /** Throws before there is one. */
  get dialog(): SipDialog {
    if (!this.dialogState) throw new Error(`no dialog yet\n${this.ladder()}`);
    return this.dialogState;
  }

  get hasDialog(): boolean {
    return this.dialogState !== undefined;
  }

  /** re-INVITEs of the other side so far. */
  get reinvites(): readonly SipMessage[] {
    return this.#reinvites;
  }

  /** Requests of the other side in the dialog, each once, as they were sent: over UDP one may overtake the other. */
  requests(method: string): readonly SipMessage[] {
    return this.#requests.filter(one => one.method === method).sort((a, b) => a.cseq - b.cseq);
  }

  /** Everything sent and received for this call, printed. */
  ladder(): string {
    return this.transport.ladder.print(this.callId);
  }

  /** Sends BYE; resolves with the status of its final response. */
  async hangup(headers: readonly Header[] = []): Promise<number> {
    this.setState('terminated');
    const bye = this.dialog.request('BYE', headers);
    this.#end ??= { by: 'us', bye };
    return (await this.#final(bye)).status;
  }

  /** A request in the dialog; resolves with its final response (408 where there was none). */
  async request(method: string, headers: readonly Header[] = [], body = ''): Promise<SipMessage> {
    return this.#final(this.dialog.request(method, headers, body));
  }

  /** Offers again, e.g. `{direction: 'sendonly'}` to hold; takes the answer, sends ACK, gives the final response. */
  async reinvite(change: MediaOptions = {}): Promise<SipMessage> {
    this.#reinviting = true;
    try {
      const headers: Header[] = [
        ['Contact', this.transport.contact],
        ['Content-Type', 'application/sdp'],
      ];
      const invite = this.dialog.request('INVITE', headers, this.media.offer(change));
      const response = await this.#final(invite);
      if (response.status >= 300) return response;
      this.dialog.refresh(response);
      if (response.body !== '') this.media.accept(response.body);
      return response;
    } finally {
      this.#reinviting = false;
    }
  }

  /** From now on at this other address, as a re-INVITE says; gives its final response. For the endpoint. */
  async moveTo(transport: SipTransport): Promise<SipMessage> {
    this.transport = transport;
    await this.audio.moveTo(transport.address);
    return this.reinvite();
  }

  /** Waits until the call has ended by a BYE of either side. */
  async ended(deadlineMs = 15_000): Promise<CallEnd> {
    return this.waitFor('the call to end', () => this.#end, deadlineMs);
  }

  /** Waits until the call is up; one that was, and has ended since, counts. One that ended before fails at once. */
  async confirmed(deadlineMs = 15_000): Promise<this> {
    const decided = (): boolean => this.#wasConfirmed || this.#state === 'terminated';
    await this.waitFor('the call to be up', decided, deadlineMs);
    if (!this.#wasConfirmed) throw new Error(`the call ended before it was up\n${this.ladder()}`);
    return this;
  }

  async waitFor<T>(what: string, condition: () => T | Promise<T>, deadlineMs = 15_000) {
    return waitFor(what, condition, { deadlineMs, everyMs: 5, describe: () => this.ladder() });
  }

  /** Takes a request of the other side in this dialog. For the endpoint. */
  receive(transaction: ServerTransaction): void {
    const { request } = transaction;
    const respond = (status: number): void => transaction.respond(this.transport.response(transaction, status));
    this.#requests.push(request);
    // §12.2.2: older than what we have seen.
    if (request.cseq < this.dialog.remoteCseq) {
      respond(500);
      return;
    }
    this.dialog.remoteCseq = request.cseq;
    if (request.method === 'BYE') {
      this.#end ??= { by: 'them', bye: request };
      this.setState('terminated');
      respond(200);
    } else if (this.#state === 'terminated') respond(481);
    else if (request.method === 'INVITE') this.#onReinvite(transaction);
    else respond(this.onRequest(request));
  }

  /** Takes the ACK to a 2xx of ours. For the endpoint. */
  receiveAck(ack: SipMessage): void {
    const transaction = this.unacknowledged.get(ack.cseq);
    if (!transaction) return;
    transaction.receiveAck();
    this.unacknowledged.delete(ack.cseq);
    if (this.offeredIn2xx && ack.body !== '') this.media.accept(ack.body);
    this.offeredIn2xx = false;
    this.setState('confirmed');
  }

  close(): void {
    this.media.close();
  }

  /** ACK to a 2xx (§13.2.2.4): a request of its own, sent again for every 2xx that comes again. */
  protected sendAck(cseq: number, body = ''): void {
    const headers: Header[] = body === '' ? [] : [['Content-Type', 'application/sdp']];
    this.transport.sendRequest(this.dialog.request('ACK', headers, body, cseq), this.dialog.destination);
  }

  async #final(request: SipMessage): Promise<SipMessage> {
    return new Promise(resolve => {
      this.transport.transact(request, this.dialog.destination, response => {
        if (response.status < 200) return;
        if (request.method === 'INVITE' && response.status < 300) this.sendAck(request.cseq);
        resolve(response);
      });
    });
  }

  #onReinvite(transaction: ServerTransaction): void {
    this.#reinvites.push(transaction.request);
    const answer = typeof this.onReinvite === 'function' ? this.onReinvite(transaction.request) : this.onReinvite;
    if (answer instanceof Promise) void answer.then(decided => this.#answerReinvite(transaction, decided));
    else this.#answerReinvite(transaction, answer);
  }

  #answerReinvite(transaction: ServerTransaction, answer: ReinviteAnswer): void {
    const { request } = transaction;
    const respond = (status: number, extra: ResponseExtra = {}): void =>
      transaction.respond(this.transport.response(transaction, status, extra));
    if (answer === 'ignore') return;
    if (this.#reinviting || this.unacknowledged.size > 0) respond(491);
    else if (typeof answer === 'number') respond(answer);
    else if (answer !== 'answer') respond(answer.status, { headers: [answer.challenge] });
    else {
      this.dialog.refresh(request);
      this.offeredIn2xx = request.body === '';
      this.unacknowledged.set(request.cseq, transaction);
      respond(200, { body: request.body === '' ? this.media.offer() : this.media.answer(request.body) });
    }
  }
}
