// The calling side of an INVITE: places it, follows its responses, cancels it.
import type { MediaOptions, MediaSession } from './media-session.js';
import { SipCall } from './sip-call.js';
import { SipDialog } from './sip-dialog.js';
import { answerChallenge, type Credentials } from './sip-digest.js';
import { SipMessage, type Header, type HostPort } from './sip-message.js';
import type { ClientTransaction } from './sip-transaction.js';
import type { SipTransport } from './sip-transport.js';
import { testimony } from './wait-for.js';

export interface InviteOptions extends MediaOptions {
  /** `offer` (default), `none` for a delayed offer (the 2xx offers, the ACK answers), or an SDP of the test's own. */
  readonly sdp?: string;
  readonly headers?: readonly Header[];
  /** Where the INVITE is sent, if not where its URI points. */
  readonly proxy?: HostPort;
  readonly credentials?: Credentials;
  /** Whole header value; default: the endpoint's own. */
  readonly from?: string;
  readonly callId?: string;
  /** False leaves the 2xx without ACK until `ack()`. Default true. */
  readonly acknowledge?: boolean;
}

export class OutgoingCall extends SipCall {
  readonly #options: InviteOptions;
  readonly #to: HostPort;
  readonly #provisional: SipMessage[] = [];
  #invite: SipMessage;
  #transaction: ClientTransaction | undefined;
  #final: SipMessage | undefined;
  #refuse: (status: number) => void = () => undefined;
  readonly #refused = new Promise<number>(resolve => (this.#refuse = resolve));
  #challenged = false;
  #cancelled = false;
  #ackBody = '';
  /** 2xx responses so far, retransmissions included. */
  successes = 0;

  constructor(transport: SipTransport, media: MediaSession, invite: SipMessage, to: HostPort, options: InviteOptions) {
    super(transport, invite.callId, media);
    this.#options = options;
    this.#to = to;
    const { sdp = 'offer' } = options;
    const body = sdp === 'offer' ? media.offer() : sdp === 'none' ? '' : sdp;
    const typed = body === '' ? invite : invite.with('Content-Type', 'application/sdp');
    this.#invite = new SipMessage(typed.startLine, typed.headers, body);
    this.#send(this.#invite);
  }

  /** The INVITE as it was last sent. */
  get invite(): SipMessage {
    return this.#transaction?.request ?? this.#invite;
  }

  /** Provisional responses so far, each once: what is answered to an INVITE that came again is not. */
  get provisional(): readonly SipMessage[] {
    return this.#provisional;
  }

  /** The final response, or undefined so far. */
  get final(): SipMessage | undefined {
    return this.#final;
  }

  /** Waits for a 180. */
  async ringing(deadlineMs = 15_000): Promise<SipMessage> {
    return this.waitFor('180', () => this.#provisional.find(({ status }) => status === 180), deadlineMs);
  }

  /** Waits for a provisional response with SDP. */
  async earlyMedia(deadlineMs = 15_000): Promise<SipMessage> {
    return this.waitFor('a 18x with SDP', () => this.#provisional.find(({ body }) => body !== ''), deadlineMs);
  }

  /** Waits for the 2xx; a refusal fails at once. */
  async answered(deadlineMs = 20_000): Promise<SipMessage> {
    const final = await this.waitFor('200 to INVITE', () => this.#final, deadlineMs);
    if (final.status < 300) return final;
    throw new Error([`the call was refused: ${final.startLine}`, this.ladder(), ...(await testimony())].join('\n'));
  }

  /** Waits for a final response that is no 2xx, and gives its status. */
  async rejected(deadlineMs = 20_000): Promise<number> {
    const final = await this.waitFor('the call to be refused', () => this.#final, deadlineMs);
    if (final.status >= 300) return final.status;
    throw new Error(`the call was answered\n${this.ladder()}`);
  }

  /** Waits for what comes of this call elsewhere, e.g. for it to arrive; fails with what the caller saw, and at once where it is refused. */
  async reaches<T>(elsewhere: Promise<T>): Promise<T> {
    const refused = this.#refused.then(status => {
      throw new Error(`the call was refused with ${status}`);
    });
    try {
      return await Promise.race([elsewhere, refused]);
    } catch (error) {
      throw new Error(`${String(error)}\nthe caller saw\n${this.ladder()}`, { cause: error });
    }
  }

  /**
   * Sends CANCEL, once there is a provisional response (§9.1), and waits for the INVITE's final response. A 2xx that
   * crossed it is acknowledged and hung up, as a phone does; its status is given all the same.
   */
  async cancel(headers: readonly Header[] = [], deadlineMs = 15_000): Promise<number> {
    await this.waitFor('a response to INVITE', () => this.#final ?? this.#provisional[0], deadlineMs);
    if (!this.#final) this.#sendCancel(headers);
    const final = await this.waitFor('the final response to a cancelled INVITE', () => this.#final, deadlineMs);
    if (final.status < 300) await this.hangup();
    return final.status;
  }

  /** For `acknowledge: false`. */
  ack(): void {
    this.sendAck(this.#invite.cseq, this.#ackBody);
  }

  override close(): void {
    this.#transaction?.stop();
    super.close();
  }

  #send(invite: SipMessage): void {
    this.#transaction = this.transport.transact(invite, this.#to, response => this.#onResponse(response));
  }

  #sendCancel(more: readonly Header[]): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    const { headers, requestUri, cseq, branch } = this.invite;
    const copied = headers.filter(([name]) => /^(max-forwards|route|from|to|call-id)$/i.test(name));
    const cancel = new SipMessage(`CANCEL ${requestUri} SIP/2.0`, [...copied, ['CSeq', `${cseq} CANCEL`], ...more]);
    // §9.1: the branch of what it cancels.
    this.transport.transact(cancel, this.#to, () => undefined, branch);
  }

  #onResponse(response: SipMessage): void {
    if (response.status < 200) this.#onProvisional(response);
    else if (response.status < 300) this.#onSuccess(response);
    else if (!this.#tryCredentials(response)) {
      this.#final ??= response;
      this.#refuse(response.status);
      this.setState('terminated');
    }
  }

  #onProvisional(response: SipMessage): void {
    if (!this.#provisional.some(one => isSame(one, response))) this.#provisional.push(response);
    // A 100 that comes late takes nothing back.
    if (this.state === 'trying') this.setState('proceeding');
    if (response.toTag === '' || response.status === 100) return;
    // A request in the early dialog has counted its CSeq on.
    if (this.dialogState?.remoteTag !== response.toTag) this.dialogState = SipDialog.ofCaller(this.invite, response);
    this.setState('early');
    if (response.body !== '' && this.#invite.body !== '') this.media.accept(response.body);
  }

  #onSuccess(response: SipMessage): void {
    this.successes++;
    if (!this.#final) {
      this.#final = response;
      const dialog = SipDialog.ofCaller(this.invite, response);
      // The early dialog may have been used already (§13.2.2.4: route set anew, CSeq goes on).
      dialog.localCseq = Math.max(dialog.localCseq, this.dialogState?.localCseq ?? 0);
      dialog.remoteCseq = this.dialogState?.remoteCseq ?? -1;
      this.dialogState = dialog;
      this.setState('confirmed');
      if (this.#invite.body === '') this.#ackBody = this.media.answer(response.body);
      else if (response.body !== '') this.media.accept(response.body);
    }
    if (this.#options.acknowledge !== false) this.ack();
  }

  /** A 401 or 407 is answered once. */
  #tryCredentials(response: SipMessage): boolean {
    const { credentials } = this.#options;
    if (!credentials || this.#challenged || (response.status !== 401 && response.status !== 407)) return false;
    const answer = answerChallenge(response, this.#invite, credentials);
    if (!answer) return false;
    this.#challenged = true;
    this.#invite = this.#invite.with('CSeq', `${this.#invite.cseq + 1} INVITE`).with(...answer);
    this.#send(this.#invite);
    return true;
  }
}

/** One that comes again; a reliable one has a number (RFC 3262 §3). */
function isSame(one: SipMessage, other: SipMessage): boolean {
  const factsOf = (response: SipMessage): string =>
    [response.status, response.toTag, response.get('RSeq'), response.body].join(' ');
  return factsOf(one) === factsOf(other);
}
