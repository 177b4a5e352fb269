// For the tests of patches/0002: a far end that says exactly what a test tells it to, and the variables that describe its dialog.
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { SipMessage, splitList, uriOf, type Header, type HostPort } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

/** One side of a dialog as From and To carry it. */
export interface Party {
  /** As a person reads it: without quotes and escapes. */
  readonly display: string;
  readonly uri: string;
  readonly tag: string;
}

export function partyOf(header: string): Party {
  const quoted = /^\s*"((?:\\.|[^"\\])*)"/.exec(header)?.[1]?.replace(/\\(.)/g, '$1');
  const display = quoted ?? /^([^<"]*)</.exec(header)?.[1]?.trim() ?? '';
  return { display, uri: uriOf(header), tag: /;tag=([^;\s]+)/.exec(header.replace(/^.*>/, ''))?.[1] ?? '' };
}

export function originOf(message: SipMessage): string {
  return /^o=(.*?)\r?$/m.exec(message.body)?.[1] ?? '';
}

export function directionOf(message: SipMessage): string {
  return /^a=(sendrecv|sendonly|recvonly|inactive)\r?$/m.exec(message.body)?.[1] ?? 'sendrecv';
}

/** The same origin, its version higher by this (RFC 3264 §8). */
export function originPlus(origin: string, step: number): string {
  return origin.replace(
    /^(\S+ \d+) (\d+)/,
    (_, head: string, version: string) => `${head} ${BigInt(version) + BigInt(step)}`,
  );
}

/**
 * Phone and edge in one, on the private VIP of a farm. It speaks of one dialog, its own way: `local` and `remote` are From and
 * To values as it writes them.
 */
export class WirePhone {
  readonly address: string;
  readonly received: SipMessage[] = [];
  callId = `${token()}@phone`;
  local = `<sip:phone@holdfast.test>;tag=${token()}`;
  remote = '<sip:70001@holdfast.test>';
  cseq = 100;
  sdpVersion = 1;
  /** Where requests go, as the edge would send them. */
  peer: HostPort;
  /** The Contact of the other side. */
  target = '';
  /** Record-Route rows of what begins the dialog. */
  recordRoutes: readonly string[] = [];
  contact = '';
  readonly #socket: Socket;

  private constructor(address: string, socket: Socket) {
    this.address = address;
    this.contact = `<sip:phone@${address}:5060>`;
    this.peer = { address, port: 5060 };
    this.#socket = socket;
    socket.on('message', data => this.#onDatagram(data));
  }

  static async open(address: string): Promise<WirePhone> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(5060, address, resolve);
    });
    return new WirePhone(address, socket);
  }

  close(): void {
    this.#socket.close();
  }

  /** A new dialog, of which nothing has been said yet. */
  begin(): void {
    this.callId = `${token()}@phone`;
    this.local = `<sip:phone@holdfast.test>;tag=${token()}`;
    this.remote = '<sip:70001@holdfast.test>';
    this.recordRoutes = [];
    this.contact = `<sip:phone@${this.address}:5060>`;
    this.target = '';
    [this.cseq, this.sdpVersion] = [100, 1];
  }

  sdp(direction = 'sendrecv'): string {
    return [
      ...['v=0', `o=phone 4711 ${this.sdpVersion} IN IP4 ${this.address}`, 's=-', `c=IN IP4 ${this.address}`, 't=0 0'],
      ...['m=audio 40000 RTP/AVP 0', 'a=rtpmap:0 PCMU/8000', `a=${direction}`, ''],
    ].join('\r\n');
  }

  /** Sends a request of this dialog, and gives its final response. */
  async request(
    method: string,
    { headers = [], body = '', cseq = ++this.cseq }: { headers?: readonly Header[]; body?: string; cseq?: number } = {},
  ): Promise<SipMessage> {
    const branch = this.#send(method, cseq, headers, body);
    const final = (): SipMessage | undefined =>
      this.received.find(message => message.status >= 200 && message.branch === branch);
    const response = await waitFor(`an answer to ${method}`, final, { everyMs: 5, describe: () => this.describe() });
    if (response.status < 300 && response.get('Contact') !== '') this.target = uriOf(response.get('Contact'));
    if (response.status < 300 && method === 'INVITE') this.remote = response.get('To');
    if (method === 'INVITE') this.#send('ACK', cseq, [], '', response.status < 300 ? undefined : branch);
    return response;
  }

  /** An INVITE or a re-INVITE with an offer. */
  async invite(direction = 'sendrecv', offer: { cseq?: number } = {}): Promise<SipMessage> {
    const routes = this.recordRoutes.map((route): Header => ['Record-Route', route]);
    this.sdpVersion++;
    const headers: Header[] = [...routes, ['Content-Type', 'application/sdp']];
    return this.request('INVITE', { ...offer, headers, body: this.sdp(direction) });
  }

  /** The first request with that method, of this dialog or of none yet (it becomes this one), that nobody has taken. */
  async next(method: string): Promise<SipMessage> {
    const find = (): SipMessage | undefined =>
      this.received.find(
        one => one.isRequest && one.method === method && (one.callId === this.callId || one.toTag === ''),
      );
    const found = await waitFor(method, find, { everyMs: 5, describe: () => this.describe() });
    this.received.splice(this.received.indexOf(found), 1);
    if (method === 'INVITE' && found.toTag === '') {
      this.callId = found.callId;
      this.local = `${found.get('To')};tag=${token()}`;
      this.remote = found.get('From');
    }
    return found;
  }

  /** Waits for an INVITE, answers it 200 and gets the ACK. */
  async accept(direction = 'sendrecv'): Promise<{ invite: SipMessage; ack: SipMessage }> {
    const invite = await this.next('INVITE');
    this.target = uriOf(invite.get('Contact'));
    this.peer = peerOf(invite);
    this.sdpVersion++;
    const routes = this.recordRoutes.map((route): Header => ['Record-Route', route]);
    this.respond(invite, 200, [...routes, ['Content-Type', 'application/sdp']], this.sdp(direction));
    return { invite, ack: await this.next('ACK') };
  }

  respond(request: SipMessage, status: number, headers: readonly Header[] = [], body = ''): void {
    const copied = request.headers.filter(([name]) => /^(via|from|call-id|cseq)$/i.test(name));
    const to: Header = ['To', request.toTag === '' ? this.local : request.get('To')];
    const response = new SipMessage(
      `SIP/2.0 ${status} Told`,
      [...copied, to, ['Contact', this.contact], ...headers],
      body,
    );
    this.#write(response, peerOf(request));
  }

  describe(): string {
    return this.received.map(message => message.toString()).join('\n');
  }

  #send(method: string, cseq: number, headers: readonly Header[], body: string, branch = `z9hG4bK${token()}`): string {
    const uri = this.target === '' ? `sip:70001@${this.peer.address}:${this.peer.port}` : this.target;
    const message = new SipMessage(
      `${method} ${uri} SIP/2.0`,
      [
        ['Via', `SIP/2.0/UDP ${this.address}:5060;branch=${branch}`],
        ['Max-Forwards', '70'],
        ['From', this.local],
        ['To', this.remote],
        ['Call-ID', this.callId],
        ['CSeq', `${cseq} ${method}`],
        ['Contact', this.contact],
        ...headers,
      ],
      body,
    );
    this.#write(message, this.peer);
    return branch;
  }

  #write(message: SipMessage, to: HostPort): void {
    this.#socket.send(message.toString(), to.port, to.address);
  }

  #onDatagram(data: Buffer): void {
    const message = SipMessage.parse(data);
    if (!message) return;
    const again = this.#seen.has(keyOf(message));
    this.#seen.add(keyOf(message));
    if (!again) this.received.push(message);
  }

  readonly #seen = new Set<string>();
}

/**
 * The variables that carry on a dialog as its far end knows it. `last` is the latest message of the Asterisk with an SDP, `cseq`
 * the number of the re-INVITE.
 */
export function recoveryOf(
  phone: WirePhone,
  last: SipMessage,
  routes: readonly string[],
  cseq: number,
): Record<string, string> {
  const [from, to] = [partyOf(phone.remote), partyOf(phone.local)];
  return {
    'PJSIP_RECOVERY_CALL-ID': phone.callId,
    PJSIP_RECOVERY_CSEQ: String(cseq),
    PJSIP_RECOVERY_FROM_DISPLAY: from.display,
    PJSIP_RECOVERY_FROM_URI: from.uri,
    PJSIP_RECOVERY_FROM_TAG: from.tag,
    PJSIP_RECOVERY_TO_DISPLAY: to.display,
    PJSIP_RECOVERY_TO_URI: to.uri,
    PJSIP_RECOVERY_TO_TAG: to.tag,
    PJSIP_RECOVERY_ROUTES: routes.join(','),
    PJSIP_RECOVERY_REQUEST_URI: uriOf(phone.contact),
    PJSIP_RECOVERY_REMOTE_CSEQ: String(phone.cseq),
    PJSIP_RECOVERY_SDP_ORIGIN: originOf(last),
    PJSIP_RECOVERY_SDP_DIRECTION: directionOf(last),
  };
}

/** A new dialog that the phone believes to be in, both its sides named so, and the variables that carry it on; it has no routes. */
export function imagine(phone: WirePhone, party = '<sip:a@b.invalid>'): Record<string, string> {
  phone.begin();
  phone.local = `${party};tag=${token()}`;
  phone.remote = `${party};tag=${token()}`;
  return recoveryOf(phone, new SipMessage('', []), [], 5000);
}

/** All Route headers, one route an item. */
export function routesOf(request: SipMessage): readonly string[] {
  return request.all('Route').flatMap(splitList);
}

function peerOf(request: SipMessage): HostPort {
  const sentBy = /^\S+\s+([\d.]+):(\d+)/.exec(request.get('Via'));
  return { address: sentBy?.[1] ?? '', port: Number(sentBy?.[2]) };
}

function keyOf(message: SipMessage): string {
  return `${message.branch} ${message.method} ${message.status}`;
}

function token(): string {
  return randomBytes(6).toString('hex');
}
