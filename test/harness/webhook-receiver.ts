// A receiver of call records as its owner would write it: checks the signature, knows deliveries again, may be out of order.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CallDetailRecord } from '../../core/calls/call-facts.js';
import { waitFor } from './wait-for.js';

export interface Delivery {
  readonly id: string;
  readonly records: readonly CallDetailRecord[];
}

/** What a receiver does with a delivery: answer with a status (and headers), or never. */
export type Answer =
  { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string } | 'silence';

export class WebhookReceiver {
  readonly #server: Server;
  readonly #secret: string;
  /** Every attempt with a valid signature, in order. */
  readonly attempts: Delivery[] = [];
  /** What was taken, each delivery once. */
  readonly taken: Delivery[] = [];
  readonly forged: string[] = [];
  /** Decides on an attempt; default: 204. */
  answer: (delivery: Delivery, attempt: number) => Answer = () => ({ status: 204 });

  private constructor(secret: string) {
    this.#secret = secret;
    this.#server = createServer((request, response) => void this.#receive(request, response));
  }

  static async open(secret: string, address = '127.0.0.1', port = 0): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver(secret);
    await new Promise<void>(resolve => receiver.#server.listen(port, address, resolve));
    return receiver;
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}/records?token=hidden`;
  }

  /** Call ids of what was taken, in order. */
  get callIds(): string[] {
    return this.taken.flatMap(({ records }) => records.map(({ callId }) => callId));
  }

  async takes(count: number, deadlineMs = 15_000): Promise<void> {
    const describe = (): string => `${this.callIds.length} of ${count} taken in ${this.attempts.length} attempts`;
    await waitFor(`${count} records`, () => this.callIds.length >= count, { deadlineMs, everyMs: 5, describe });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => this.#server.close(resolve));
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await wholeBody(request);
    // Its sender died before the end of it: nothing has come.
    if (body === undefined) return;
    const header = (name: string): string => String(request.headers[name] ?? '');
    if (!this.#isSigned(header('webhook-id'), header('webhook-timestamp'), header('webhook-signature'), body)) {
      this.forged.push(body);
      response.writeHead(401).end();
      return;
    }
    const { records } = JSON.parse(body) as { records: CallDetailRecord[] };
    const delivery = { id: header('idempotency-key'), records };
    const answer = this.answer(delivery, this.attempts.push(delivery));
    const taken = answer === 'silence' || (answer.status >= 200 && answer.status < 300);
    // A receiver that is cut off before its answer has the records all the same.
    if (taken && !this.taken.some(({ id }) => id === delivery.id)) this.taken.push(delivery);
    if (answer !== 'silence') response.writeHead(answer.status, answer.headers).end(answer.body);
  }

  #isSigned(id: string, timestamp: string, signature: string, body: string): boolean {
    const wanted = createHmac('sha256', this.#secret).update(`${id}.${timestamp}.${body}`).digest();
    const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
    const fresh = Math.abs(Date.now() / 1000 - Number(timestamp)) < 300;
    return fresh && given.length === wanted.length && timingSafeEqual(given, wanted);
  }
}

async function wholeBody(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  try {
    for await (const part of request) parts.push(part as Buffer);
    return Buffer.concat(parts).toString();
  } catch {
    return undefined;
  }
}
