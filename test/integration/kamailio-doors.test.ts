// What the edge refuses: forged dialogs, foreign next hops, replies to nothing, strangers, fenced nodes, garbage.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { after, afterEach, before, describe, it } from 'node:test';
import type { IncomingCall } from '../harness/incoming-call.js';
import type { SipEndpoint } from '../harness/sip-endpoint.js';
import { SipMessage, type Header } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab, labDomain, sentAgain } from './kamailio-lab.js';

let lab: EdgeLab;

before(async () => {
  lab = await EdgeLab.up();
});
after(() => lab.down());
afterEach(async () => {
  await lab.closeEndpoints();
  await lab.endSessions();
});

async function answer(call: IncomingCall): Promise<void> {
  await call.answer().catch(() => undefined);
}

/** Waits until a step of this endpoint has added so much to a counter, on all instances together; what it sends again is refused again. */
async function counts(by: SipEndpoint, name: string, wanted: number, step: () => Promise<void>): Promise<void> {
  const [before, sentBefore] = [await lab.counter(name), sentAgain(by)];
  await step();
  const moved = async (): Promise<number> => (await lab.counter(name)) - before - (sentAgain(by) - sentBefore);
  await waitFor(`${name} to move`, async () => (await moved()) === wanted, {
    describe: async () => `by ${await moved()}, not ${wanted}`,
  });
}

const target = (): string => `sip:70001@${lab.plan.publicVip}`;

describe('A request in a dialog from outside', () => {
  async function upCall() {
    const nodes = await lab.openNodes(answer);
    const phone = await lab.open({ host: 200 });
    const call = await phone.invite(target(), { codecs: ['PCMA'] });
    await call.answered();
    const inside = nodes.flatMap(one => one.calls)[0] as IncomingCall;
    await inside.confirmed();
    return { nodes, phone, call, inside };
  }

  /** The BYE that the phone would send, changed; sent by `from`. */
  async function forged(from: SipEndpoint, bye: SipMessage, ...changes: readonly Header[]): Promise<number> {
    const changed = changes.reduce((made, [name, value]) => made.with(name, ...(value === '' ? [] : [value])), bye);
    const headers = changed.headers.filter(([name]) => !/^(via|max-forwards|content-length)$/i.test(name));
    const response = await from.request('BYE', changed.requestUri, { headers, proxy: lab.publicVip });
    return response.status;
  }

  it('is refused without our signature for its Call-ID, and media stay', async () => {
    const { phone, call, inside } = await upCall();
    const stranger = await lab.open({ host: 220 });
    const bye = call.dialog.request('BYE');
    const route = bye.get('Route');
    const other = await phone.invite(target(), { codecs: ['PCMA'] });
    await other.answered();
    const foreign = other.dialog.routeSet[0]!;
    await counts(stranger, 'refused.signature', 7, async () => {
      assert.equal(await forged(stranger, bye, ['Route', '']), 403, 'no Route');
      assert.equal(
        await forged(stranger, bye, ['Route', route.replace(/hf=call-(\d)/, 'hf=call-9')]),
        403,
        'altered node',
      );
      assert.equal(await forged(stranger, bye, ['Route', route.replace('.any.', '.pcma.')]), 403, 'altered policy');
      assert.equal(await forged(stranger, bye, ['Route', route.replace('.k2.', '.k1.')]), 403, 'other key');
      assert.equal(
        await forged(stranger, bye, ['Route', route.replace(/\.k2\..{20}/, '.k2.AAAAAAAAAAAAAAAAAAAA')]),
        403,
        'invented',
      );
      assert.equal(await forged(stranger, bye, ['Route', route.replace(/;hf=[^;]*/, '')]), 403, 'no parameter');
      assert.equal(await forged(stranger, bye, ['Route', foreign]), 403, 'of another call');
    });
    assert.equal(inside.state, 'confirmed');
    call.audio.sendTone(440);
    await inside.audio.hears(440);
    assert.equal(await call.hangup(), 200);
    await other.hangup();
  });

  it('goes to a node of the farm only', async () => {
    const { call, inside } = await upCall();
    const stranger = await lab.open({ host: 220 });
    const third = await lab.open({ host: 221 });
    const bye = call.dialog.request('BYE');
    await counts(stranger, 'refused.nexthop', 5, async () => {
      const routes = [bye.get('Route'), `<sip:${third.address};lr>`].join(', ');
      assert.equal(await forged(stranger, bye, ['Route', routes]), 403);
      const headers = bye.headers.filter(([name]) => !/^(via|max-forwards|content-length)$/i.test(name));
      for (const uri of [
        `sip:x@${third.address}`,
        `sip:x@${lab.address(31)}:8088`,
        `sip:x@${lab.address(91)}`,
        `sip:x@${lab.plan.daemonAddress}`,
      ])
        assert.equal((await stranger.request('BYE', uri, { headers, proxy: lab.publicVip })).status, 403, uri);
    });
    assert.equal(third.ladder.rows().length, 0);
    assert.equal(inside.state, 'confirmed');
    assert.equal(await call.hangup(), 200);
  });

  it('is honoured under the key that is about to leave', async () => {
    const { call } = await upCall();
    assert.match(call.dialog.routeSet[0]!, /\.k2\./);
    assert.equal(await call.hangup(), 200);
  });
});

describe('A request from outside', () => {
  it('with a Route of its own goes nowhere', async () => {
    const phone = await lab.open({ host: 200 });
    const third = await lab.open({ host: 221 });
    await lab.openNodes(answer);
    await counts(phone, 'refused.nexthop', 3, async () => {
      for (const method of ['INVITE', 'OPTIONS', 'REGISTER']) {
        const headers: Header[] = [['Route', `<sip:${lab.plan.publicVip};lr>, <sip:${third.address};lr>`]];
        assert.equal((await phone.request(method, target(), { headers, proxy: lab.publicVip })).status, 403);
      }
    });
    assert.equal(third.ladder.rows().length, 0);
  });

  it('from a stranger is challenged, and let in with the right password at any instance', async () => {
    const nodes = await lab.openNodes(answer);
    const stranger = await lab.open({ host: 220, user: '1001', domain: labDomain });
    assert.equal(await (await stranger.invite(target())).rejected(), 407);
    const wrong = { username: '1001', password: 'not-it' };
    assert.equal(await (await stranger.invite(target(), { credentials: wrong })).rejected(), 407);
    const nobody = { username: '1999', password: 'alice-secret' };
    assert.equal(await (await stranger.invite(target(), { credentials: nobody })).rejected(), 407);
    assert.equal(nodes.flatMap(node => node.calls).length, 0, 'nothing reached a node');
    const call = await stranger.invite(target(), { credentials: { username: '1001', password: 'alice-secret' } });
    await call.answered();
    const inside = nodes.flatMap(node => node.calls)[0] as IncomingCall;
    assert.equal(inside.invite.get('X-Holdfast-Source'), 'subscriber:1001');
    assert.equal(inside.invite.get('Proxy-Authorization'), '');
    await call.hangup();
    // The ACKs to our own 407s ended at whichever instance they met.
    for (const node of nodes)
      for (const { message } of node.ladder.rows()) assert.doesNotMatch(message.toTag, /^[0-9a-f]{32}/);
  });

  it('with a number that is its own is let in', async () => {
    const nodes = await lab.openNodes(answer);
    const credentials = { username: '1001', password: 'alice-secret' };
    const phone = await lab.open({ host: 220, user: '+491001', domain: labDomain });
    const call = await phone.invite(target(), { credentials });
    await call.answered();
    const inside = nodes.flatMap(node => node.calls)[0] as IncomingCall;
    assert.equal(inside.invite.get('X-Holdfast-Source'), 'subscriber:1001');
    await call.hangup();
    for (const user of ['+491002', '1001,+491001']) {
      const from = `<sip:${user}@${labDomain}>;tag=${user.length}`;
      assert.equal(await (await phone.invite(target(), { credentials, from })).rejected(), 403, user);
    }
  });

  it('with the credentials of another request is challenged: from elsewhere, or to somebody else', async () => {
    await lab.openNodes(answer);
    const credentials = { username: '1001', password: 'alice-secret' };
    const phone = await lab.open({ host: 220, user: '1001', domain: labDomain });
    const call = await phone.invite(target(), { credentials });
    await call.answered();
    await call.hangup();
    const sent = phone.ladder.rows().map(({ message }) => message);
    const stolen = sent.map(message => message.get('Proxy-Authorization')).find(value => value !== '') ?? '';
    assert.notEqual(stolen, '');
    const headers: Header[] = [['Proxy-Authorization', stolen]];
    const thief = await lab.open({ host: 221, user: '1001', domain: labDomain });
    assert.equal(await (await thief.invite(target(), { headers })).rejected(), 407);
    const challenge = await thief.received('the challenge', ({ status }) => status === 407);
    assert.match(challenge.get('Proxy-Authenticate'), /stale=true/i, 'it may answer anew');
    const stranger = await lab.open({ host: 220, port: 5071, user: '1001', domain: labDomain });
    const wrong = { username: '1001', password: 'wrong' };
    assert.equal(await (await stranger.invite(target(), { credentials: wrong })).rejected(), 407);
    const all = stranger.ladder.rows().map(({ message }) => message.get('Proxy-Authenticate'));
    assert.doesNotMatch(all.join(), /stale/i, 'the password is wrong');
    assert.equal(await (await phone.invite(`${target()};x=y`, { headers })).rejected(), 407);
  });

  it('as somebody else is refused', async () => {
    await lab.openNodes(answer);
    const stranger = await lab.open({ host: 220, user: '1002', domain: labDomain });
    const credentials = { username: '1001', password: 'alice-secret' };
    assert.equal(await (await stranger.invite(target(), { credentials })).rejected(), 403);
  });

  it('cannot bring headers of ours', async () => {
    const nodes = await lab.openNodes(answer);
    const phone = await lab.open({ host: 200 });
    const headers: Header[] = [
      ['X-Holdfast-Source', 'trunk:evil'],
      ['X-Holdfast-Policy', 'pcma'],
      ['X-Holdfast-Leg', 'x'],
      ['TH', 'dlh'],
    ];
    const call = await phone.invite(target(), { headers });
    await call.answered();
    const { invite } = nodes.flatMap(node => node.calls)[0] as IncomingCall;
    assert.deepEqual(invite.all('X-Holdfast-Source'), ['trunk:lab']);
    assert.deepEqual(invite.all('X-Holdfast-Policy'), ['any']);
    assert.equal(invite.get('X-Holdfast-Leg') + invite.get('TH'), '');
    assert.equal(await call.hangup([['X-Holdfast-Leg', 'x']]), 200);
    const bye = nodes
      .flatMap(node => node.ladder.rows())
      .find(({ message }) => message.method === 'BYE' && message.isRequest)!.message;
    assert.equal(bye.get('X-Holdfast-Leg'), '');
  });

  it('of a method that calls do not need is refused', async () => {
    const phone = await lab.open({ host: 200 });
    assert.equal((await phone.request('SUBSCRIBE', target())).status, 489);
    assert.equal((await phone.request('OPTIONS', `sip:${lab.plan.publicVip}`)).status, 200);
  });

  it('that is an ACK to a reply of our own ends at the edge', async () => {
    const nodes = await lab.openNodes(answer);
    const phone = await lab.open({ host: 200 });
    const ack = (tag: string): string =>
      [
        `ACK ${target()} SIP/2.0`,
        `Via: SIP/2.0/UDP ${phone.address};branch=z9hG4bKack`,
        'Max-Forwards: 70',
        `From: <sip:a@b>;tag=1`,
        `To: <sip:a@b>;tag=${tag}`,
        'Call-ID: ack',
        'CSeq: 1 ACK',
        'Content-Length: 0',
        '',
        '',
      ].join('\r\n');
    const challenge = await phone.request('SUBSCRIBE', target());
    await counts(phone, 'dropped.ack', 6, async () => {
      for (let i = 0; i < 6; i++) await phone.sendRaw(ack(challenge.toTag), lab.publicVip);
    });
    assert.equal(nodes.flatMap(node => node.ladder.rows()).length, 0);
  });
});

describe('A REGISTER', () => {
  it('reaches the registrar, and the phone finds its own contact in the answer', async () => {
    const phone = await lab.open({ host: 200, user: '1001', domain: labDomain });
    const registrar = createSocket('udp4');
    const received: SipMessage[] = [];
    registrar.on('message', data => {
      const request = SipMessage.parse(data)!;
      received.push(request);
      const copied = request.headers.filter(([name]) => /^(via|from|to|call-id|cseq|contact)$/i.test(name));
      const own: Header[] = [['Server', 'Asterisk']];
      const reply = new SipMessage('SIP/2.0 200 OK', [...copied, ...own]);
      registrar.send(reply.toString(), lab.privateVip.port, lab.privateVip.address);
    });
    await new Promise<void>(resolve => registrar.bind(5060, lab.address(71), resolve));
    try {
      const response = await phone.register(`sip:${lab.plan.publicVip}`);
      assert.equal(response.status, 200);
      assert.equal(response.get('Contact'), phone.contact);
      assert.doesNotMatch(response.toString(), new RegExp(`Asterisk|${lab.address(71)}|${lab.plan.privateVip}`));
      assert.equal(received[0]!.get('Contact'), phone.contact);
      assert.equal(received[0]!.get('Record-Route'), '');
    } finally {
      registrar.close();
    }
  });
});

describe('A reply from outside', () => {
  it('is not passed on to strangers, nor does it end media that it has no right to', async () => {
    const nodes = await lab.openNodes(answer);
    const phone = await lab.open({ host: 200 });
    const stranger = await lab.open({ host: 220 });
    const victim = await lab.open({ host: 221 });
    const call = await phone.invite(target(), { codecs: ['PCMA'] });
    await call.answered();
    const inside = nodes.flatMap(node => node.calls)[0] as IncomingCall;
    const engine = /hf=[^.]*\.([^.]*)\./.exec(call.dialog.routeSet[0]!)![1]!;
    const reply = (via2: string, hf: string): string =>
      [
        'SIP/2.0 486 Busy Here',
        `Via: SIP/2.0/UDP ${lab.plan.publicVip};branch=z9hG4bKx;hf=${hf}`,
        `Via: SIP/2.0/UDP ${via2};branch=z9hG4bKy`,
        `From: ${call.dialog.local}`,
        `To: ${call.dialog.remote}`,
        `Call-ID: ${call.callId}`,
        'CSeq: 1 INVITE',
        'Content-Length: 0',
        '',
        '',
      ].join('\r\n');
    await counts(stranger, 'refused.reply', 2, async () => {
      await stranger.sendRaw(reply(victim.address, `${engine}.any.o.i`), lab.publicVip);
      await stranger.sendRaw(reply(`${lab.address(31)};received=${victim.address}`, 'x'), lab.publicVip);
    });
    await counts(stranger, 'refused.signature', 1, () =>
      stranger.sendRaw(reply(lab.address(31), `${engine}.any.o.i.k2.AAAAAAAAAAAAAAAAAAAA`), lab.publicVip),
    );
    assert.equal(victim.ladder.rows().length, 0);
    call.audio.sendTone(440);
    await inside.audio.hears(440);
    await call.hangup();
  });
});

describe('The inside', () => {
  it('is closed to who is not a node, and to a fenced one', async () => {
    const stranger = await lab.open({ host: 230 });
    const node = await lab.open({ host: 31 });
    const phone = await lab.open({ host: 208 });
    const ask = (from: SipEndpoint): Promise<SipMessage> =>
      from.request('OPTIONS', `sip:x@${phone.address}`, {
        headers: [['Route', `<sip:${lab.plan.privateVip};lr>`]],
        proxy: lab.privateVip,
      });
    await counts(stranger, 'refused.source', 1, async () => void ask(stranger));
    await lab.apply({ fenced: ['call-1'] });
    await counts(node, 'refused.fenced', 1, async () => void ask(node));
    assert.equal(phone.ladder.rows().length, 0);
    await lab.apply({ fenced: [] });
    assert.equal((await ask(node)).status, 200);
  });
});

describe('Garbage', () => {
  it('moves a counter at most, and the next honest call succeeds', async () => {
    await lab.openNodes(answer);
    const phone = await lab.open({ host: 200 });
    const pids = lab.nodes('kamailio').map(node => lab.host.process(node.name)?.pid);
    const samples = [
      '',
      '\r\n\r\n',
      'INVITE',
      'INVITE sip: SIP/2.0\r\n\r\n',
      `INVITE ${target()} SIP/2.0\r\nVia: x\r\n\r\n`,
      `INVITE ${target()} SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <\r\nTo: >\r\nCall-ID:\r\nCSeq: 99999999999 INVITE\r\n\r\n`,
      `BYE ${target()} SIP/2.0\r\nVia: SIP/2.0/UDP ${phone.address};branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=a\r\nTo: <sip:a@b>;tag=b\r\nCall-ID: x\r\nCSeq: 1 BYE\r\nRoute: <sip:${lab.plan.publicVip};hf=;lr>\r\n\r\n`,
      `BYE ${target()} SIP/2.0\r\nVia: SIP/2.0/UDP ${phone.address};branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=a\r\nTo: <sip:a@b>;tag=b\r\nCall-ID: x\r\nCSeq: 1 BYE\r\nRoute: <sip:${lab.plan.publicVip};hf=....;lr>\r\n\r\n`,
      `BYE ${target()};line=sr-AAAA SIP/2.0\r\nVia: SIP/2.0/UDP ${phone.address};branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=a\r\nTo: <sip:a@b>;tag=b\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n\r\n`,
      `SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP ${lab.plan.publicVip};branch=z9hG4bK-;hf=.....\r\n\r\n`,
      `SIP/2.0 999 ${'x'.repeat(9000)}\r\n\r\n`,
      'x'.repeat(20_000),
      (await phone.invite(target())).invite.toString().replace('\r\n\r\n', `\r\nX-Long: ${'x'.repeat(17_000)}\r\n\r\n`),
    ];
    for (const sample of samples) for (let i = 0; i < 3; i++) await phone.sendRaw(sample, lab.publicVip);
    for (let i = 0; i < 200; i++)
      await phone.sendRaw(randomBytes(1 + (i % 1400)), i % 2 ? lab.publicVip : lab.privateVip);
    const call = await phone.invite(target(), { codecs: ['PCMA'] });
    await call.answered();
    await call.hangup();
    assert.deepEqual(
      lab.nodes('kamailio').map(node => lab.host.process(node.name)?.pid),
      pids,
    );
    assert.ok((await lab.counter('dropped.size')) > 0);
  });
});
