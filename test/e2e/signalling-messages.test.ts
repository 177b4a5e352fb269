// What passes from one leg of a call to the other, and what is answered or refused on the way, message by message, both ways.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { callDaemon } from '../../core/control/control-client.js';
import { statePaths } from '../../core/host/state-folder.js';
import type { FoundCall } from '../../core/inspect/call-view.js';
import { recordOf } from '../harness/call-records.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { IncomingCall } from '../harness/incoming-call.js';
import { localConfig } from '../harness/local-config.js';
import type { InviteOptions, OutgoingCall } from '../harness/outgoing-call.js';
import { readPcap } from '../harness/pcap.js';
import { parseSdp } from '../harness/sdp.js';
import type { SipCall } from '../harness/sip-call.js';
import { SipEndpoint, type EndpointOptions } from '../harness/sip-endpoint.js';
import { SipMessage, type Header } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

/** examples/local.yaml with a trunk that is not trusted (76xxx), both trunks at once (77xxx), and a header more that passes. */
async function config(): Promise<string> {
  const text = await localConfig();
  const routes = [
    '{ dial: 76xxx, to: [{ trunk: stranger }] }',
    '{ dial: 79xxx, to: [{ trunk: lab }, { trunk: stranger }] }',
    '{ dial: 78xxx, to: [{ trunk: lab }], redirects: refuse }',
    '{ dial: 73xxx, to: [{ trunk: odd }] }',
    '{ dial: 74xxx, to: [{ trunk: lab }], redirects: uri }',
    '{ dial: 77xxx, to: [{ trunk: lab }, { trunk: stranger }], atOnce: true }',
  ];
  return text
    .replace(
      'trunks:\n',
      `passHeaders: [Diversion, History-Info, User-to-User, Subject, X-Account]
trunks:
  odd: { gateways: [.212:5060] }
  stranger: { sources: [.210], gateways: [.209:5060], trusted: false }
`,
    )
    .replace('    routes:\n', `    routes:\n${routes.map(route => `      - ${route}\n`).join('')}`);
}

/** An INVITE with another head and body; Content-Length follows. */
function rewritten(text: string, change: (head: string, body: string) => readonly [string, string]): string {
  const [head = '', body = ''] = text.split(/\r\n\r\n([\s\S]*)/);
  if (!text.startsWith('INVITE') || body === '') return text;
  const [newHead, newBody] = change(head, body);
  return `${newHead.replace(/Content-Length: \d+/, `Content-Length: ${newBody.length}`)}\r\n\r\n${newBody}`;
}

const compact: readonly (readonly [string, string])[] = [
  ...[['Via', 'v'] as const, ['From', 'f'] as const, ['To', 't'] as const, ['Call-ID', 'i'] as const],
  ...[['Contact', 'm'] as const, ['Content-Type', 'c'] as const, ['Content-Length', 'l'] as const],
  ...[['Subject', 's'] as const, ['Supported', 'k'] as const],
];
const shorten = (text: string): string =>
  compact.reduce((made, [long, short]) => made.replaceAll(`\r\n${long}: `, `\r\n${short}:`), text);

/** Each name of a header as this makes it; the body stays. */
const renamed = (text: string, name: (name: string) => string): string => {
  const [head = '', body = ''] = text.split(/\r\n\r\n([\s\S]*)/);
  return `${head.replace(/(?<=\r\n)[A-Za-z-]+(?=:)/g, name)}\r\n\r\n${body}`;
};

/** How callees may write what all write (RFC 3261 §7.3.1). */
const oddHands: Readonly<Record<string, (text: string) => string>> = {
  'compact names': shorten,
  'names in lower case': text => renamed(text, name => name.toLowerCase()),
  'names in upper case, and spaces before the colon': text => renamed(text, name => `${name.toUpperCase()} \t`),
  'folded headers': text =>
    text.replace(/\r\n(From|To|Contact|CSeq|Record-Route): /g, (_, name: string) => `\r\n${name}:\r\n \t `),
  'all of Record-Route, and of Via, in one header': text =>
    ['Record-Route', 'Via'].reduce((made, name) => joined(made, name), text),
  'a display name and parameters in Contact': text =>
    text.replace(
      /\r\nContact: <([^>]*)>/,
      '\r\nContact:"Odd, \\"very\\" <odd>"<$1>;+sip.instance="<urn:uuid:1>";q=0.5',
    ),
};

/** The values of a header in one of that name. */
function joined(text: string, name: string): string {
  const lines = text.split('\r\n');
  const values = lines.filter(line => line.startsWith(`${name}: `)).map(line => line.slice(name.length + 2));
  const first = lines.findIndex(line => line.startsWith(`${name}: `));
  const rest = lines.filter((line, i) => i === first || !line.startsWith(`${name}: `));
  return rest.map((line, i) => (i === first ? `${name}: ${values.join(' , ')}` : line)).join('\r\n');
}

const reason = (message: SipMessage): readonly string[] => message.all('Reason');

describe('signalling: methods, statuses and headers', () => {
  let farm: Farm;
  let trunk: SipEndpoint;
  let callee: SipEndpoint;
  let stranger: SipEndpoint;
  let phone: SipEndpoint;
  let onCall: (call: IncomingCall) => Promise<void> | void;

  const answer = async (call: IncomingCall): Promise<void> => {
    call.ring();
    await call.answer();
  };
  /** A call that is up, from both sides. */
  const talking = async (
    options: InviteOptions = {},
    from = trunk,
    to = callee,
    dialled = '70001',
  ): Promise<readonly [OutgoingCall, IncomingCall]> => {
    onCall = answer;
    const outgoing = await from.invite(farm.uri(dialled), options);
    await outgoing.answered();
    const incoming = to.calls.at(-1);
    assert.ok(incoming instanceof IncomingCall);
    await incoming.confirmed();
    return [outgoing, incoming];
  };
  const bothWays = async (scenario: (side: SipCall, other: SipCall) => Promise<void>): Promise<void> => {
    const [outgoing, incoming] = await talking();
    await scenario(outgoing, incoming);
    await scenario(incoming, outgoing);
    assert.equal(incoming.state, 'confirmed', `the call went on\n${incoming.ladder()}`);
    await outgoing.hangup();
    await incoming.ended();
  };

  /** `call show ID --pcap FILE` has of these phones what they have themselves, in a form that tcpdump reads. */
  const isCaptured = async (id: string, phones: readonly SipCall[]): Promise<void> => {
    const ends = [trunk, callee, stranger];
    const theirs = phones
      .flatMap(({ callId }) => ends.flatMap(end => end.ladder.rows(callId).map(row => ({ ...row, end: end.address }))))
      .map(({ end, direction, message }) => `${end} ${direction}\n${message.toString()}`)
      .sort();
    const file = join(farm.state, 'call.pcap');
    const capture = async (): Promise<{ said: string; captured: readonly string[]; packets: number }> => {
      const { code, stdout, stderr } = await farm.cli(['call', 'show', id, '--pcap', file]);
      assert.equal(code, 0, stderr);
      const packets = readPcap(await readFile(file));
      const captured = packets.flatMap(({ source, destination, payload }) => {
        const message = SipMessage.parse(payload)?.toString() ?? '';
        const of = (end: string, direction: string): string[] =>
          ends.some(({ address }) => address === end) ? [`${end} ${direction}\n${message}`] : [];
        return [...of(source, 'sent'), ...of(destination, 'received')];
      });
      return { said: stdout, captured: captured.sort(), packets: packets.length };
    };
    // The Kamailios' copies of the last messages come a moment after them.
    const all = async (): Promise<Awaited<ReturnType<typeof capture>> | undefined> => {
      const now = await capture();
      return now.captured.length >= theirs.length ? now : undefined;
    };
    const { said, captured, packets } = await waitFor('every message to be traced', all, { deadlineMs: 15_000 });
    assert.deepEqual(captured, theirs);
    assert.ok(said.endsWith(`\n${packets} messages are in ${file}.\n`), said);
    const { stdout } = await promisify(execFile)('tcpdump', ['-r', file, '-nn', '-t', '-vv']);
    assert.equal(stdout.match(/^IP /gm)?.length, packets);
    assert.doesNotMatch(stdout, /bad (udp )?cksum|truncated|bad length/);
  };

  before(async () => {
    farm = await Farm.up({ config: await config() });
    trunk = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    callee = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    stranger = await SipEndpoint.open({ address: farm.host(209), codecs: ['PCMA'] });
    phone = await SipEndpoint.open({
      address: farm.host(211),
      user: '1001',
      domain: 'holdfast.test',
      codecs: ['PCMA'],
      credentials: { username: '1001', password: 'alice-secret' },
    });
    for (const one of [callee, stranger, phone]) one.onInvite(call => onCall(call));
    assert.equal((await phone.register(`sip:${farm.host(100)}:5060`, 600)).status, 200);
    await waitFor('the binding', async () => (await farm.json<unknown[]>('registrations')).length === 1);
  });
  after(async () => {
    await closeAll(trunk, callee, stranger, phone);
    await farm.down();
  });
  afterEach(async () => {
    // A call that a failed test left up is not to fail the next one.
    const left = [trunk, callee, stranger, phone].flatMap(one => one.calls).filter(call => call.state === 'confirmed');
    await Promise.all(left.map(call => call.hangup()));
  });

  test('outside of a dialog every method has its answer from the edge', async () => {
    const expected: readonly (readonly [string, number])[] = [
      ['OPTIONS', 200],
      ['SUBSCRIBE', 489],
      ['PUBLISH', 489],
      ['NOTIFY', 481],
      ['MESSAGE', 405],
      ['REFER', 405],
      ['BYE', 481],
      ['INFO', 481],
      ['UPDATE', 481],
      ['PRACK', 481],
      ['FROBNICATE', 501],
    ];
    for (const [method, status] of expected) {
      const response = await trunk.request(method, farm.uri('70001'), { headers: [['Contact', trunk.contact]] });
      assert.equal(response.status, status, `${method}: ${response.startLine}`);
      if ([200, 405, 501].includes(status)) assert.ok(response.all('Allow').includes('INVITE'), `${method} has Allow`);
    }
  });

  test('a load balancer that asks through our own Route whether we live is answered', async () => {
    const route: Header = ['Route', `<sip:${farm.host(100)}:5060;lr>`];
    const response = await trunk.request('OPTIONS', `sip:${farm.host(100)}`, { headers: [route] });
    assert.equal(response.status, 200);
  });

  test('in a dialog every method has its answer, at once, and the call goes on', async () => {
    const digit = 'Signal=5\r\nDuration=160\r\n';
    const expected: readonly (readonly [string, readonly Header[], string, number])[] = [
      ['OPTIONS', [], '', 200],
      ['INFO', [], '', 200],
      ['INFO', [['Content-Type', 'application/dtmf-relay']], digit, 200],
      ['INFO', [['Content-Type', 'application/media_control+xml']], '<media_control/>', 415],
      ['INFO', [['Info-Package', 'nonsense']], '', 469],
      ['MESSAGE', [['Content-Type', 'text/plain']], 'hello', 405],
      ['NOTIFY', [['Event', 'presence']], '', 481],
      ['SUBSCRIBE', [['Event', 'presence']], '', 489],
      ['REFER', [['Refer-To', '<sip:70003@example.test>']], '', 603],
      ['FROBNICATE', [], '', 501],
    ];
    await bothWays(async side => {
      for (const [method, headers, body, status] of expected) {
        const response = await side.request(method, [['Contact', trunk.contact], ...headers], body);
        assert.equal(response.status, status, `${method} ${headers.join()}: ${response.startLine}\n${side.ladder()}`);
      }
    });
  });

  test('each final status passes as it came, with its Reason and without one', async () => {
    const reasons: readonly (readonly string[])[] = [
      [],
      ['Q.850;cause=17;text="User busy"'],
      ['SIP;cause=600;text="Grüße, \\"x\\""', 'Q.850;cause=21'],
    ];
    const statuses = [404, 408, 480, 484, 486, 487, 488, 500, 503, 600, 603];
    for (const [i, status] of statuses.entries()) {
      const expected = reasons[i % reasons.length] ?? [];
      const headers = expected.map((value): Header => ['Reason', value]);
      onCall = call => call.reject(status, undefined, headers);
      // To the trunk and to a phone.
      for (const dialled of ['70001', '1001']) {
        const call = await trunk.invite(farm.uri(dialled));
        assert.equal(await call.rejected(), status);
        assert.ok(call.final);
        assert.deepEqual(reason(call.final), expected, `${status}\n${call.ladder()}`);
      }
    }
  });

  test('a phone that calls hears each status with its Reason too', async () => {
    for (const status of [404, 484, 486, 488, 600, 603]) {
      const why = `Q.850;cause=21;text="no ${status}"`;
      onCall = call => call.reject(status, undefined, [['Reason', why]]);
      const call = await phone.invite(farm.uri('70001'));
      assert.equal(await call.rejected(), status);
      assert.deepEqual(call.final && reason(call.final), [why], call.ladder());
    }
  });

  test('a redirection is followed to the number that it names, or refused, as the route says', async () => {
    const moved = (call: IncomingCall): Promise<void> =>
      call.reject(302, undefined, [['Contact', '<sip:70005@192.0.2.1>;q=0.9, <tel:70006>, <sip:5550@192.0.2.1>']]);
    onCall = call => (call.invite.requestUri.includes('1001@') ? moved(call) : answer(call));
    const call = await trunk.invite(farm.uri('1001'));
    await call.answered();
    const followed = callee.calls.at(-1);
    assert.ok(followed instanceof IncomingCall);
    assert.match(followed.invite.requestUri, /^sip:70005@/);
    assert.equal(followed.invite.get('Diversion'), '<sip:1001@holdfast.test>;reason=unknown');
    await call.hangup();

    onCall = moved;
    const refused = await trunk.invite(farm.uri('78001'));
    assert.equal(await refused.rejected(), 480);
  });

  /** Calls 74001, whose route follows Contacts as they stand: who was rung for it, in which order, by user part. */
  const followed = async (redirects: (user: string) => readonly string[]): Promise<readonly [number, string[]]> => {
    const users: string[] = [];
    onCall = call => {
      const user = /^sip:([^@;]+)/.exec(call.invite.requestUri)?.[1] ?? '';
      users.push(user);
      const contacts = redirects(user).map((value): Header => ['Contact', value]);
      return contacts.length === 0 ? call.reject(486) : call.reject(302, undefined, contacts);
    };
    const call = await trunk.invite(farm.uri('74001'));
    return [await call.rejected(), users];
  };

  test('a redirection is followed to the very URI that it names, where the route says so', async () => {
    const there = `sip:anybody@${stranger.address}:5060;x=1`;
    onCall = call =>
      call.invite.requestUri === there ? answer(call) : call.reject(302, undefined, [['Contact', `<${there}>`]]);
    const call = await trunk.invite(farm.uri('74001'));
    await call.answered();
    const incoming = stranger.calls.at(-1);
    assert.ok(incoming instanceof IncomingCall);
    assert.equal(incoming.invite.requestUri, there);
    await call.hangup();
    await incoming.ended();
  });

  test('of one 3xx ten contacts are called, best first, and of one call five redirections are followed', async () => {
    const at = (user: string, parameters = ''): string => `<sip:${user}@${callee.address}:5060>${parameters}`;
    const many = Array.from({ length: 12 }, (_, i) => at(`c${i}`, `;q=0.${String(5 + 10 * i).padStart(3, '0')}`));
    const best = Array.from({ length: 10 }, (_, i) => `c${11 - i}`);
    assert.deepEqual(await followed(user => (user === '74001' ? many : [])), [486, ['74001', ...best]]);
    // Each sends it on to the next one, and back to all before.
    const next = (user: string): string[] => [at(user), at('74001'), at(`${user}x`)];
    assert.deepEqual(await followed(next), [480, Array.from({ length: 6 }, (_, i) => `74001${'x'.repeat(i)}`)]);
  });

  test('a 6xx ends the search for somebody who answers', async () => {
    onCall = call => call.reject(603);
    const before = stranger.calls.length;
    const call = await trunk.invite(farm.uri('79001'));
    assert.equal(await call.rejected(), 603);
    assert.equal(stranger.calls.length, before, 'the next target was not rung');
  });

  test('of 181, 182 and 199 the caller hears nothing, and of what follows everything', async () => {
    let heard: () => Promise<unknown> = () => Promise.resolve();
    onCall = async call => {
      for (const status of [181, 182, 199]) call.provisional(status);
      call.ring();
      await heard();
      await call.answer();
    };
    for (const dialled of ['70001', '1001']) {
      const call = await trunk.invite(farm.uri(dialled));
      heard = () => call.ringing();
      await call.answered();
      // The 100 may come by a Kamailio that is late.
      assert.deepEqual(call.provisional.map(({ status }) => status).sort(), [100, 180]);
      await call.hangup();
    }
  });

  test('CANCEL passes with its Reason, and whoever is too late hears that the call was completed elsewhere', async () => {
    onCall = call => call.ring();
    const call = await trunk.invite(farm.uri('70001'));
    await call.ringing();
    assert.equal(await call.cancel([['Reason', 'SIP;cause=200;text="Call completed elsewhere"']]), 487);
    const cancelled = callee.calls.at(-1);
    assert.ok(cancelled instanceof IncomingCall);
    assert.deepEqual(reason(await cancelled.cancelled()), ['SIP;cause=200;text="Call completed elsewhere"']);

    for (const rings of [true, false]) {
      onCall = async one => {
        if (!one.invite.requestUri.includes(callee.address)) await answer(one);
        else if (rings) one.ring();
      };
      const before = callee.calls.length;
      const forked = await trunk.invite(farm.uri('77001'));
      await forked.answered();
      const late = await waitFor('the INVITE of the other one', () => callee.calls[before]);
      assert.ok(late instanceof IncomingCall);
      if (!rings) {
        // Until it has said something it can be sent no CANCEL (RFC 3261 §9.1); for Asterisk it is over by then.
        await waitFor('its leg to be over', async () => {
          const id = forked.callId;
          const { legs } = await callDaemon(statePaths(farm.state).controlSocket, 'callShow', { id, whole: false });
          return legs.some(({ peer, endedAt }) => peer.includes(callee.address) && endedAt !== null);
        });
        late.ring();
      }
      const why = reason(await late.cancelled());
      assert.ok(why.includes('SIP;cause=200;text="Call completed elsewhere"'), `${why.join()}\n${late.ladder()}`);
      await forked.hangup();
    }
  });

  test('BYE passes why, and the headers of the list, from either side', async () => {
    const headers: readonly Header[] = [
      ['Reason', 'Q.850;cause=31;text="normal, unspecified"'],
      ['Reason', 'SIP;cause=503;text="x"'],
      ['User-to-User', '56a390;encoding=hex'],
      ['X-Account', '77'],
      ['X-Other', 'stays'],
      ['X-Holdfast-Call', 'forged'],
    ];
    for (const caller of [trunk, phone]) {
      for (const ends of ['caller', 'callee']) {
        const [outgoing, incoming] = await talking({}, caller);
        const [ender, other] = ends === 'caller' ? [outgoing, incoming] : [incoming, outgoing];
        assert.equal(await ender.hangup(headers), 200);
        const { bye } = await other.ended();
        assert.deepEqual(reason(bye), ['Q.850;cause=31;text="normal, unspecified"', 'SIP;cause=503;text="x"']);
        assert.deepEqual([bye.get('User-to-User'), bye.get('X-Account')], ['56a390;encoding=hex', '77']);
        assert.deepEqual([bye.get('X-Other'), bye.get('X-Holdfast-Call')], ['', '']);
      }
    }
  });

  const asserted: readonly Header[] = [
    ['P-Asserted-Identity', '"Real" <sip:+4930@carrier.example>'],
    ['P-Asserted-Identity', '<tel:+4930>'],
    ['Diversion', '<sip:555@x>;reason=unconditional'],
    ['Diversion', '<sip:556@x>;reason=no-answer'],
    ['History-Info', '<sip:1@x>;index=1'],
    ['User-to-User', 'abcd;encoding=hex'],
    ['X-Account', '77'],
    ['X-Other', 'stays'],
    ['X-Holdfast-Call', 'forged'],
  ];
  const told = (invite: SipMessage, ...names: string[]): readonly (readonly string[])[] =>
    names.map(name => invite.all(name));
  const fromOf = (invite: SipMessage): string => invite.get('From').replace(/;tag=.*/, '');

  test('INVITE passes the headers of the list, and among trusted trunks who calls and who diverted', async () => {
    const from = `"Shop" <sip:5@${farm.host(200)}>;tag=1`;
    const [outgoing, { invite }] = await talking({ from, headers: asserted });
    assert.equal(fromOf(invite), '"Shop" <sip:5@holdfast.test>');
    assert.deepEqual(told(invite, 'P-Asserted-Identity', 'Diversion', 'History-Info', 'User-to-User', 'X-Account'), [
      ['"Real" <sip:+4930@carrier.example>', '<tel:+4930>'],
      ['<sip:555@x>;reason=unconditional', '<sip:556@x>;reason=no-answer'],
      ['<sip:1@x>;index=1'],
      ['abcd;encoding=hex'],
      ['77'],
    ]);
    assert.deepEqual(told(invite, 'X-Other', 'X-Holdfast-Call', 'X-Holdfast-Source'), [[], [], []]);
    await outgoing.hangup();
    const [toPhone, rung] = await talking({ from, headers: asserted }, trunk, phone, '1001');
    assert.equal(fromOf(rung.invite), '"Shop" <sip:5@holdfast.test>');
    assert.deepEqual(told(rung.invite, 'P-Asserted-Identity', 'X-Account'), [[], ['77']]);
    await toPhone.hangup();
  });

  test('a phone or an untrusted trunk cannot say that it is somebody else', async t => {
    const [byPhone, { invite }] = await talking({ headers: asserted }, phone);
    assert.equal(fromOf(invite), '<sip:1001@holdfast.test>');
    assert.deepEqual(told(invite, 'P-Asserted-Identity', 'Diversion', 'History-Info', 'X-Account'), [
      ['<sip:1001@holdfast.test>'],
      [],
      [],
      ['77'],
    ]);
    await byPhone.hangup();
    const outsider = await SipEndpoint.open({ address: farm.host(210), user: '9', codecs: ['PCMA'] });
    t.after(() => outsider.close());
    const [byStranger, heard] = await talking({ headers: asserted }, outsider);
    assert.deepEqual(told(heard.invite, 'P-Asserted-Identity', 'Diversion'), [['<sip:9@holdfast.test>'], []]);
    await byStranger.hangup();
  });

  test('a caller who wants privacy is known to trusted trunks, and to nobody else', async () => {
    const headers: readonly Header[] = [...asserted, ['Privacy', 'id;critical']];
    const anonymous = '"Anonymous" <sip:anonymous@anonymous.invalid>';
    const [first, { invite }] = await talking({ headers });
    assert.equal(fromOf(invite), anonymous);
    assert.deepEqual(told(invite, 'P-Asserted-Identity', 'Privacy'), [
      ['"Real" <sip:+4930@carrier.example>', '<tel:+4930>'],
      ['id;critical'],
    ]);
    await first.hangup();
    for (const [to, dialled] of [
      [stranger, '76001'],
      [phone, '1001'],
    ] as const) {
      const [call, rung] = await talking({ headers }, trunk, to, dialled);
      assert.equal(fromOf(rung.invite), anonymous);
      assert.doesNotMatch(rung.invite.toString(), /\+4930|Privacy|P-Asserted/);
      await call.hangup();
    }
    const [second, hidden] = await talking({ headers: [['Privacy', 'id']] }, phone);
    assert.equal(fromOf(hidden.invite), anonymous);
    assert.deepEqual(told(hidden.invite, 'P-Asserted-Identity'), [['<sip:1001@holdfast.test>']]);
    await second.hangup();
  });

  test('each value of Privacy hides what it names: the caller, by which way the call came, both, or nothing', async () => {
    const [shown, hidden] = ['<sip:100@holdfast.test>', '"Anonymous" <sip:anonymous@anonymous.invalid>'];
    const ways = [['<sip:555@x>;reason=unconditional', '<sip:556@x>;reason=no-answer'], ['<sip:1@x>;index=1']];
    const nobody: readonly (readonly string[])[] = [[], []];
    const cases: readonly (readonly [privacy: string, from: string, ways: readonly (readonly string[])[]])[] = [
      ['user', hidden, ways],
      ['session', hidden, ways],
      ['header', hidden, nobody],
      ['history', shown, nobody],
      ['user;history', hidden, nobody],
      ['none', shown, ways],
    ];
    const headers = asserted.filter(([name]) => name === 'Diversion' || name === 'History-Info');
    for (const [privacy, from, kept] of cases) {
      const options = { headers: [...headers, ['Privacy', privacy] as const] };
      const [toTrusted, { invite }] = await talking(options);
      assert.equal(fromOf(invite), from, privacy);
      assert.deepEqual(
        told(invite, 'P-Asserted-Identity', 'Privacy', 'Diversion', 'History-Info'),
        [['<sip:100@holdfast.test>'], [privacy], ...ways],
        privacy,
      );
      await toTrusted.hangup();
      for (const [to, dialled] of [
        [stranger, '76001'],
        [phone, '1001'],
      ] as const) {
        const [call, rung] = await talking(options, trunk, to, dialled);
        assert.equal(fromOf(rung.invite), from, privacy);
        assert.deepEqual(told(rung.invite, 'Diversion', 'History-Info'), kept, privacy);
        assert.deepEqual(told(rung.invite, 'P-Asserted-Identity', 'Privacy'), nobody, privacy);
        await call.hangup();
      }
    }
  });

  test('display names pass as they are: quoted, escaped, UTF-8, tokens, none', async () => {
    const names = ['"J\\"o\\\\e, Ünal"', '"日本語"', '"a;b<c>@d"', `"${'x'.repeat(80)}"`, 'Two Tokens', ''];
    for (const name of names) {
      const [call, { invite }] = await talking({ from: `${name} <sip:100@${farm.host(200)}>;tag=1` });
      const quoted = name === 'Two Tokens' ? '"Two Tokens" ' : name === '' ? '' : `${name} `;
      assert.equal(fromOf(invite), `${quoted}<sip:100@holdfast.test>`);
      await call.hangup();
    }
  });

  /** One call of an endpoint that writes its messages in its own way. */
  const calledBy = async (writes: EndpointOptions['writes'], options: InviteOptions = {}): Promise<SipMessage> => {
    const odd = await SipEndpoint.open({
      address: farm.host(201),
      user: '100',
      codecs: ['PCMA'],
      ...(writes && { writes }),
    });
    try {
      const [call, incoming] = await talking(options, odd);
      incoming.audio.sendTone(440);
      await call.audio.hears(440);
      await call.hangup();
      await incoming.ended();
      return incoming.invite;
    } finally {
      await odd.close();
    }
  };

  test('compact names and folded headers are what they stand for', async () => {
    const headers: readonly Header[] = [['Subject', 'short']];
    assert.equal((await calledBy(shorten, { headers })).get('Subject'), 'short');

    const fold = (text: string): string =>
      text.replace(/\r\n(Subject|User-to-User|From|Contact): /g, (_, name: string) => `\r\n${name}:\r\n \t `);
    const folded = await calledBy(fold, {
      headers: [
        ['Subject', 'one\r\n two'],
        ['User-to-User', 'ff;encoding=hex'],
      ],
    });
    assert.deepEqual(
      [folded.get('Subject').replace(/\s+/g, ' '), folded.get('User-to-User')],
      ['one two', 'ff;encoding=hex'],
    );
  });

  test('a callee that writes its answers in its own way is in the call as any other', async () => {
    onCall = answer;
    for (const [what, writes] of Object.entries(oddHands)) {
      const odd = await SipEndpoint.open({ address: farm.host(212), codecs: ['PCMA'], writes });
      try {
        odd.onInvite(answer);
        const [call, incoming] = await talking({}, trunk, odd, '73001');
        for (const [side, other] of [
          [call, incoming],
          [incoming, call],
        ] as const) {
          assert.equal((await side.request('OPTIONS')).status, 200, `${what}\n${side.ladder()}`);
          assert.equal((await side.reinvite({ direction: 'sendrecv' })).status, 200, `${what}\n${side.ladder()}`);
          other.audio.sendTone(440);
          await side.audio.hears(440);
        }
        const press = ['Content-Type', 'application/dtmf-relay'] as const;
        assert.equal((await call.request('INFO', [press], 'Signal=5\r\nDuration=160\r\n')).status, 200);
        await incoming.waitFor('the digit', () => incoming.audio.report().digits === '5');
        assert.equal(await call.hangup(), 200, what);
        await incoming.ended();
      } finally {
        await odd.close();
      }
    }
  });

  test('long headers and many of them pass, up to what is kept of an INVITE', async () => {
    const long = 'ab'.repeat(1500);
    assert.equal((await calledBy(undefined, { headers: [['User-to-User', long]] })).get('User-to-User'), long);
    const many = Array.from({ length: 60 }, (_, i): Header => [`X-Header-${i}`, `value ${i}`]);
    const invite = await calledBy(undefined, { headers: [...many, ['X-Account', 'last']] });
    assert.equal(invite.get('X-Account'), 'last');
    const tooLong = await calledBy(undefined, {
      headers: [
        ['User-to-User', 'ab'.repeat(3000)],
        ['X-Account', 'kept'],
      ],
    });
    assert.deepEqual([tooLong.get('User-to-User'), tooLong.get('X-Account')], ['', 'kept'], 'whole or not at all');
  });

  test('URIs and SDP with IPv6 addresses do no harm', async t => {
    await calledBy(undefined, {
      from: '"six" <sip:100@[2001:db8::1]>;tag=6',
      headers: [['To', '<sip:70001@[2001:db8::2]>']],
    });
    const six = await SipEndpoint.open({
      address: farm.host(201),
      user: '100',
      codecs: ['PCMA'],
      writes: text =>
        rewritten(text, (head, body) => [
          head.replace(/Contact: [^\r]*/, 'Contact: <sip:100@[2001:db8::1]:5060>'),
          body.replace(/ IN IP4 \S+/g, ' IN IP6 2001:db8::1'),
        ]),
    });
    t.after(() => six.close());
    const [call, incoming] = await talking({}, six);
    assert.equal(parseSdp(incoming.invite.body).audio?.address.includes(':'), false);
    incoming.audio.sendTone(440);
    await call.audio.hears(440);
    assert.equal(await incoming.hangup(), 200);
    await call.ended();
    const [another, answered] = await talking({}, six);
    assert.equal(await another.hangup(), 200);
    await answered.ended();
  });

  test('of a body in parts the SDP is taken, and one without any is refused with 415', async t => {
    const parts =
      (partsOf: (body: string) => readonly string[]) =>
      (text: string): string =>
        rewritten(text, (head, body) => [
          `${head.replace('application/sdp', 'multipart/mixed;boundary=b1')}\r\nMIME-Version: 1.0`,
          `${partsOf(body)
            .map(part => `--b1\r\n${part}\r\n`)
            .join('')}--b1--\r\n`,
        ]);
    const isup =
      'Content-Type: application/isup;version=itu\r\nContent-Disposition: signal;handling=optional\r\n\r\nxyz';
    const sdp = (body: string): string => `Content-Type: application/sdp\r\n\r\n${body}`;
    for (const order of [(body: string) => [sdp(body), isup], (body: string) => [isup, sdp(body)]]) {
      const invite = await calledBy(parts(order));
      assert.equal(invite.get('Content-Type'), 'application/sdp');
    }
    const odd = await SipEndpoint.open({
      address: farm.host(201),
      user: '100',
      codecs: ['PCMA'],
      writes: parts(() => [isup]),
    });
    t.after(() => odd.close());
    const call = await odd.invite(farm.uri('70001'));
    assert.equal(await call.rejected(), 415);
  });

  test('digits reach the other side as it speaks them: telephone-event, or INFO', async () => {
    const press = async (side: SipCall, digit: string): Promise<void> => {
      const body = `Signal=${digit}\r\nDuration=160\r\n`;
      const response = await side.request('INFO', [['Content-Type', 'application/dtmf-relay']], body);
      assert.equal(response.status, 200);
    };
    for (const [callerEvents, calleeEvents] of [
      [true, true],
      [true, false],
      [false, true],
      [false, false],
    ] as const) {
      onCall = async call => {
        call.ring();
        await call.answer({ telephoneEvent: calleeEvents });
      };
      const outgoing = await trunk.invite(farm.uri('70001'), { telephoneEvent: callerEvents });
      await outgoing.answered();
      const incoming = callee.calls.at(-1);
      assert.ok(incoming);
      await incoming.confirmed();
      outgoing.audio.sendTone(440);
      incoming.audio.sendTone(660);
      await Promise.all([outgoing.audio.hears(660), incoming.audio.hears(440)]);
      const sides = [
        [outgoing, incoming, callerEvents, calleeEvents, '1#'],
        [incoming, outgoing, calleeEvents, callerEvents, '9*'],
      ] as const;
      for (const [side, other, hasEvents, wantsEvents, digits] of sides) {
        const before = other.requests('INFO').length;
        const signal = ({ body }: SipMessage): string => /Signal=(.)/.exec(body)?.[1] ?? '?';
        const heard = (): string => other.requests('INFO').slice(before).map(signal).join('');
        if (hasEvents) await side.audio.sendDigits(digits);
        else for (const digit of digits) await press(side, digit);
        const got = (): string => (wantsEvents ? other.audio.report().digits : heard());
        await waitFor(`the digits ${digits}`, () => got() === digits, {
          describe: () => `${got()}\n${other.ladder()}`,
        });
        assert.equal(wantsEvents ? heard() : other.audio.report().digits, '', 'in one form only');
      }
      await outgoing.hangup();
      await incoming.ended();
    }
  });

  test('the operator finds a call by either Call-ID, and has every message that its phones sent and received', async () => {
    const [outgoing, incoming] = await talking();
    const refused = await stranger.invite(farm.uri('70001'));
    const refusal = await refused.rejected();
    assert.notEqual(outgoing.callId, incoming.callId);
    const isFound = async (wanted: Partial<FoundCall>): Promise<void> => {
      const sipCallIds = [outgoing.callId, incoming.callId];
      const byEither = await Promise.all(sipCallIds.map(callId => farm.json<FoundCall[]>('find', callId)));
      for (const found of byEither) {
        assert.deepEqual(
          found.map(({ id, state, outcome, sipStatus, sipCallIds }) => ({ id, state, outcome, sipStatus, sipCallIds })),
          [{ ...wanted, sipCallIds }],
        );
      }
      const atTheEdge = await farm.json<FoundCall[]>('find', refused.callId);
      assert.deepEqual(
        atTheEdge.map(({ id, state, dialled, outcome, sipStatus }) => [id, state, dialled, outcome, sipStatus]),
        [[null, 'wire', '70001', 'INVITE', refusal]],
      );
    };
    const [call] = (await farm.calls()).filter(({ legs }) => legs[0]?.callId === outgoing.callId);
    assert.ok(call);
    await isFound({ id: call.id, state: 'confirmed', outcome: null, sipStatus: null });
    await isCaptured(call.id, [outgoing, incoming]);
    await outgoing.hangup();
    await incoming.ended();
    await recordOf(farm, outgoing.callId);
    await isFound({ id: call.id, state: 'ended', outcome: 'answered', sipStatus: 200 });
    await isCaptured(call.id, [outgoing, incoming]);
    await isCaptured(refused.callId, [refused]);
  });

  test('of all these calls nothing is left', async () => {
    await nothingLeft(farm);
  });
});
