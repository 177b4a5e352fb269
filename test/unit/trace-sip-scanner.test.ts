// The tolerant SIP scanner against ordinary messages and against the kind of RFC 4475.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { scanSip, type SipMessage } from '../../core/trace/sip-scanner.js';
import { tortuousInvite } from '../harness/torture.js';

function scan(...lines: string[]): SipMessage {
  const message = scanSip(Buffer.from(lines.join('\r\n')));
  assert.ok(message, 'is SIP');
  return message;
}

const minimal = [
  'Via: SIP/2.0/UDP h;branch=z9hG4bK1',
  'From: <sip:a@h>;tag=1',
  'To: <sip:b@h>',
  'Call-ID: c@h',
  'CSeq: 1 INVITE',
];

describe('an ordinary INVITE', () => {
  const invite = scan(
    'INVITE sip:1002@127.40.0.100 SIP/2.0',
    'Via: SIP/2.0/UDP 127.40.0.100:5060;branch=z9hG4bK2, SIP/2.0/TCP phone.example:5062;rport;branch=z9hG4bK1',
    'Via: SIP/2.0/WSS df7jal.invalid;branch=z9hG4bK0',
    'Record-Route: <sip:127.40.0.101;r2=on;lr>, <sip:127.40.0.100;r2=on;lr;hf=1,2>',
    'Route: <sip:127.40.0.101;lr>',
    'From: "Alice, \\"A\\" <Smith>" <sip:1001@holdfast.test>;tag=from-1',
    'To: Bob <sip:1002@holdfast.test;user=phone>',
    'Call-ID: 843817637684230@998sdasdh09',
    'CSeq: 1826 INVITE',
    'Contact: <sip:1001@127.40.0.200:5062;transport=tcp>;expires=60',
    'X-Holdfast-Leg: 01J-2',
    'X-HOLDFAST-CALL: 01J',
    'Expires: 120',
    'Content-Type: application/sdp',
    'Content-Length: 42',
    '',
    'v=0',
    'o=- 3850 3851 IN IP4 127.40.0.200',
    'beyond the length',
  );

  test('gives its start line, Call-ID and CSeq', () => {
    assert.equal(invite.kind, 'request');
    assert.equal(invite.requestUri, 'sip:1002@127.40.0.100');
    assert.equal(invite.method, 'INVITE');
    assert.equal(invite.callId, '843817637684230@998sdasdh09');
    assert.equal(invite.cseq, 1826);
    assert.equal(invite.expiresSeconds, 120);
  });

  test('gives From and To with tags and display names', () => {
    assert.equal(invite.from?.displayName, 'Alice, "A" <Smith>');
    assert.equal(invite.from.uri, 'sip:1001@holdfast.test');
    assert.equal(invite.from.parameters.get('tag'), 'from-1');
    assert.equal(invite.to?.displayName, 'Bob');
    assert.equal(invite.to.uri, 'sip:1002@holdfast.test;user=phone');
    assert.equal(invite.to.parameters.get('tag'), undefined);
  });

  test('gives all Vias, topmost first', () => {
    assert.deepEqual(
      invite.vias.map(({ transport, sentBy, branch }) => [transport, sentBy, branch]),
      [
        ['UDP', '127.40.0.100:5060', 'z9hG4bK2'],
        ['TCP', 'phone.example:5062', 'z9hG4bK1'],
        ['WSS', 'df7jal.invalid', 'z9hG4bK0'],
      ],
    );
    assert.equal(invite.vias[1]?.parameters.get('rport'), '');
    assert.deepEqual(invite.topBranches, ['z9hG4bK2', 'z9hG4bK1']);
  });

  test('splits routes at commas outside the brackets only', () => {
    assert.deepEqual(invite.routes, ['<sip:127.40.0.101;lr>']);
    assert.deepEqual(invite.recordRoutes, ['<sip:127.40.0.101;r2=on;lr>', '<sip:127.40.0.100;r2=on;lr;hf=1,2>']);
  });

  test('gives the contact and our own headers', () => {
    assert.equal(invite.contacts[0]?.uri, 'sip:1001@127.40.0.200:5062;transport=tcp');
    assert.equal(invite.contacts[0].parameters.get('expires'), '60');
    assert.deepEqual(
      [...invite.holdfast],
      [
        ['x-holdfast-leg', '01J-2'],
        ['x-holdfast-call', '01J'],
      ],
    );
  });

  test('ends the body at Content-Length and finds the SDP origin', () => {
    assert.equal(invite.body.length, 42);
    assert.equal(invite.sdpOrigin, '- 3850 3851 IN IP4 127.40.0.200');
  });
});

describe('messages in the manner of RFC 4475', () => {
  test('3.1.1.1: folded lines, compact forms, odd case and white space', () => {
    const message = scan(...tortuousInvite, '', 'v=0');
    assert.equal(message.callId, 'wsinv.ndaksdj@192.0.2.1');
    assert.equal(message.cseq, 9);
    assert.equal(message.to?.uri, 'sip:vivekg@chair-dnrc.example.com');
    assert.equal(message.to.parameters.get('tag'), '1918181833n');
    assert.equal(message.from?.displayName, 'J Rosenberg \\"');
    assert.equal(message.from.parameters.get('tag'), '98asjd8');
    assert.deepEqual(
      message.vias.map(({ transport, sentBy, branch }) => [transport, sentBy, branch]),
      [
        ['UDP', '192.0.2.2', '390skdjuw'],
        ['TCP', 'spindle.example.com', 'z9hG4bK9ikj8'],
        ['UDP', '192.168.255.111', 'z9hG4bK30239'],
      ],
    );
    assert.deepEqual(message.routes, ['<sip:services.example.com;lr;unknownwith=value;unknown-no-value>']);
    assert.equal(message.contacts[0]?.displayName, 'Quoted string ""');
    assert.equal(message.contacts[0].parameters.get('q'), '0.33');
  });

  test('3.1.1.2: every character a method, a Call-ID and a tag may have', () => {
    const method = "!interesting-Method0123456789_*+`.%indeed'~";
    const message = scan(
      `${method} sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0`,
      "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
      'To: "BEL:\\\u0007 NUL:\\\u0000 DEL:\\\u007f" <sip:1_unusual.URI~(to-be!sure)@example.com>',
      "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
      'Call-ID: intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{',
      `CSeq: 139122385 ${method}`,
      'Max-Forwards: 255',
      '',
      '',
    );
    assert.equal(message.method, method);
    assert.equal(message.callId, 'intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{');
    assert.equal(message.from?.parameters.get('tag'), "_token~1'+`*%!-.");
    assert.equal(message.from.displayName, "token1~` token2'+_ token3*%!.-");
    assert.equal(message.vias[0]?.branch, "z9hG4bK-.!%66*_+`'~");
    assert.equal(message.to?.uri, 'sip:1_unusual.URI~(to-be!sure)@example.com');
  });

  test('3.1.1.8: escaped and quoted separators do not split', () => {
    const message = scan(
      'OPTIONS sip:user@example.com SIP/2.0',
      ...minimal.slice(0, 4),
      'CSeq: 1 OPTIONS',
      'Contact: "a, b; c" <sip:x@h?Route=%3Ch%3E,y>, sip:plain@h;q=0.1, "\\"," <sip:z@h>',
      '',
      '',
    );
    assert.deepEqual(
      message.contacts.map(contact => contact.uri),
      ['sip:x@h?Route=%3Ch%3E,y', 'sip:plain@h', 'sip:z@h'],
    );
    assert.equal(message.contacts[2]?.displayName, '",');
  });

  test('3.1.1.12: a reason phrase of UTF-8, and none at all', () => {
    const response = scan('SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое', ...minimal, '', '');
    assert.equal(response.kind, 'response');
    assert.equal(response.reason, '= 2**3 * 5**2 но сто девяносто девять - простое');
    assert.equal(response.method, 'INVITE');
    for (const line of ['SIP/2.0 100 ', 'SIP/2.0 100']) {
      const bare = scan(line, ...minimal, '', '');
      assert.deepEqual([bare.status, bare.reason], [100, '']);
    }
  });

  test('3.1.2: what a stack must refuse is still observed', () => {
    const message = scan(
      'INVITE sip:user@example.com; transport=udp SIP/2.0',
      'Via: nonsense;;,;,,',
      'From: "unterminated <sip:a@h>;tag=1',
      'To: <sip:b@h',
      'Call-ID: bad@h',
      'CSeq: 36893488147419103232 INVITE',
      'Expires: 100 hours',
      'Content-Length: -999',
      'no colon in this line',
      '',
      'body',
    );
    assert.equal(message.cseq, undefined);
    assert.equal(message.expiresSeconds, undefined);
    assert.equal(message.contentLength, undefined);
    assert.equal(message.to?.uri, 'sip:b@h');
    assert.equal(message.body.toString(), 'body');
    assert.equal(message.vias[0]?.branch, undefined);
  });

  test('lines that end in LF alone, and blank lines before the start line', () => {
    const text = ['\r\n\nBYE sip:a@h SIP/2.0', 'Call-ID: lf@h', 'CSeq: 2 BYE', '', 'o=a b\r\n\r\n'].join('\n');
    const message = scanSip(Buffer.from(text));
    assert.equal(message?.callId, 'lf@h');
    assert.equal(message.method, 'BYE');
    assert.equal(message.sdpOrigin, 'a b');
  });

  test('a message without its blank line has no body', () => {
    assert.equal(scan('BYE sip:a@h SIP/2.0', 'i: c').body.length, 0);
  });

  test('the first of two values counts', () => {
    const message = scan('BYE sip:a@h SIP/2.0', 'Call-ID: one', 'i: two', 'X-Holdfast-Leg: a', 'X-Holdfast-Leg: b');
    assert.equal(message.callId, 'one');
    assert.equal(message.holdfast.get('x-holdfast-leg'), 'a');
  });
});

describe('what is not SIP', () => {
  const cases: [string, string][] = [
    ['an empty payload', ''],
    ['a keep-alive', '\r\n\r\n'],
    ['HTTP', 'GET / HTTP/1.1\r\nCall-ID: a\r\n\r\n'],
    ['another version', 'INVITE sip:a@h SIP/7.0\r\nCall-ID: a\r\n\r\n'],
    ['a status out of range', 'SIP/2.0 42 Answer\r\nCall-ID: a\r\n\r\n'],
    ['a message without a Call-ID', 'INVITE sip:a@h SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n'],
    ['RTP', '\x80\x00\x00\x01\x00\x00\x00\xa0'],
  ];
  for (const [what, text] of cases) {
    test(`${what} is undefined`, () => assert.equal(scanSip(Buffer.from(text, 'latin1')), undefined));
  }
});
