// Two of the test kit's SIP endpoints call each other: what every end-to-end test is built on.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { codecs, type CodecName } from '../harness/audio-codec.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { SipDialog } from '../harness/sip-dialog.js';
import { answerChallenge } from '../harness/sip-digest.js';
import { SipMessage, splitList, uriOf } from '../harness/sip-message.js';
import { formatSdp, offeredCodecs, parseSdp } from '../harness/sdp.js';

describe('SIP endpoint', () => {
  let alice: SipEndpoint;
  let bob: SipEndpoint;
  let target: string;

  before(async () => {
    const subnet = await freeSubnet();
    alice = await SipEndpoint.open({ address: subnet.host(200), user: 'alice' });
    bob = await SipEndpoint.open({ address: subnet.host(201), user: 'bob', codecs: ['PCMA', 'PCMU', 'G722', 'opus'] });
    target = `sip:bob@${bob.address}:5060`;
  });
  after(async () => {
    await alice.close();
    await bob.close();
  });

  for (const codec of Object.keys(codecs) as CodecName[]) {
    it(`calls, hears and is heard, and sends digits: ${codec}`, async () => {
      bob.onInvite(async call => {
        call.ring();
        await call.answer();
        call.audio.sendTone(880);
      });
      const call = await alice.invite(target, { codecs: [codec] });
      await call.ringing();
      await call.answered();
      call.audio.sendTone(440);
      const [callee] = bob.calls.slice(-1);
      await Promise.all([call.audio.hears(880), callee!.audio.hears(440)]);
      assert.equal(callee!.audio.codec, codec);
      await call.audio.sendDigits('5#');
      await callee!.waitFor('the digits', () => callee!.audio.report().digits === '5#');
      assert.equal(await call.hangup(), 200);
      assert.equal((await callee!.ended()).by, 'them');
    });
  }

  it('hears early media before the answer', async () => {
    bob.onInvite(async call => {
      call.progress();
      call.audio.sendTone(600);
      await sleep(300);
      await call.answer();
    });
    const call = await alice.invite(target);
    await call.earlyMedia();
    await call.audio.hears(600);
    await call.answered();
    await call.hangup();
  });

  it('hears each provisional response once, and goes nowhere back for one that is late', async () => {
    bob.onInvite(call => {
      call.ring();
      call.ring();
      call.trying();
    });
    const call = await alice.invite(target);
    await alice.received('the 100', one => one.status === 100 && one.callId === call.callId);
    assert.deepEqual(
      call.provisional.map(({ status }) => status),
      [180, 100],
    );
    assert.equal(call.state, 'early');
    await call.cancel();
  });

  it('is told busy, declined and not found', async () => {
    for (const status of [486, 603, 404]) {
      bob.onInvite(call => call.reject(status));
      const call = await alice.invite(target);
      assert.equal(await call.rejected(), status);
      assert.equal(call.state, 'terminated');
    }
  });

  it('cancels a ringing call', async () => {
    bob.onInvite(call => call.ring());
    const call = await alice.invite(target);
    await call.ringing();
    assert.equal(await call.cancel(), 487);
    assert.equal(bob.calls.at(-1)!.state, 'terminated');
  });

  it('hangs up where its CANCEL crossed the answer', async () => {
    bob.onInvite(call => {
      call.onCancel = 'answer';
      call.ring();
    });
    const call = await alice.invite(target);
    await call.ringing();
    assert.equal(await call.cancel(), 200);
    assert.equal((await bob.calls.at(-1)!.ended()).by, 'them');
  });

  it('makes the offer in the 200 where the INVITE had none', async () => {
    bob.onInvite(async call => {
      await call.answer({ codecs: ['G722', 'PCMA'] });
      call.audio.sendTone(700);
    });
    const call = await alice.invite(target, { sdp: 'none', codecs: ['PCMA'] });
    await call.answered();
    call.audio.sendTone(500);
    await Promise.all([call.audio.hears(700), bob.calls.at(-1)!.audio.hears(500)]);
    await call.hangup();
  });

  it('holds and resumes by re-INVITE, with the same session id and a rising version', async () => {
    bob.onInvite(async call => {
      await call.answer();
    });
    const call = await alice.invite(target);
    await call.answered();
    const callee = bob.calls.at(-1)!;
    await call.reinvite({ direction: 'sendonly' });
    assert.equal(callee.media.direction, 'recvonly');
    call.audio.resetReport();
    await sleep(100);
    assert.ok(call.audio.report().packets <= 1);
    await call.reinvite({ direction: 'sendrecv' });
    callee.audio.sendTone(440);
    await call.audio.hears(440);
    const offers = callee.reinvites.map(({ body }) => parseSdp(body));
    assert.deepEqual(
      offers.map(({ version }) => version),
      ['2', '3'],
    );
    assert.equal(parseSdp(call.invite.body).id, offers[0]!.id);
    await callee.hangup();
    assert.equal((await call.ended()).by, 'them');
  });

  it('sends again what is lost, and takes a 200 that comes twice', async () => {
    bob.onInvite(async call => {
      await call.answer();
    });
    alice.loseNext(({ direction, message }) => direction === 'sent' && message.method === 'INVITE');
    alice.loseNext(({ direction, message }) => direction === 'sent' && message.method === 'ACK');
    const call = await alice.invite(target);
    await call.answered();
    await call.waitFor('the 200 again', () => call.successes === 2);
    await bob.calls.at(-1)!.confirmed();
    assert.ok(bob.retransmissions >= 1);
    assert.equal(await call.hangup(), 200);
  });

  it('answers 481 to a request of no dialog of its own, and 482 to an INVITE that came by two ways', async () => {
    const headers = [['To', `<${target}>;tag=invented`]] as const;
    assert.equal((await alice.request('BYE', target, { headers })).status, 481);
    bob.onInvite(call => call.ring());
    const same = [
      ['Call-ID', 'merged@test'],
      ['From', '<sip:alice@a>;tag=1'],
    ] as const;
    void alice.request('INVITE', target, { headers: [...same, ['Contact', alice.contact]] });
    await alice.received('180', ({ status, callId }) => status === 180 && callId === 'merged@test');
    assert.equal((await alice.request('INVITE', target, { headers: same })).status, 482);
  });

  it('answers 491 to a re-INVITE that crosses its own', async () => {
    bob.onInvite(async call => {
      await call.answer();
    });
    const call = await alice.invite(target);
    await call.answered();
    const callee = await bob.calls.at(-1)!.confirmed();
    const statuses = await Promise.all([call.reinvite(), callee.reinvite()]);
    assert.deepEqual(
      statuses.map(({ status }) => status),
      [491, 491],
    );
    await call.hangup();
  });

  it('tells in its ladder what was sent and received', async () => {
    bob.onInvite(call => call.reject(486));
    const call = await alice.invite(target);
    await assert.rejects(
      call.answered(),
      /refused: SIP\/2\.0 486 Busy Here\n.*-> .* INVITE sip:bob.*\n.*<- .* 486 Busy/,
    );
  });
});

describe('SIP message', () => {
  it('keeps commas in quotes and brackets together', () => {
    assert.deepEqual(splitList('"A, \\"B" <sip:a@b;x=1,2>, <sip:c;lr>'), ['"A, \\"B" <sip:a@b;x=1,2>', '<sip:c;lr>']);
    assert.equal(uriOf('"<x>" <sip:a@b;lr>;tag=1'), 'sip:a@b;lr');
  });

  it('reads compact and folded headers', () => {
    const message = SipMessage.parse('BYE sip:a@b SIP/2.0\r\ni: 1\r\nf: <sip:x>\r\n ;tag=2\r\nv: A, B\r\n\r\nbody')!;
    assert.deepEqual(
      [message.callId, message.fromTag, message.all('Via'), message.body],
      ['1', '2', ['A', 'B'], 'body'],
    );
    assert.equal(SipMessage.parse('\r\n\r\n'), undefined);
  });
});

describe('SIP dialog', () => {
  const invite = SipMessage.parse(
    'INVITE sip:b@2 SIP/2.0\r\nVia: x\r\nRecord-Route: <sip:2.2.2.2;lr>, <sip:1.1.1.1:5070;lr>\r\nFrom: <sip:a>;tag=f\r\n' +
      'To: <sip:b>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:a@9.9.9.9>\r\n\r\n',
  )!;

  it('has the routes in order for the called side, reversed for the calling side', () => {
    const callee = SipDialog.ofCallee(invite, 't');
    assert.deepEqual(callee.destination, { address: '2.2.2.2', port: 5060 });
    assert.equal(callee.request('BYE').startLine, 'BYE sip:a@9.9.9.9 SIP/2.0');
    const response = invite.with('To', '<sip:b>;tag=t').with('Contact', '<sip:b@8.8.8.8>');
    const caller = SipDialog.ofCaller(invite, response);
    assert.deepEqual(caller.destination, { address: '1.1.1.1', port: 5070 });
    assert.equal(caller.request('BYE').get('CSeq'), '8 BYE');
    assert.ok(caller.has(callee.request('INFO')));
  });
});

describe('digest', () => {
  it('answers as RFC 2617 §3.5 does where there is no qop', () => {
    const request = new SipMessage('GET /dir/index.html SIP/2.0', []);
    const response = new SipMessage('SIP/2.0 401 Unauthorized', [
      ['WWW-Authenticate', 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'],
    ]);
    const answer = answerChallenge(response, request, { username: 'Mufasa', password: 'Circle Of Life' });
    assert.match(answer![1], /response="670fd8c2df070c60b045671b8b24ff02"/);
  });
});

describe('SDP', () => {
  it('is read back as written, other media refused in their places', () => {
    const model = {
      id: 1,
      version: 2,
      address: '127.0.0.1',
      port: 4000,
      direction: 'sendonly' as const,
      codecs: offeredCodecs(['opus', 'PCMA'], true),
      refused: [{ at: 0, line: 'video 5000 RTP/AVP 96' }],
    };
    const { audio, media, version } = parseSdp(formatSdp(model));
    assert.deepEqual(media, ['video 0 RTP/AVP 96', 'audio 4000 RTP/AVP 107 8 101 110']);
    assert.equal(version, '2');
    const { address, port, direction, codecs } = model;
    assert.deepEqual(audio, { address, port, direction, codecs, transport: 'RTP/AVP', keys: [] });
  });
});
