// The called side of an INVITE: rings, sends early media, answers, refuses, or waits, as a test says.
import type { MediaOptions, MediaSession } from './media-session.js';
import { SipCall } from './sip-call.js';
import { SipDialog } from './sip-dialog.js';
import type { Header, SipMessage } from './sip-message.js';
import type { ServerTransaction } from './sip-transaction.js';
import type { SipTransport } from './sip-transport.js';

/** What a CANCEL meets: `accept` gives 487; `answer` lets the 200 to INVITE cross it; `ignore` answers neither. */
export type CancelBehaviour = 'accept' | 'answer' | 'ignore';

export class IncomingCall extends SipCall {
  readonly #transaction: ServerTransaction;
  readonly #localTag: string;
  #cancel: SipMessage | undefined;
  /** Set by the first answer to the offer: every later response bears the same SDP (RFC 3261 §13.2.1). */
  #answer: string | undefined;
  onCancel: CancelBehaviour = 'accept';

  constructor(transport: SipTransport, media: MediaSession, transaction: ServerTransaction, localTag: string) {
    super(transport, transaction.request.callId, media);
    this.#transaction = transaction;
    this.#localTag = localTag;
    this.dialogState = SipDialog.ofCallee(transaction.request, localTag);
  }

  get invite(): SipMessage {
    return this.#transaction.request;
  }

  /** The final status that we gave, or 0. */
  get finalStatus(): number {
    return this.#transaction.finalStatus;
  }

  /** For the endpoint. */
  fork(media: MediaSession, localTag: string): IncomingCall {
    return new IncomingCall(this.transport, media, this.#transaction, localTag);
  }

  trying(): void {
    this.#respond(100);
  }

  /** 180. */
  ring(headers: readonly Header[] = []): void {
    this.setState('early');
    this.#respond(180, { headers });
  }

  /** Any other provisional response, e.g. 181 (Call Is Being Forwarded). */
  provisional(status: number): void {
    this.#respond(status);
  }

  /** 183 with SDP: early media flows from here. */
  progress(media: MediaOptions = {}): void {
    this.setState('early');
    this.#respond(183, { body: this.#describe(media) });
  }

  /** 200. Resolves when the ACK is there. */
  async answer(media: MediaOptions = {}, deadlineMs = 20_000): Promise<this> {
    this.#succeed(media);
    return this.confirmed(deadlineMs);
  }

  /** A final response that is no 2xx; resolves when its ACK is there. */
  async reject(status: number, reason?: string, headers: readonly Header[] = []): Promise<void> {
    this.setState('terminated');
    this.#respond(status, { headers, ...(reason === undefined ? {} : { reason }) });
    await this.waitFor(`the ACK to ${status}`, () => this.#transaction.acknowledged);
  }

  /** Waits for a CANCEL. */
  async cancelled(deadlineMs = 15_000): Promise<SipMessage> {
    return this.waitFor('CANCEL', () => this.#cancel, deadlineMs);
  }

  get isCancelled(): boolean {
    return this.#cancel !== undefined;
  }

  /** For the endpoint. */
  receiveCancel(transaction: ServerTransaction): void {
    this.#cancel = transaction.request;
    if (this.onCancel === 'ignore') return;
    const open = this.#transaction.finalStatus === 0;
    if (open && this.onCancel === 'answer') this.#succeed({});
    const toTag = this.#localTag;
    transaction.respond(this.transport.response(transaction, 200, { toTag }));
    if (!open || this.onCancel === 'answer') return;
    this.setState('terminated');
    this.#respond(487);
  }

  override close(): void {
    this.#transaction.stop();
    super.close();
  }

  #succeed(media: MediaOptions): void {
    const { cseq } = this.invite;
    this.offeredIn2xx = this.invite.body === '';
    const body = this.#describe(media);
    this.unacknowledged.set(cseq, this.#transaction);
    this.#respond(200, { body });
  }

  #describe(media: MediaOptions): string {
    const offer = this.invite.body;
    this.#answer ??= offer === '' ? this.media.offer(media) : this.media.answer(offer, media);
    return this.#answer;
  }

  #respond(status: number, extra: { headers?: readonly Header[]; reason?: string; body?: string } = {}): void {
    // 100 makes no dialog, so it has no tag (§8.2.6.2).
    const toTag = status === 100 ? '' : this.#localTag;
    this.#transaction.respond(this.transport.response(this.#transaction, status, { ...extra, toTag }));
  }
}
