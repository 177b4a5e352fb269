// Messages after RFC 4475, each named by what its section there is about: for doors that must stand all of it.

/** Its section 3.1.1.1: folded lines, compact forms, odd case and white space. */
export const tortuousInvite: readonly string[] = [
  'INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0',
  'TO :',
  ' sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n',
  'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>',
  '  ;',
  '  tag = 98asjd8',
  'MaX-fOrWaRdS: 0068',
  'I: wsinv.ndaksdj@192.0.2.1',
  'Content-Length   : 150',
  'cseq: 0009',
  '  INVITE',
  'Via  : SIP  /   2.0',
  ' /UDP',
  '    192.0.2.2;branch=390skdjuw',
  's :',
  'NewFangledHeader:   newfangled value',
  ' continued newfangled value',
  'UnknownHeaderWithUnusualValue: ;;,,;;,;',
  'Content-Type: application/sdp',
  'Route:',
  ' <sip:services.example.com;lr;unknownwith=value;unknown-no-value>',
  'v:  SIP  / 2.0  / TCP     spindle.example.com   ;',
  '  branch  =   z9hG4bK9ikj8  ,',
  ' SIP  /    2.0   / UDP  192.168.255.111   ; branch=',
  ' z9hG4bK30239',
  'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =',
  '      newvalue ;',
  '  secondparam ; q = 0.33',
];

export interface TortureTarget {
  /** Who sends it, as `address:port`. */
  readonly from: string;
  /** Host of the Request-URI and of To. */
  readonly host: string;
}

type Line = string;

interface Parts {
  readonly start: Line;
  readonly headers: readonly Line[];
  readonly body?: string;
}

const sdp = 'v=0\r\no=m 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 49217 RTP/AVP 0\r\n';

function text({ start, headers, body = '' }: Parts): string {
  return [start, ...headers, '', body].join('\r\n');
}

/** All of sections 3.1 to 3.4, with names of our own addresses in the place of theirs: they are to reach what is behind the door. */
export function tortureMessages({
  from,
  host,
}: TortureTarget): readonly (readonly [section: string, message: string])[] {
  let count = 0;
  const usual = (method: string, changes: Readonly<Record<string, Line | readonly Line[]>> = {}): Line[] => {
    count++;
    const headers: Record<string, Line | readonly Line[]> = {
      Via: `Via: SIP/2.0/UDP ${from};branch=z9hG4bKtorture${count}`,
      'Max-Forwards': 'Max-Forwards: 70',
      From: `From: <sip:caller@${host}>;tag=t${count}`,
      To: `To: <sip:9001@${host}>`,
      'Call-ID': `Call-ID: torture-${count}@${from}`,
      CSeq: `CSeq: 1 ${method}`,
      Contact: `Contact: <sip:caller@${from}>`,
      'Content-Length': 'Content-Length: 0',
      ...changes,
    };
    return Object.values(headers).flat();
  };
  const plain = (method: string, changes = {}, uri = `sip:9001@${host}`): string =>
    text({ start: `${method} ${uri} SIP/2.0`, headers: usual(method, changes) });
  const withSdp = (changes = {}, length = sdp.length, body = sdp): string => {
    const type = { 'Content-Type': 'Content-Type: application/sdp', 'Content-Length': `Content-Length: ${length}` };
    return text({ start: `INVITE sip:9001@${host} SIP/2.0`, headers: usual('INVITE', { ...type, ...changes }), body });
  };
  const response = (start: string): string => text({ start, headers: usual('INVITE') });
  const many = 'very'.repeat(60);
  return [
    [
      '3.1.1.1 a short tortuous INVITE',
      withSdp({
        Via: [
          `v:  SIP  / 2.0  / UDP\r\n  ${from} ;branch\r\n =  z9hG4bKtort`,
          'VIA: SIP/2.0/TCP spindle.test ; branch  =   z9hG4bK9ik',
        ],
        To: `TO :\r\n sip:9001@${host} ;   tag    `,
        From: `From : "J Rosenberg \\\\\\""       <sip:j@${host}>\r\n  ;\r\n  tag = 98asj8`,
        'Max-Forwards': 'MaX-fOrWaRdS: 0068',
        CSeq: 'cseq: 0009\r\n  INVITE',
        Contact: `m:"Quoted string \\"\\"" <sip:j@${from}>;newparam = newvalue ; secondparam ; q = 0.33`,
        Other: [
          'NewFangledHeader:   newfangled value\r\n continued newfangled value',
          'UnknownHeaderWithUnusualValue: ;;,,;;,;',
          's :',
        ],
      }),
    ],
    [
      '3.1.1.2 a wide range of characters',
      plain(
        "!interesting-Method0123456789_*+`.%indeed'~",
        {},
        `sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@${host}`,
      ),
    ],
    ['3.1.1.3 escapes', plain('INVITE', {}, `sip:sips%3Auser%40example.com@${host}`)],
    [
      '3.1.1.4 escaped nulls',
      plain('REGISTER', {
        To: `To: sip:null-%00-null@${host}`,
        Contact: ['Contact: <sip:%00@a.test>', 'Contact: <sip:%00%00@a.test>'],
      }),
    ],
    ['3.1.1.5 percent where none is meant', plain('RE%47IST%45R', { To: `To: "%Z%45" <sip:9001@${host}>` })],
    ['3.1.1.6 no white space before <', plain('OPTIONS', { From: `From: caller<sip:caller@${host}>;tag=323` })],
    [
      '3.1.1.7 long values',
      withSdp({
        To: `To: "I have a user name of ${many}" <sip:9001@${host}:6000;unknownparam1=${many}>`,
        Via: [
          `Via: SIP/2.0/UDP ${from};branch=z9hG4bK${many}`,
          ...Array.from({ length: 34 }, (_, i) => `Via: SIP/2.0/TCP sip${i}.test;branch=z9hG4bK${i}`),
        ],
      }),
    ],
    ['3.1.1.8 a second request behind it', `${plain('REGISTER')}INVITE sip:9001@${host} SIP/2.0\r\nt: x\r\n\r\n`],
    ['3.1.1.9 semicolon in the user part', plain('OPTIONS', {}, `sip:user;par=u%40example.net@${host}`)],
    [
      '3.1.1.10 transports',
      plain('OPTIONS', {
        Via: [
          `Via: SIP/2.0/UDP ${from};branch=z9hG4bKk`,
          ...['SCTP', 'TLS', 'UNKNOWN', 'TCP'].map(one => `Via: SIP/2.0/${one} t.test;branch=z9hG4bK${one}`),
        ],
      }),
    ],
    [
      '3.1.1.11 multipart',
      text({
        start: `INVITE sip:9001@${host} SIP/2.0`,
        headers: usual('INVITE', {
          'Content-Type': 'Content-Type: multipart/mixed;boundary=7a9cbec02ceef655',
          'Content-Length': 'Content-Length: 153',
        }),
        body: '--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n\r\n--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n\u0000\u0001\u0002\r\n--7a9cbec02ceef655--\r\n',
      }),
    ],
    ['3.1.1.12 a reason in UTF-8', response('SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e')],
    ['3.1.1.13 no reason', response('SIP/2.0 100 ')],
    [
      '3.1.2.1 separators that are too many',
      withSdp({ Via: `Via: SIP/2.0/UDP ${from};;,;,,`, Contact: 'Contact: "Joe" <sip:joe@example.org>;;;;' }),
    ],
    ['3.1.2.2 Content-Length too large', withSdp({}, 9999)],
    ['3.1.2.3 Content-Length negative', withSdp({}, -999)],
    [
      '3.1.2.4 numbers too large',
      plain('REGISTER', {
        CSeq: 'CSeq: 36893488147419103232 REGISTER',
        'Max-Forwards': 'Max-Forwards: 300',
        Contact: 'Contact: <sip:u@h.test>;expires=280297596632815',
      }),
    ],
    [
      '3.1.2.5 numbers too large in a response',
      text({
        start: 'SIP/2.0 503 Service Unavailable',
        headers: usual('INVITE', {
          CSeq: 'CSeq: 9292394834772304023312 OPTIONS',
          Other: ['Retry-After: 949302838503028349304023988', 'Warning: 1812 overture "In Progress"'],
        }),
      }),
    ],
    ['3.1.2.6 a quote that is not closed', withSdp({ To: `To: "Mr. J. User <sip:j.user@${host}>` })],
    ['3.1.2.7 a Request-URI in brackets', plain('INVITE', {}, `<sip:9001@${host}>`)],
    ['3.1.2.8 white space in the Request-URI', plain('INVITE', {}, `sip:9001@${host}; lr`)],
    ['3.1.2.9 white space in the start line', plain('INVITE', {}, `sip:9001@${host} `)],
    [
      '3.1.2.10 white space behind the start line',
      text({ start: `OPTIONS sip:9001@${host} SIP/2.0  `, headers: usual('OPTIONS') }),
    ],
    ['3.1.2.11 escaped headers in the Request-URI', plain('INVITE', {}, `sip:9001@${host}?Route=%3Csip:x.test%3E`)],
    ['3.1.2.12 a date of no zone', plain('INVITE', { Date: 'Date: Fri, 01 Jan 2010 16:00:00 EST' })],
    [
      '3.1.2.13 a Contact without brackets',
      plain('REGISTER', { Contact: 'Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E' }),
    ],
    ['3.1.2.14 spaces in an addr-spec', plain('OPTIONS', { To: `To: "Watson, Thomas" < sip:t.watson@${host} >` })],
    [
      '3.1.2.15 a display name that is none',
      plain('OPTIONS', { From: `From: Bell, Alexander <sip:a.g.bell@${host}>;tag=43` }),
    ],
    ['3.1.2.16 another version', text({ start: `OPTIONS sip:9001@${host} SIP/7.0`, headers: usual('OPTIONS') })],
    ['3.1.2.17 methods that differ', plain('OPTIONS', { CSeq: 'CSeq: 8 INVITE' })],
    ['3.1.2.18 methods that differ, and are not known', plain('NEWMETHOD', { CSeq: 'CSeq: 9 INVITE' })],
    ['3.1.2.19 a status that is too high', response('SIP/2.0 4294967301 better not break the receiver')],
    ['3.2.1 a branch of its cookie only', plain('OPTIONS', { Via: `Via: SIP/2.0/UDP ${from};branch=z9hG4bK` })],
    [
      '3.3.1 what must be there is not',
      text({
        start: `INVITE sip:9001@${host} SIP/2.0`,
        headers: [
          'CSeq: 193942 INVITE',
          `Via: SIP/2.0/UDP ${from};branch=z9hG4bKkdj`,
          `Contact: <sip:caller@${from}>`,
          'Content-Length: 0',
        ],
      }),
    ],
    ['3.3.2 an unknown scheme', plain('OPTIONS', {}, 'nobodyKnowsThisScheme:totallyopaquecontent')],
    ['3.3.3 another scheme', plain('OPTIONS', {}, 'soap.beep://192.0.2.103:3002')],
    [
      '3.3.4 unknown schemes in headers',
      plain('REGISTER', { To: 'To: isbn:2983792873', Contact: 'Contact: <name:John_Smith>' }),
    ],
    [
      '3.3.5 extensions that nobody has',
      plain('OPTIONS', {
        Require: ['Require: nothingSupportsThis, nothingSupportsThisEither', 'Proxy-Require: noProxiesSupportThis'],
      }),
    ],
    [
      '3.3.6 a body that nobody reads',
      text({
        start: `INVITE sip:9001@${host} SIP/2.0`,
        headers: usual('INVITE', {
          'Content-Type': 'Content-Type: application/unknownformat',
          'Content-Length': 'Content-Length: 5',
        }),
        body: '<a/>\n',
      }),
    ],
    [
      '3.3.7 credentials of another kind',
      plain('REGISTER', { Authorization: 'Authorization: NoOneKnowsThisScheme opaque-data=here' }),
    ],
    [
      '3.3.8 headers that are there twice',
      plain('INVITE', {
        Other: [
          'CSeq: 59 INVITE',
          'Max-Forwards: 5',
          `From: <sip:x@${host}>;tag=2`,
          'Call-ID: other',
          'To: sip:y@z.test',
        ],
      }),
    ],
    ['3.3.9 Content-Length twice', withSdp({ Other: 'Content-Length: 5' })],
    [
      '3.3.10 a response to somewhere else',
      text({
        start: 'SIP/2.0 200 OK',
        headers: usual('INVITE', {
          Via: [
            'Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923',
            'Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23',
          ],
        }),
      }),
    ],
    ['3.3.11 Max-Forwards of 0', plain('OPTIONS', { 'Max-Forwards': 'Max-Forwards: 0' })],
    [
      '3.3.12 a Contact with a parameter',
      plain('REGISTER', { Contact: 'Contact: sip:+19725552222@gw1.example.net;unknownparam' }),
    ],
    [
      '3.3.13 a Contact with a parameter in brackets',
      plain('REGISTER', { Contact: 'Contact: <sip:+19725552222@gw1.example.net;unknownparam>' }),
    ],
    [
      '3.3.14 a Contact with an escaped header',
      plain('REGISTER', { Contact: 'Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>' }),
    ],
    ['3.3.15 what of an offer is accepted', withSdp({ Accept: 'Accept: text/nobodyKnowsThis' })],
    [
      '3.4.1 an INVITE of RFC 2543',
      text({
        start: `INVITE sip:9001@${host} SIP/2.0`,
        headers: [
          `Via: SIP/2.0/UDP ${from}`,
          `From: "iamOld" <sip:caller@${host}>`,
          `To: sip:9001@${host}`,
          `Call-ID: old@${from}`,
          'CSeq: 8 INVITE',
          'Content-Type: application/sdp',
        ],
        body: sdp,
      }),
    ],
  ];
}
