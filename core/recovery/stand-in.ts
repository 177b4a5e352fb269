// Says in a dead Asterisk's stead what the phones wait for: final responses, CANCELs, BYEs, from the daemon's own address.
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { ports } from '../farm/farm-plan.js';
import { openSipSocket } from '../host/sip-socket.js';
import type { Dialog, OpenInvite } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import { scanSip, type SipMessage } from '../trace/sip-scanner.js';
import { cseqStep } from './recovery-variables.js';

export interface StandInOptions {
  /** The daemon's own address; the Kamailios take its SIP as an Asterisk's. */
  readonly address: string;
  readonly privateVip: string;
  readonly log: Logger;
}

/** Timer E of RFC 3261 §17.1.2.2, as far as it is worth while. */
const retransmitAfterMs = [500, 1000, 2000, 4000];
/** A response is sent again without being asked: its ACK goes to a node that knows nothing of it. */
const repeatAfterMs = [500, 1000, 2000];
const deadlineMs = 8_000;
/** What is sent next passes another Kamailio and may overtake the ACK (seen). */
const ackLeadMs = 100;
const longestBytes = 8_192;
/** RFC 3261 §8.1.1.5 */
const largestCseq = 2 ** 31 - 1;

type Header = readonly [name: string, value: string];

export class StandIn {
  readonly #options: StandInOptions;
  /** By branch and method: whoever waits for the final response to a request of ours. */
  readonly #waiting = new Map<string, (status: number | undefined) => void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #socket: Socket | undefined;

  constructor(options: StandInOptions) {
    this.#options = options;
  }

  /** Throws ADDRESS_TAKEN. */
  async open(): Promise<void> {
    const { address, log } = this.#options;
    const socket = await openSipSocket(address, 'the stand-in', log);
    // They come from a Kamailio's own address, not from the VIP: nothing but the branch tells whose they are.
    socket.on('message', data => this.#onMessage(scanSip(data)));
    this.#socket = socket;
  }

  /** Whoever still waits for a response has none. */
  close(): void {
    for (const done of this.#waiting.values()) done(undefined);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** The final response to an INVITE that a dead Asterisk received (RFC 3261 §8.2.6), with the To tag that it gave before. */
  async refuse(invite: OpenInvite, status: number, reason: string): Promise<void> {
    const tag = invite.toTags.at(-1) ?? randomBytes(6).toString('hex');
    const response = format(`SIP/2.0 ${status} ${reason}`, [
      ...invite.vias.map((via): Header => ['Via', via]),
      ['From', invite.from],
      ['To', `${invite.to};tag=${tag}`],
      ['Call-ID', invite.callId],
      ['CSeq', `${invite.cseq} INVITE`],
    ]);
    if (response && invite.vias.length > 0) this.#repeat(response, repeatAfterMs);
  }

  /** CANCEL of an INVITE that a dead Asterisk sent: the same topmost Via, so that the far end finds it (§9.1). */
  async cancel(invite: OpenInvite): Promise<number | undefined> {
    const [via = ''] = invite.vias;
    // Its response finds us by the `received` that the Kamailio adds: the address of the dead Asterisk is not ours.
    return this.#transact('CANCEL', via, invite.requestUri, [
      ...invite.routes.map((route): Header => ['Route', route]),
      ['From', invite.from],
      ['To', invite.to],
      ['Call-ID', invite.callId],
      ['CSeq', `${invite.cseq} CANCEL`],
    ]);
  }

  /** A far end answered an INVITE of a dead Asterisk's, and was never acknowledged: it gets its ACK, and a BYE. */
  async acknowledgeAndBye(invite: OpenInvite): Promise<number | undefined> {
    const answer = invite.answeredBy;
    if (!answer) return this.cancel(invite);
    const dialog: Header[] = [
      ...[...answer.recordRoutes].reverse().map((route): Header => ['Route', route]),
      ['From', invite.from],
      ['To', `${invite.to};tag=${answer.toTag}`],
      ['Call-ID', invite.callId],
    ];
    const ack: Header[] = [['Via', this.#newVia()], ...common, ...dialog, ['CSeq', `${invite.cseq} ACK`]];
    const message = format(`ACK ${answer.contact} SIP/2.0`, ack);
    if (!message) return undefined;
    this.#send(message);
    await sleep(ackLeadMs, undefined, { ref: false });
    return this.#transact('BYE', this.#newVia(), answer.contact, [...dialog, ['CSeq', `${invite.cseq + 1} BYE`]]);
  }

  /** BYE in a dialog that nobody carries on. Resolves with the status of its final response, undefined where there was none. */
  async bye(dialog: Dialog, reason = 'SIP;cause=503;text="Node lost"'): Promise<number | undefined> {
    const { local, remote, remoteTarget, routeSet, callId, localCseq } = dialog;
    if (remoteTarget === null || local.tag === null || remote.tag === null) return undefined;
    return this.#transact('BYE', this.#newVia(), remoteTarget, [
      ...routeSet.map((route): Header => ['Route', route]),
      ['From', `<${local.uri}>;tag=${local.tag}`],
      ['To', `<${remote.uri}>;tag=${remote.tag}`],
      ['Call-ID', callId],
      ['CSeq', `${Math.min((localCseq ?? 0) + cseqStep + 1, largestCseq)} BYE`],
      ['Reason', reason],
    ]);
  }

  async #transact(method: string, via: string, uri: string, headers: readonly Header[]): Promise<number | undefined> {
    const branch = /;\s*branch=([^;\s]+)/i.exec(via)?.[1];
    const request = format(`${method} ${uri} SIP/2.0`, [['Via', via], ...common, ...headers]);
    if (!request || branch === undefined || !this.#socket) return undefined;
    const key = `${branch} ${method}`;
    return new Promise(resolve => {
      const timers: NodeJS.Timeout[] = [];
      this.#waiting.get(key)?.(undefined);
      this.#waiting.set(key, status => {
        this.#waiting.delete(key);
        for (const timer of timers) this.#clear(timer);
        resolve(status);
      });
      this.#repeat(request, retransmitAfterMs, timers);
      timers.push(this.#later(deadlineMs, () => this.#waiting.get(key)?.(undefined)));
    });
  }

  #onMessage(message: SipMessage | undefined): void {
    const branch = message?.vias[0]?.branch;
    if (message?.status === undefined || message.status < 200 || branch === undefined) return;
    this.#waiting.get(`${branch} ${message.method}`)?.(message.status);
  }

  /** Sends now, and again after each of these intervals. */
  #repeat(message: Buffer, intervalsMs: readonly number[], timers: NodeJS.Timeout[] = []): void {
    this.#send(message);
    let atMs = 0;
    for (const ms of intervalsMs) timers.push(this.#later((atMs += ms), () => this.#send(message)));
  }

  #newVia(): string {
    const { address } = this.#options;
    return `SIP/2.0/UDP ${address}:${this.#socket?.address().port ?? 0};branch=z9hG4bK${randomBytes(9).toString('hex')};rport`;
  }

  #send(message: Buffer): void {
    this.#socket?.send(message, ports.sip, this.#options.privateVip, () => undefined);
  }

  #later(ms: number, work: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer.unref());
    return timer;
  }

  #clear(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#timers.delete(timer);
  }
}

const common: readonly Header[] = [['Max-Forwards', '70']];

/**
 * Values come from the wire: one that would end a header or split the start line, and a message too long to be sent, make
 * none at all.
 */
function format(startLine: string, headers: readonly Header[]): Buffer | undefined {
  const lines = [startLine, ...headers.map(([name, value]) => `${name}: ${value}`), 'Content-Length: 0'];
  if (!/^(SIP\/2\.0 \d{3} .*|[A-Z]+ \S+ SIP\/2\.0)$/.test(startLine)) return undefined;
  if (lines.some(line => /[\r\n\0]/.test(line))) return undefined;
  const message = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
  return message.length > longestBytes ? undefined : message;
}
