// The two ends of each call, as SIPp scenarios: with or without audio, a password, SRTP.

export interface CallerOptions {
  /** As the Via has it. */
  readonly transport: 'UDP' | 'TCP' | 'TLS';
  readonly user: string;
  readonly domain: string;
  /** Where it is asked for one. */
  readonly password?: string;
  readonly audio: 'none' | 'RTP/AVP' | 'RTP/SAVP';
  readonly holdMs: number;
}

export function caller(options: CallerOptions): { readonly xml: string } {
  const { password, holdMs } = options;
  const offer = sdp(options.audio, 8);
  const steps =
    password === undefined
      ? [request(options, 'INVITE', 1, { body: offer })]
      : [
          request(options, 'INVITE', 1, { body: offer }),
          '<recv response="100" optional="true"/>\n<recv response="407" auth="true"/>',
          request(options, 'ACK', 1, { branch: '-2' }),
          request(options, 'INVITE', 2, {
            body: offer,
            header: `[authentication username=${options.user} password=${password}]`,
          }),
        ];
  const invites = password === undefined ? 1 : 2;
  return scenario([
    ...steps,
    '<recv response="100" optional="true"/>\n<recv response="180" optional="true" rtd="2"/>\n<recv response="200" rrs="true" rtd="1"/>',
    request(options, 'ACK', invites, { inDialog: true }),
    `<pause milliseconds="${holdMs}"/>`,
    request(options, 'BYE', invites + 1, { inDialog: true }),
    '<recv response="200"/>',
  ]);
}

export function callee(audio: boolean, ringMs: number): { readonly xml: string } {
  return scenario([
    '<recv request="INVITE" rrs="true"/>',
    response('180 Ringing', ''),
    `<pause milliseconds="${ringMs}"/>`,
    response('200 OK', sdp(audio ? 'RTP/AVP' : 'none', 0)),
    '<recv request="ACK" crlf="true"/>\n<recv request="BYE"/>',
    response('200 OK', '', false),
  ]);
}

interface RequestOptions {
  readonly body?: string;
  readonly header?: string;
  /** Of an earlier step: `-2` is that of the last but one. */
  readonly branch?: string;
  readonly inDialog?: boolean;
}

function request(options: CallerOptions, method: string, cseq: number, more: RequestOptions): string {
  const { transport, user, domain } = options;
  const { inDialog = false } = more;
  const contact = `Contact: <sip:${user}@[local_ip]:[local_port];transport=${transport.toLowerCase()}>`;
  const lines = [
    `${method} ${inDialog ? '[next_url]' : `sip:[service]@${domain}`} SIP/2.0`,
    `Via: SIP/2.0/${transport} [local_ip]:[local_port];branch=[branch${more.branch ?? ''}];rport`,
    'Max-Forwards: 70',
    ...(inDialog ? ['[routes]'] : []),
    `From: <sip:${user}@${domain}>;tag=[pid]u[call_number]`,
    `To: <sip:[service]@${domain}>${method === 'INVITE' ? '' : '[peer_tag_param]'}`,
    'Call-ID: [call_id]',
    `CSeq: ${cseq} ${method}`,
    ...(method === 'INVITE' ? [contact] : []),
    ...(more.header === undefined ? [] : [more.header]),
  ];
  return sending(lines, more.body ?? '', method === 'ACK' ? '' : ' retrans="500"');
}

function response(status: string, body: string, ofInvite = true): string {
  const tag = ofInvite ? ';tag=[pid]s[call_number]' : '';
  const dialog = ['[last_Record-Route:]', 'Contact: <sip:[local_ip]:[local_port]>'];
  const copied = ['[last_Via:]', '[last_From:]', `[last_To:]${tag}`, '[last_Call-ID:]', '[last_CSeq:]'];
  const retransmits = ofInvite && status.startsWith('2') ? ' retrans="500"' : '';
  return sending([`SIP/2.0 ${status}`, ...copied, ...(ofInvite ? dialog : [])], body, retransmits);
}

function sdp(audio: CallerOptions['audio'], payloadType: number): string {
  if (audio === 'none') return '';
  return [
    ...['v=0', 'o=sipp 1 1 IN IP4 [local_ip]', 's=-', 'c=IN IP4 [media_ip]', 't=0 0'],
    `m=audio [media_port] ${audio} ${payloadType} 101`,
    ...['a=rtpmap:101 telephone-event/8000', 'a=fmtp:101 0-16', 'a=sendrecv'],
    ...(audio === 'RTP/SAVP' ? [`a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${'A'.repeat(40)}`] : []),
  ].join('\n');
}

function sending(lines: readonly string[], body: string, attributes: string): string {
  const typed =
    body === ''
      ? ['Content-Length: 0', '', '']
      : ['Content-Type: application/sdp', 'Content-Length: [len]', '', body, ''];
  return `<send${attributes}><![CDATA[\n${[...lines, ...typed].join('\n')}\n]]></send>`;
}

function scenario(steps: readonly string[]): { readonly xml: string } {
  return {
    xml: `<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="edge">\n${steps.join('\n')}\n</scenario>\n`,
  };
}
