// What a call needs of its endpoint: an address to name, and a way to send.
import type { ClientTransaction, ServerTransaction } from './sip-transaction.js';
import type { SipLadder } from './sip-ladder.js';
import type { HostPort, SipMessage } from './sip-message.js';

export interface SipTransport {
  readonly ladder: SipLadder;
  readonly address: string;
  /** Our Contact header. */
  readonly contact: string;
  /** Sends a request as it is, with a Via of ours (its own branch) on top; ACK is sent so. Returns what was sent. */
  sendRequest(request: SipMessage, to: HostPort): SipMessage;
  /** Sends a request in a client transaction. */
  transact(
    request: SipMessage,
    to: HostPort,
    onResponse: (response: SipMessage) => void,
    branch?: string,
  ): ClientTransaction;
  /** A response with the headers that §8.2.6.2 wants copied. */
  response(transaction: ServerTransaction, status: number, extra?: ResponseExtra): SipMessage;
}

export interface ResponseExtra {
  readonly reason?: string;
  readonly toTag?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** An SDP. */
  readonly body?: string;
}

/** A client transaction's Timer B or F comes as this status, as §8.1.3.1 wants. */
export const timeoutStatus = 408;
/** And a request that a connection would not take as this one. */
export const unsentStatus = 503;
