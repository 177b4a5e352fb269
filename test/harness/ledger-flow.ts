// Writes the SIP of one dialog as Kamailios show it to the ledger, and knows what the ledger should make of it.
import type { Dialog } from '../../core/ledger/dialog.js';
import type { DialogLedger } from '../../core/ledger/dialog-ledger.js';
import type { Passage } from '../../core/ledger/heard-message.js';
import { scanSip } from '../../core/trace/sip-scanner.js';

export type Side = 'us' | 'them';
export type Direction = NonNullable<Dialog['localSdp']>['direction'];

export interface FlowMessage {
  readonly text: string;
  readonly passage: Passage;
}

interface Fields {
  readonly by: Side;
  readonly method: string;
  readonly cseq: number;
  /** Undefined for a request. */
  readonly status?: number;
  readonly toTag?: string | undefined;
  readonly contact?: boolean;
  readonly sdp?: string | undefined;
  readonly branch?: string;
  readonly headers?: readonly string[];
  readonly node?: string;
}

export interface FlowOptions {
  readonly callId?: string;
  readonly role?: Dialog['role'];
  readonly node?: string;
  readonly legId?: string;
  readonly startMs?: number;
  /** From and To of both sides, without tags. */
  readonly parties?: Readonly<Record<Side, string>>;
  /** URI in their Contact. */
  readonly contact?: string;
  readonly recordRoutes?: readonly string[];
}

/** What is known of the dialog, as long as nothing is lost. */
export type Truth = Pick<
  Dialog,
  'callId' | 'node' | 'localCseq' | 'remoteCseq' | 'routeSet' | 'remoteTarget' | 'localSdp' | 'remoteSdp' | 'legId'
>;

const usualParties = { us: '"Hold \\"fast\\", Inc" <sip:service@holdfast.test>', them: '<sip:1001@holdfast.test>' };

const usualRecordRoutes = [
  '<sip:127.9.7.101:5060;lr;hf=call-1.e7.pcmu.k1.c2lnbmF0dXJlIG9m>',
  '<sip:outside.example;lr;x="a,b">',
];

export class LedgerFlow {
  readonly messages: FlowMessage[] = [];
  readonly callId: string;
  readonly role: Dialog['role'];
  node: string;
  atMs: number;
  readonly tags: Record<Side, string>;
  readonly recordRoutes: readonly string[];
  readonly #parties: Readonly<Record<Side, string>>;
  readonly #legId: string | null;
  readonly #cseq: Record<Side, number | null> = { us: null, them: null };
  readonly #version: Record<Side, number> = { us: 1000, them: 5000 };
  readonly #sdp: Record<Side, Direction | null> = { us: null, them: null };
  #remoteVersion = 0;
  #contact: string;
  #targets = 0;
  #branches = 0;
  #inviteBranch = '';

  constructor(options: FlowOptions = {}) {
    const { callId = 'call-1@test', role = 'uac', node = 'call-1', legId, startMs = 1e12 } = options;
    this.#parties = options.parties ?? usualParties;
    this.#contact = options.contact ?? 'sip:1001@192.0.2.7:5062;ob';
    this.recordRoutes = options.recordRoutes ?? usualRecordRoutes;
    this.callId = callId;
    this.role = role;
    this.node = node;
    this.#legId = role === 'uac' ? (legId ?? null) : null;
    this.atMs = startMs;
    this.tags = { us: `us-${callId.slice(0, 12)}`, them: `them-${callId.slice(0, 12)}` };
  }

  get caller(): Side {
    return this.role === 'uac' ? 'us' : 'them';
  }

  get callee(): Side {
    return this.role === 'uac' ? 'them' : 'us';
  }

  get truth(): Truth {
    const [local, remote] = [this.#sdp.us, this.#sdp.them];
    return {
      ...{ callId: this.callId, node: this.node, legId: this.#legId, remoteTarget: this.#contact },
      ...{ localCseq: this.#cseq.us, remoteCseq: this.#cseq.them },
      routeSet: this.role === 'uac' ? [...this.recordRoutes].reverse() : [...this.recordRoutes],
      localSdp: local && { origin: originOf('us', this.#version.us), direction: local },
      remoteSdp: remote && { origin: originOf('them', this.#remoteVersion), direction: remote },
    };
  }

  /** The whole set-up. `early`: with a provisional answer; `delayed`: the offer is in the 2xx. */
  setUp({ early = false, delayed = false }: { early?: boolean; delayed?: boolean } = {}): this {
    this.invite({ delayed });
    this.provisional(180);
    const answer = this.#body(this.callee, 'sendrecv');
    if (early) this.provisional(183, delayed ? undefined : answer);
    this.respond({
      by: this.caller,
      method: 'INVITE',
      cseq: this.initialCseq,
      status: 200,
      sdp: answer,
      contact: true,
    });
    this.ack(this.initialCseq, delayed ? this.#body(this.caller, 'sendrecv') : undefined);
    this.#agree('sendrecv', 'sendrecv');
    return this;
  }

  get initialCseq(): number {
    return this.role === 'uac' ? 17_000 : 1;
  }

  invite({ delayed = false }: { delayed?: boolean } = {}): void {
    this.#cseq[this.caller] = this.initialCseq;
    this.#inviteBranch = this.#branch();
    const sdp = delayed ? undefined : this.#body(this.caller, 'sendrecv');
    const headers = [
      ...(this.caller === 'them' ? this.recordRoutes.map(route => `Record-Route: ${route}`) : []),
      ...(this.#legId === null ? [] : [`X-Holdfast-Leg: ${this.#legId}`]),
      'Route: <sip:127.9.7.101;lr>',
    ];
    const request = {
      by: this.caller,
      method: 'INVITE',
      cseq: this.initialCseq,
      toTag: '',
      contact: true,
      sdp,
      headers,
    };
    this.push({ ...request, branch: this.#inviteBranch });
  }

  provisional(status: number, sdp?: string, toTag?: string): void {
    this.respond({ by: this.caller, method: 'INVITE', cseq: this.initialCseq, status, sdp, toTag, contact: true });
  }

  /** A response; within the INVITE that makes the dialog with Record-Route. */
  respond(fields: Fields): void {
    const isInitial = fields.method === 'INVITE' && fields.cseq === this.initialCseq && fields.by === this.caller;
    const headers = isInitial ? this.recordRoutes.map(route => `Record-Route: ${route}`) : [];
    this.push({ ...fields, headers });
  }

  ack(cseq: number, sdp?: string, by: Side = this.caller, refused = false): void {
    this.push({ by, method: 'ACK', cseq, sdp, ...(refused ? { branch: this.#inviteBranch } : {}) });
  }

  /** A re-INVITE or UPDATE. `refresh`: whoever may refreshes the remote target. */
  refresh(by: Side, direction: Direction, options: { method?: string; status?: number; refresh?: boolean } = {}): this {
    const { method = 'INVITE', status = 200, refresh = false } = options;
    const cseq = this.next(by);
    const other: Side = by === 'us' ? 'them' : 'us';
    const isOk = status < 300;
    if (refresh && (isOk || by === 'them')) this.#contact = `sip:1001@192.0.2.${10 + ++this.#targets}:5062`;
    this.#inviteBranch = this.#branch();
    const offer = this.#body(by, direction);
    this.push({ by, method, cseq, contact: true, sdp: offer, branch: this.#inviteBranch });
    const answer = isOk ? this.#body(other, mirrored[direction]) : undefined;
    this.push({ by, method, cseq, status, contact: isOk, sdp: answer });
    if (method === 'INVITE') this.ack(cseq, undefined, by, !isOk);
    if (isOk) this.#agree(by === 'us' ? direction : mirrored[direction], by === 'us' ? mirrored[direction] : direction);
    return this;
  }

  /** Another node carries the dialog on. */
  move(node: string, step = 100_000): this {
    this.node = node;
    this.#cseq.us = (this.#cseq.us ?? 0) + step - 1;
    return this.refresh('us', 'sendrecv', { refresh: true });
  }

  info(by: Side): this {
    const cseq = this.next(by);
    this.push({ by, method: 'INFO', cseq });
    this.push({ by, method: 'INFO', cseq, status: 200 });
    return this;
  }

  bye(by: Side, status = 200): this {
    const cseq = this.next(by);
    this.push({ by, method: 'BYE', cseq });
    this.push({ by, method: 'BYE', cseq, status });
    return this;
  }

  next(by: Side): number {
    const cseq = (this.#cseq[by] ?? (by === 'us' ? 20_000 : 300)) + 1;
    this.#cseq[by] = cseq;
    return cseq;
  }

  push(fields: Fields): FlowMessage {
    const message = { text: this.#format(fields), passage: this.#passage(fields) };
    this.messages.push(message);
    return message;
  }

  #passage({ by, status, node = this.node }: Fields): Passage {
    const sentByUs = (status === undefined) === (by === 'us');
    this.atMs += 20;
    return { fromNode: sentByUs ? node : undefined, toNode: sentByUs ? undefined : node, atMs: this.atMs };
  }

  #format({ by, method, cseq, status, contact, sdp, branch = this.#branch(), headers = [], ...rest }: Fields): string {
    const other: Side = by === 'us' ? 'them' : 'us';
    const toTag = rest.toTag ?? this.tags[other];
    const sender = (status === undefined) === (by === 'us') ? 'us' : 'them';
    const target = by === 'us' ? this.#contact : `sip:asterisk@${this.node}:5060`;
    const hasRoutes = by === 'us' && status === undefined && toTag !== '';
    const routes = this.truth.routeSet.map(route => `Route: ${route}`);
    return [
      status === undefined ? `${method} ${target} SIP/2.0` : `SIP/2.0 ${status} Reason`,
      ...(by === 'them' ? [`Via: SIP/2.0/UDP 127.9.7.101:5060;branch=z9hG4bKcyd${branch}`] : []),
      `Via: SIP/2.0/UDP ${by === 'us' ? '127.9.7.31' : '192.0.2.7'}:5060;rport;branch=z9hG4bK${branch}`,
      ...headers,
      ...(hasRoutes ? routes : []),
      `From: ${this.#parties[by]};tag=${this.tags[by]}`,
      `To: ${this.#parties[other]}${toTag === '' ? '' : `;tag=${toTag}`}`,
      `Call-ID: ${this.callId}`,
      `CSeq: ${cseq} ${method}`,
      ...(contact ? [`Contact: <${sender === 'us' ? `sip:asterisk@${this.node}:5060` : this.#contact}>`] : []),
      'Allow: INVITE, ACK, CANCEL, BYE, UPDATE, INFO, PRACK, REFER',
      ...(sdp === undefined ? [] : ['Content-Type: application/sdp']),
      `Content-Length: ${sdp?.length ?? 0}`,
      ...['', sdp ?? ''],
    ].join('\r\n');
  }

  #body(side: Side, direction: Direction): string {
    const origin = originOf(side, ++this.#version[side]);
    const media = ['m=audio 30000 RTP/AVP 0 101', 'a=rtpmap:0 PCMU/8000', `a=${direction}`, 'a=ptime:20', ''];
    return ['v=0', `o=${origin}`, 's=-', 'c=IN IP4 127.9.7.41', 't=0 0', ...media].join('\r\n');
  }

  #agree(local: Direction, remote: Direction): void {
    this.#sdp.us = local;
    this.#sdp.them = remote;
    this.#remoteVersion = this.#version.them;
  }

  #branch(): string {
    return `${this.callId.slice(0, 8)}-${++this.#branches}`;
  }
}

const mirrored: Record<Direction, Direction> = {
  sendrecv: 'sendrecv',
  sendonly: 'recvonly',
  recvonly: 'sendonly',
  inactive: 'inactive',
};

function originOf(side: Side, version: number): string {
  return side === 'us' ? `- 4711 ${version} IN IP4 127.9.7.31` : `phone 88 ${version} IN IP4 192.0.2.7`;
}

export function feed(ledger: DialogLedger, messages: readonly FlowMessage[]): void {
  for (const { text, passage } of messages) {
    const sip = scanSip(Buffer.from(text));
    if (sip) ledger.take(sip, passage);
  }
}

/** What of a dialog is compared with the truth. */
export function truthOf(dialog: Dialog): Truth {
  const { callId, node, localCseq, remoteCseq, routeSet, remoteTarget, localSdp, remoteSdp, legId } = dialog;
  return { callId, node, localCseq, remoteCseq, routeSet, remoteTarget, localSdp, remoteSdp, legId };
}
