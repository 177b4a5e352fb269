// Calls through real Kamailios, balanced per packet, and real RTPEngines: media by outcomes, PCMU inside, no address outside.
import { after, afterEach, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import type { CodecName } from '../harness/audio-codec.js';
import type { IncomingCall } from '../harness/incoming-call.js';
import type { InviteOptions, OutgoingCall } from '../harness/outgoing-call.js';
import { parseSdp } from '../harness/sdp.js';
import type { SipCall } from '../harness/sip-call.js';
import type { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab, labDomain } from './kamailio-lab.js';

let lab: EdgeLab;

before(async () => {
  lab = await EdgeLab.up();
});
after(() => lab.down());
afterEach(async () => {
  await lab.closeEndpoints();
  try {
    await waitFor('no media session to be left', async () => (await lab.sessions()) === 0);
  } finally {
    await lab.endSessions();
  }
});

function onlyCall(of: readonly SipEndpoint[]): IncomingCall {
  const calls = of.flatMap(one => one.calls);
  assert.equal(calls.length, 1, 'one call');
  return calls[0] as IncomingCall;
}

async function answer(call: IncomingCall): Promise<void> {
  await call.answer();
}

/** A leg that a call node originates, as its Asterisk would send it. */
async function originate(node: SipEndpoint, target: string, options: InviteOptions = {}): Promise<OutgoingCall> {
  const headers = [['Route', `<sip:${lab.plan.privateVip}:5060;lr>`], ...(options.headers ?? [])] as const;
  return node.invite(target, {
    callId: `n${process.hrtime.bigint()}`,
    ...options,
    from: `<sip:1001@${labDomain}>;tag=n${Date.now()}`,
    proxy: lab.privateVip,
    headers,
  });
}

async function hearEachOther(a: SipCall, b: SipCall): Promise<void> {
  a.audio.sendTone(440);
  b.audio.sendTone(660);
  await b.audio.hears(440);
  await a.audio.hears(660);
}

function namesIn(sdp: string): string[] {
  return (parseSdp(sdp).audio?.codecs ?? []).map(({ name }) => name);
}

describe('A call from a trunk', () => {
  const offers: readonly (readonly [string, readonly CodecName[], boolean])[] = [
    ['opus', ['opus'], true],
    ['G.722', ['G722'], true],
    ['PCMA', ['PCMA'], true],
    ['PCMU', ['PCMU'], true],
    ['PCMA without telephone-event', ['PCMA'], false],
    ['opus and PCMA', ['opus', 'PCMA'], true],
  ];
  for (const [what, codecs, telephoneEvent] of offers) {
    it(`with ${what} is PCMU inside and heard on both sides`, async () => {
      const nodes = await lab.openNodes(async call => {
        call.ring();
        await call.answer();
      });
      const phone = await lab.open({ host: 200 });
      const call = await phone.invite(`sip:70001@${lab.plan.publicVip}`, { codecs, telephoneEvent });
      const response = await call.answered();
      const inside = onlyCall(nodes);
      assert.deepEqual(
        namesIn(inside.invite.body).filter(name => name !== 'telephone-event'),
        ['PCMU'],
        inside.invite.body,
      );
      assert.ok(
        namesIn(response.body).every(
          name => name === 'telephone-event' || (codecs as readonly string[]).includes(name),
        ),
        response.body,
      );
      if (!telephoneEvent) assert.ok(!namesIn(response.body).includes('telephone-event'), response.body);
      await hearEachOther(call, inside);
      assert.equal(await call.hangup(), 200);
    });
  }

  it('is not answered with a codec that the policy does not have', async () => {
    await lab.apply({ sources: [...lab.state.sources, { address: lab.address(202), trunk: 'old', policy: 'pcma' }] });
    const nodes = await lab.openNodes(answer);
    const phone = await lab.open({ host: 202 });
    const call = await phone.invite(`sip:70001@${lab.plan.publicVip}`, { codecs: ['opus', 'PCMU', 'PCMA'] });
    const response = await call.answered();
    assert.deepEqual(
      namesIn(response.body).filter(name => name !== 'telephone-event'),
      ['PCMA'],
      response.body,
    );
    await hearEachOther(call, onlyCall(nodes));
    await call.hangup();
    const refused = await phone.invite(`sip:70001@${lab.plan.publicVip}`, { codecs: ['opus'] });
    assert.equal(await refused.rejected(), 488);
  });

  it('keeps odd payload types outside and the usual ones inside', async () => {
    const nodes = await lab.openNodes(call => void call.answer().catch(() => undefined));
    const phone = await lab.open({ host: 200 });
    const sdp = [
      'v=0',
      `o=- 1 1 IN IP4 ${phone.address}`,
      's=-',
      `c=IN IP4 ${phone.address}`,
      't=0 0',
      'm=audio 40000 RTP/AVP 8 18 97',
      'a=rtpmap:97 telephone-event/8000',
      'a=fmtp:97 0-15',
      'a=rtpmap:18 G729/8000',
      '',
    ].join('\r\n');
    const response = await phone.request('INVITE', `sip:70001@${lab.plan.publicVip}`, {
      headers: [
        ['Contact', phone.contact],
        ['Content-Type', 'application/sdp'],
      ],
      body: sdp,
    });
    const inside = onlyCall(nodes);
    assert.deepEqual(namesIn(inside.invite.body), ['PCMU', 'telephone-event']);
    assert.deepEqual(
      parseSdp(response.body).audio?.codecs.map(({ payloadType }) => payloadType),
      [8, 97],
      response.body,
    );
    await lab.endSessions();
  });

  it('with a delayed offer gets its media through the ACK', async () => {
    const nodes = await lab.openNodes(answer);
    const phone = await lab.open({ host: 200 });
    const call = await phone.invite(`sip:70001@${lab.plan.publicVip}`, { codecs: ['PCMA'], sdp: 'none' });
    const offer = await call.answered();
    assert.ok(namesIn(offer.body).includes('PCMA'), offer.body);
    await hearEachOther(call, onlyCall(nodes));
    await call.hangup();
  });

  it('has early media', async () => {
    const nodes = await lab.openNodes(call => call.progress());
    const phone = await lab.open({ host: 200 });
    const call = await phone.invite(`sip:70001@${lab.plan.publicVip}`, { codecs: ['G722'] });
    await call.earlyMedia();
    const inside = onlyCall(nodes);
    inside.audio.sendTone(660);
    await call.audio.hears(660);
    assert.equal(await call.cancel(), 487);
  });

  it('that is refused leaves no media', async () => {
    await lab.openNodes(call => call.reject(486));
    const phone = await lab.open({ host: 200 });
    assert.equal(await (await phone.invite(`sip:70001@${lab.plan.publicVip}`)).rejected(), 486);
  });

  it('keeps its media when a CANCEL crosses the 200', async () => {
    const nodes = await lab.openNodes(call => {
      call.onCancel = 'ignore';
      call.ring();
    });
    const phone = await lab.open({ host: 200 });
    const call = await phone.invite(`sip:70001@${lab.plan.publicVip}`, { codecs: ['PCMA'] });
    await call.ringing();
    const inside = onlyCall(nodes);
    const { requestUri, headers, branch, cseq } = call.invite;
    const copied = headers.filter(([name]) => /^(max-forwards|from|to|call-id)$/i.test(name));
    const cancel = [
      `CANCEL ${requestUri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${phone.address}:5060;branch=${branch};rport`,
      ...copied.map(([name, value]) => `${name}: ${value}`),
      `CSeq: ${cseq} CANCEL`,
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n');
    await phone.sendRaw(cancel, lab.publicVip);
    await inside.cancelled();
    await inside.answer();
    await call.answered();
    await hearEachOther(call, inside);
    await call.hangup();
  });

  it('keeps its media through re-INVITEs of either side and a refused one', async () => {
    const nodes = await lab.openNodes(answer);
    const phone = await lab.open({ host: 200 });
    const call = await phone.invite(`sip:70001@${lab.plan.publicVip}`, { codecs: ['PCMA'] });
    await call.answered();
    const inside = onlyCall(nodes);
    await inside.confirmed();
    await hearEachOther(call, inside);
    const first = parseSdp(inside.invite.body).audio!;
    await inside.reinvite();
    assert.equal(call.reinvites.length, 1);
    await call.reinvite();
    assert.equal(parseSdp(inside.reinvites.at(-1)!.body).audio?.port, first.port, 'the inside port stays');
    inside.onReinvite = 488;
    await call.reinvite().catch(() => undefined);
    call.audio.resetReport();
    await hearEachOther(call, inside);
    assert.equal(await inside.hangup(), 200);
    await call.ended();
  });
});

describe('A call from a call node', () => {
  for (const codec of ['opus', 'G722', 'PCMA', 'PCMU'] as const) {
    it(`to a phone that speaks ${codec} only is heard on both sides`, async () => {
      const node = await lab.open({ host: 31, codecs: ['PCMU'] });
      const phone = await lab.open({ host: 208, codecs: [codec] });
      phone.onInvite(async call => {
        call.ring();
        await call.answer();
      });
      const call = await originate(node, `sip:70001@${phone.address}:5060`, { codecs: ['PCMU'] });
      const response = await call.answered();
      const outside = onlyCall([phone]);
      assert.deepEqual(
        namesIn(outside.invite.body).filter(name => name !== 'telephone-event'),
        ['opus', 'G722', 'PCMA', 'PCMU'],
      );
      assert.deepEqual(
        namesIn(response.body).filter(name => name !== 'telephone-event'),
        ['PCMU'],
        response.body,
      );
      await outside.confirmed();
      await hearEachOther(call, outside);
      assert.equal(await outside.hangup(), 200);
      await call.ended();
    });
  }

  it('offers what the policy of its header has, and no header of ours goes out', async () => {
    const node = await lab.open({ host: 31, codecs: ['PCMU'] });
    const phone = await lab.open({ host: 208, codecs: ['PCMA'] });
    phone.onInvite(answer);
    const call = await originate(node, `sip:70001@${phone.address}:5060`, {
      codecs: ['PCMU'],
      headers: [
        ['X-Holdfast-Policy', 'pcma'],
        ['X-Holdfast-Call', 'c1'],
        ['User-Agent', 'Asterisk PBX'],
      ],
    });
    await call.answered();
    const { invite } = onlyCall([phone]);
    assert.deepEqual(namesIn(invite.body), ['PCMA', 'telephone-event']);
    assert.doesNotMatch(invite.toString(), /X-Holdfast|Asterisk/);
    await hearEachOther(call, onlyCall([phone]));
    assert.equal(await call.hangup(), 200);
  });

  it('can be cancelled and refused', async () => {
    const node = await lab.open({ host: 32, codecs: ['PCMU'] });
    const phone = await lab.open({ host: 208, codecs: ['PCMA'] });
    phone.onInvite(call => call.ring());
    const call = await originate(node, `sip:70001@${phone.address}:5060`, { codecs: ['PCMU'] });
    await call.ringing();
    assert.equal(await call.cancel(), 487);
    phone.onInvite(one => one.reject(603));
    assert.equal(
      await (await originate(node, `sip:70001@${phone.address}:5060`, { codecs: ['PCMU'] })).rejected(),
      603,
    );
  });
});

describe('What the outside sees', () => {
  it('has no address of the inside, in any message of calls both ways', async () => {
    const phone = await lab.open({ host: 200 });
    const callee = await lab.open({ host: 208, codecs: ['PCMA'] });
    callee.onInvite(async call => {
      call.ring();
      await call.answer();
    });
    const nodes = await lab.openNodes(async call => {
      call.ring([
        ['Server', 'Asterisk'],
        ['Warning', '399 127.0.0.1 "x"'],
      ]);
      await call.answer();
    });
    const call = await phone.invite(`sip:70001@${lab.plan.publicVip}`, { codecs: ['PCMA'] });
    await call.answered();
    const inside = onlyCall(nodes);
    await inside.confirmed();
    await inside.reinvite();
    await call.hangup();
    const out = await originate(nodes[0]!, `sip:70001@${callee.address}:5060`, { codecs: ['PCMU'] });
    await out.answered();
    await onlyCall([callee]).confirmed();
    await onlyCall([callee]).reinvite();
    await out.hangup();
    await phone.request('OPTIONS', `sip:${lab.plan.publicVip}`);
    const heard = [phone, callee].flatMap(one => one.ladder.rows().filter(row => row.direction === 'received'));
    const texts = heard.map(row => row.message.toString());
    assert.ok(texts.length >= 10, `${texts.length} messages`);
    const inner = lab.plan.nodes.map(node => node.address).concat(lab.plan.privateVip);
    const edges = lab.nodes('kamailio').map(node => node.external!);
    for (const text of texts)
      for (const address of [...inner, ...edges])
        assert.ok(!new RegExp(`${address.replaceAll('.', '\\.')}(?!\\d)`).test(text), `${address} in\n${text}`);
    for (const text of texts) assert.doesNotMatch(text, /^(TH|Server|Warning|X-Holdfast)/m);
  });

  it('is told to the daemon as every Asterisk saw it', async () => {
    const nodes = await lab.openNodes(answer);
    const phone = await lab.open({ host: 200 });
    const call = await phone.invite(`sip:70001@${lab.plan.publicVip}`, { codecs: ['PCMA'] });
    await call.answered();
    await onlyCall(nodes).confirmed();
    await call.hangup();
    const node = nodes.find(one => one.calls.length > 0)!;
    const seen = node.ladder.rows(call.callId).filter(row => row.direction === 'received');
    for (const { message } of seen) {
      await waitFor(`a HEP copy of ${message.startLine}`, () =>
        lab.hep.some(
          packet =>
            packet.destination.address === node.address &&
            packet.payload.toString().includes(call.callId) &&
            packet.payload.toString().startsWith(message.startLine) &&
            packet.payload.toString().includes(message.get('Via')) &&
            packet.authKey?.toString() === 'labHepKey',
        ),
      );
    }
    const captureIds = new Set(lab.hep.map(packet => packet.captureId));
    assert.ok([...captureIds].every(id => id === 1 || id === 2 || id === 3));
  });
});
