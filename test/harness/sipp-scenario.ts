// SIPp scenarios that read as their ladder: the messages of one call, from the point of view of the party that SIPp plays.
import type { Header } from './sip-message.js';

/** What a message bears besides what every message of its kind does. */
export interface Bearing {
  readonly headers?: readonly Header[];
  readonly sdp?: string;
}

/** What a message must be like to be taken; POSIX extended regular expressions. */
export interface Expected {
  /** Default 20 s. */
  readonly withinMs?: number;
  /** The call goes on without it. */
  readonly optional?: boolean;
  readonly header?: readonly [name: string, value: string];
  readonly body?: string;
  /** Variables of SIPp's to keep header values in, by name: `{ rseq: 'RSeq' }` gives `[$rseq]`. */
  readonly keep?: Readonly<Record<string, string>>;
  /** Told to the test when it comes, as `mark()` does; `[found]` in it is what `body` has found. */
  readonly mark?: string;
}

/** Responses that may come before a later one, in any number. */
const provisional = [100, 180, 183];

export class SippScenario {
  readonly name: string;
  readonly #isCaller: boolean;
  readonly #steps: string[] = [];
  /** Of the last request sent, and of the INVITE sent last. */
  #cseq = 0;
  #inviteCseq = 0;
  /** Place of that INVITE among the steps: the ACK to its refusal has its branch (RFC 3261 section 17.1.1.3). */
  #inviteStep = 0;
  #isRefused = false;
  /** What was sent last, and its place among the steps. */
  #sent = { xml: '', step: 0 };
  #hasDialog = false;
  #checks = 0;
  readonly #kept = new Set<string>();

  private constructor(name: string, isCaller: boolean) {
    this.name = name;
    this.#isCaller = isCaller;
  }

  /** SIPp calls the number that the run names. */
  static caller(name: string): SippScenario {
    return new SippScenario(name, true);
  }

  /** SIPp is called; it takes the INVITE first. */
  static callee(name: string, expected: Pick<Expected, 'header'> = {}): SippScenario {
    const scenario = new SippScenario(name, false);
    return scenario.isCalled(expected);
  }

  /** An INVITE that makes a call: `toInvite` answers the latest one. */
  isCalled(expected: Pick<Expected, 'header'> = {}): this {
    this.#steps.push(receiveInvite(this.#actionsOf(expected)));
    this.#hasDialog = true;
    return this;
  }

  /**
   * A request: the INVITE that makes the call, or any in its dialog. ACK has the CSeq of the INVITE sent last. `once`: it is not sent again,
   * and SIPp answers other requests before this one is answered.
   */
  send(method: string, { headers = [], sdp = '', once = method === 'ACK' }: Bearing & { once?: boolean } = {}): this {
    if (method !== 'ACK') this.#cseq++;
    if (method === 'INVITE') {
      this.#inviteCseq = this.#cseq;
      this.#inviteStep = this.#steps.length;
    }
    const before = method === 'ACK' && this.#isRefused ? `-${this.#steps.length - this.#inviteStep}` : '';
    const cseq = method === 'ACK' ? this.#inviteCseq : this.#cseq;
    const target = this.#hasDialog ? '[next_url]' : 'sip:[service]@[remote_ip]:[remote_port]';
    const lines = [
      `${method} ${target} SIP/2.0`,
      `Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch${before}];rport`,
      'Max-Forwards: 70',
      ...(this.#hasDialog ? ['[routes]'] : []),
      ...this.#parties(),
      'Call-ID: [call_id]',
      `CSeq: ${cseq} ${method}`,
      ...(method === 'ACK' || method === 'BYE' ? [] : [contact]),
      ...written(headers),
    ];
    return this.#send(sending(lines, sdp, once ? '' : ' retrans="500"'));
  }

  /** A response to the request received last; `toInvite`: to the INVITE that made the call, whatever came since. */
  respond(status: number, bearing: Bearing & { readonly toInvite?: boolean; readonly tag?: string } = {}): this {
    const { headers = [], sdp = '', toInvite = false, tag } = bearing;
    const copied = toInvite
      ? [
          'Via: [$via1]',
          'Via: [$via2]',
          'Record-Route: [$route]',
          'From: [$from]',
          `To: [$to];tag=${tag ?? ownTag}`,
          'Call-ID: [call_id]',
          'CSeq: [$cseq]',
        ]
      : ['[last_Via:]', '[last_From:]', '[last_To:]', '[last_Call-ID:]', '[last_CSeq:]'];
    const lines = [`SIP/2.0 ${status} ${reasons[status] ?? 'Whatever'}`, ...copied, contact, ...written(headers)];
    return this.#send(sending(lines, sdp, toInvite && status >= 200 ? ' retrans="500"' : ''));
  }

  /** What was sent last is sent again. A response that is none to the INVITE only while nothing else has come. */
  again(): this {
    const { xml, step } = this.#sent;
    this.#steps.push(xml.replace('branch=[branch]', `branch=[branch-${this.#steps.length - step}]`));
    return this;
  }

  #send(xml: string): this {
    this.#sent = { xml, step: this.#steps.length };
    this.#steps.push(xml);
    return this;
  }

  /** Waits for a request, or for a response to the request sent last. Any other message fails the call. */
  expect(what: number | string, expected: Expected = {}): this {
    const isResponse = typeof what === 'number';
    if (isResponse && what > 100) {
      const earlier = provisional.filter(status => status < what);
      for (const status of earlier) this.#steps.push(`<recv response="${status}" optional="true"/>`);
    }
    const { withinMs = 20_000, optional = false } = expected;
    const attributes = [
      isResponse ? `response="${what}"` : `request="${what}"`,
      optional ? 'optional="true"' : `timeout="${withinMs}"`,
      ...(isResponse && !this.#hasDialog && what > 100 && what < 300 ? ['rrs="true"'] : []),
    ];
    const actions = this.#actionsOf(expected);
    this.#steps.push(
      actions === ''
        ? `<recv ${attributes.join(' ')}/>`
        : `<recv ${attributes.join(' ')}><action>${actions}</action></recv>`,
    );
    if (isResponse && what > 100 && what < 300) this.#hasDialog = true;
    if (isResponse && what >= 200) this.#isRefused = what >= 300;
    return this;
  }

  /** Tells the test that the scenario has come here. */
  mark(name: string): this {
    this.#steps.push(`<nop><action>${logged(name)}</action></nop>`);
    return this;
  }

  pause(ms: number): this {
    this.#steps.push(`<pause milliseconds="${ms}"/>`);
    return this;
  }

  /** An INVITE (delayed where there is no SDP) that is answered. */
  call(bearing: Bearing = { sdp: audioSdp() }): this {
    return this.send('INVITE', bearing).expect(200).send('ACK');
  }

  /** Rings and answers. */
  answer(bearing: Bearing = { sdp: audioSdp() }): this {
    return this.respond(180, { toInvite: true })
      .pause(100)
      .respond(200, { ...bearing, toInvite: true })
      .expect('ACK');
  }

  hangUp(): this {
    return this.send('BYE').expect(200);
  }

  /** The other side hangs up. */
  isHungUp(withinMs = 60_000): this {
    return this.expect('BYE', { withinMs }).respond(200);
  }

  get xml(): string {
    const references = this.#isCaller ? [] : ['via1', 'via2', 'route', 'from', 'to', 'cseq'];
    const checks = Array.from({ length: this.#checks }, (_, i) => `check${i + 1}`);
    const variables = [...references, ...this.#kept, ...checks].join(',');
    return `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="${this.name}">
${this.#steps.join('\n')}
${variables === '' ? '' : `<Reference variables="${variables}"/>`}
</scenario>
`;
  }

  #parties(): string[] {
    if (!this.#isCaller) return [`From: [$to];tag=${ownTag}`, 'To: [$from]'];
    const own = `<sip:sipp@[local_ip]:[local_port]>;tag=${ownTag}`;
    return [
      `From: ${own}`,
      `To: <sip:[service]@[remote_ip]:[remote_port]>${this.#hasDialog ? '[peer_tag_param]' : ''}`,
    ];
  }

  #actionsOf({ header, body, keep = {}, mark }: Expected): string {
    for (const name of Object.keys(keep)) this.#kept.add(name);
    const check = (where: string, regexp: string): string =>
      `<ereg regexp="${escaped(regexp)}" ${where} check_it="true" assign_to="check${++this.#checks}"/>`;
    return [
      ...(header ? [check(`search_in="hdr" header="${header[0]}:"`, header[1])] : []),
      ...(body === undefined ? [] : [check('search_in="body"', body)]),
      ...Object.entries(keep).map(
        ([variable, name]) => `<ereg regexp="[^ ]+" search_in="hdr" header="${name}:" assign_to="${variable}"/>`,
      ),
      ...(mark === undefined ? [] : [logged(mark.replace('[found]', `[$check${this.#checks}]`))]),
    ].join('');
  }
}

export interface SdpOptions {
  /** Added to the run's media port, on which SIPp echoes: 0 or 2. */
  readonly portOffset?: 0 | 2;
  readonly version?: number;
  readonly payloadTypes?: readonly number[];
  readonly direction?: string;
  /** Default: the run's address. */
  readonly address?: string;
  /** Whole streams, `m=` lines with what belongs to them, before and after the audio. */
  readonly before?: readonly string[];
  readonly after?: readonly string[];
}

/** One audio stream that SIPp echoes, and perhaps others. */
export function audioSdp(options: SdpOptions = {}): string {
  const { portOffset = 0, version = 1, payloadTypes = [8], direction = 'sendrecv', address = '[media_ip]' } = options;
  return [
    ...['v=0', `o=sipp 1 ${version} IN IP4 [local_ip]`, 's=-', `c=IN IP4 ${address}`, 't=0 0'],
    ...(options.before ?? []),
    `m=audio [media_port${portOffset === 0 ? '' : `+${portOffset}`}] RTP/AVP ${payloadTypes.join(' ')} 101`,
    ...['a=rtpmap:101 telephone-event/8000', 'a=fmtp:101 0-16', `a=${direction}`],
    ...(options.after ?? []),
  ].join('\n');
}

const ownTag = '[pid]t[call_number]';
const contact = 'Contact: <sip:sipp@[local_ip]:[local_port]>';

const reasons: Readonly<Record<number, string>> = {
  100: 'Trying',
  180: 'Ringing',
  183: 'Session Progress',
  200: 'OK',
  422: 'Session Interval Too Small',
  491: 'Request Pending',
};

/** Kept, as other messages may come between it and the response. Two Vias: the edge's and the Asterisk's. */
const receiveInvite = (more: string): string => `<recv request="INVITE" rrs="true" timeout="60000"><action>
<ereg regexp="SIP.*" search_in="hdr" header="Via:" assign_to="via1"/>
<ereg regexp="SIP.*" search_in="hdr" header="Via:" occurrence="2" assign_to="via2"/>
<ereg regexp="&lt;.*" search_in="hdr" header="Record-Route:" assign_to="route"/>
<ereg regexp="[^ ].*" search_in="hdr" header="From:" assign_to="from"/>
<ereg regexp="[^ ].*" search_in="hdr" header="To:" assign_to="to"/>
<ereg regexp="[0-9].*" search_in="hdr" header="CSeq:" assign_to="cseq"/>
${more}</action></recv>`;

function sending(lines: readonly string[], sdp: string, attributes: string): string {
  const typed =
    sdp === ''
      ? ['Content-Length: 0', '', '']
      : ['Content-Type: application/sdp', 'Content-Length: [len]', '', sdp, ''];
  return `<send${attributes}><![CDATA[\n${[...lines, ...typed].join('\n')}\n]]></send>`;
}

function logged(mark: string): string {
  return `<log message="${mark}"/>`;
}

function written(headers: readonly Header[]): string[] {
  return headers.map(([name, value]) => `${name}: ${value}`);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
