// Client and server transactions (RFC 3261 §17), with the retransmissions that make a test endpoint a real one.
import { SipMessage } from './sip-message.js';

export const t1Ms = 500;
const t2Ms = 4000;
/** Timers B, F and H, and how long a transaction is remembered. */
const timeoutMs = 64 * t1Ms;

/** Sends again after T1, doubled each time up to `most`, until stopped. */
class Retransmission {
  #timer: NodeJS.Timeout | undefined;

  start(send: () => void, most: number): void {
    this.stop();
    const again = (intervalMs: number): void => {
      this.#timer = setTimeout(() => {
        send();
        again(Math.min(2 * intervalMs, most));
      }, intervalMs);
    };
    again(t1Ms);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

export interface ClientTransactionUser {
  readonly send: (message: SipMessage) => void;
  /** Every response but retransmissions; a 2xx to INVITE each time it comes (§13.2.2.4). */
  readonly onResponse: (response: SipMessage) => void;
  /** Timer B or F: no final response in 32 s. */
  readonly onTimeout: () => void;
  /** Over TCP nothing is sent again. */
  readonly reliable?: boolean;
}

export class ClientTransaction {
  readonly request: SipMessage;
  readonly #user: ClientTransactionUser;
  readonly #retransmission = new Retransmission();
  readonly #timeout: NodeJS.Timeout;
  #finalStatus = 0;

  constructor(request: SipMessage, user: ClientTransactionUser) {
    this.request = request;
    this.#user = user;
    user.send(request);
    const isInvite = request.method === 'INVITE';
    if (user.reliable !== true) this.#retransmission.start(() => user.send(request), isInvite ? timeoutMs : t2Ms);
    this.#timeout = setTimeout(() => this.#onTimeout(), timeoutMs);
  }

  receive(response: SipMessage): void {
    const isInvite = this.request.method === 'INVITE';
    const { status } = response;
    // A provisional response ends Timer A; a non-INVITE request goes on at T2, which no test waits for.
    this.#retransmission.stop();
    if (status < 200) {
      // A caller may ring for longer than Timer B (§17.1.1.2: it runs in Calling only).
      if (isInvite) clearTimeout(this.#timeout);
      if (this.#finalStatus === 0) this.#user.onResponse(response);
      return;
    }
    const first = this.#finalStatus === 0;
    this.#finalStatus = status;
    clearTimeout(this.#timeout);
    if (isInvite && status >= 300) this.#user.send(this.#ack(response));
    if (first || (isInvite && status < 300)) this.#user.onResponse(response);
  }

  stop(): void {
    this.#retransmission.stop();
    clearTimeout(this.#timeout);
  }

  #onTimeout(): void {
    this.#retransmission.stop();
    if (this.#finalStatus === 0) this.#user.onTimeout();
  }

  /** §17.1.1.3: of the same transaction, so same Via, Request-URI and Route. */
  #ack(response: SipMessage): SipMessage {
    const { request } = this;
    const headers = request.headers.filter(([name]) => /^(via|max-forwards|from|call-id|route)$/i.test(name));
    return new SipMessage(`ACK ${request.requestUri} SIP/2.0`, [
      ...headers,
      ['To', response.get('To')],
      ['CSeq', `${request.cseq} ACK`],
    ]);
  }
}

export interface ServerTransactionUser {
  readonly send: (message: SipMessage) => void;
  /** Timer H: a final response to INVITE that nobody acknowledged in 32 s. */
  readonly onTimeout?: () => void;
  /** Over TCP only a 2xx to INVITE is repeated: what is after the proxy may lose it. */
  readonly reliable?: boolean;
}

export class ServerTransaction {
  readonly request: SipMessage;
  readonly #user: ServerTransactionUser;
  readonly #retransmission = new Retransmission();
  #timeout: NodeJS.Timeout | undefined;
  #last: SipMessage | undefined;
  #acknowledged = false;

  constructor(request: SipMessage, user: ServerTransactionUser) {
    this.request = request;
    this.#user = user;
  }

  /** The final status sent, or 0. */
  get finalStatus(): number {
    return this.#last && this.#last.status >= 200 ? this.#last.status : 0;
  }

  get acknowledged(): boolean {
    return this.#acknowledged;
  }

  /** A final response to INVITE is repeated until its ACK: non-2xx by §17.2.1, 2xx by §13.3.1.4. */
  respond(response: SipMessage): void {
    if (this.finalStatus !== 0) throw new Error(`${this.request.method} was answered already: ${this.finalStatus}`);
    this.#last = response;
    this.#user.send(response);
    if (response.status < 200 || this.request.method !== 'INVITE') return;
    const again = this.#user.reliable !== true || response.status < 300;
    if (again) this.#retransmission.start(() => this.#user.send(response), t2Ms);
    this.#timeout = setTimeout(() => {
      this.stop();
      this.#user.onTimeout?.();
    }, timeoutMs);
  }

  /** The request came again. */
  receiveAgain(): void {
    if (this.#last && !this.#acknowledged) this.#user.send(this.#last);
  }

  receiveAck(): void {
    this.#acknowledged = true;
    this.stop();
  }

  stop(): void {
    this.#retransmission.stop();
    clearTimeout(this.#timeout);
  }
}
