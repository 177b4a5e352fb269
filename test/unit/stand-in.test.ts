// What the stand-in says and how often, read off the wire by a socket in the place of the private VIP.
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { HoldfastError } from '../../core/errors.js';
import type { Dialog, OpenInvite } from '../../core/ledger/dialog.js';
import { silentLogger } from '../../core/log.js';
import { StandIn } from '../../core/recovery/stand-in.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

const subnet = await freeSubnet();
const daemon = subnet.host(2);
const vip = subnet.host(101);

let standIn: StandIn;
let edge: Socket;
let answer: (request: SipMessage) => number = () => 0;
const heard: { readonly message: SipMessage; readonly atMs: number }[] = [];

before(async () => {
  edge = createSocket('udp4');
  edge.on('message', (data, from) => {
    const message = SipMessage.parse(data)!;
    heard.push({ message, atMs: performance.now() });
    const status = message.isRequest ? answer(message) : 0;
    if (status > 0) edge.send(responseTo(message, status), from.port, from.address);
  });
  await new Promise<void>(resolve => edge.bind(5060, vip, resolve));
});
after(() => edge.close());
beforeEach(async () => {
  heard.length = 0;
  answer = () => 200;
  standIn = new StandIn({ address: daemon, privateVip: vip, log: silentLogger });
  await standIn.open();
});
afterEach(() => standIn.close());

function responseTo(request: SipMessage, status: number): string {
  const copied = request.headers.filter(([name]) => /^(via|from|to|call-id|cseq)$/i.test(name));
  return new SipMessage(`SIP/2.0 ${status} Whatever`, copied).toString();
}

const messages = (): SipMessage[] => heard.map(({ message }) => message);

const invite: OpenInvite = {
  callId: 'a-call',
  node: 'call-1',
  direction: 'out',
  requestUri: 'sip:70001@192.0.2.7',
  vias: ['SIP/2.0/UDP 127.0.9.31:5060;rport;branch=z9hG4bKdead'],
  routes: [`<sip:${vip};lr>`],
  recordRoutes: [],
  from: '"A \\"B\\", C" <sip:service@holdfast.test>;tag=ours',
  to: '<sip:70001@192.0.2.7>',
  cseq: 4711,
  toTags: [],
  legId: 'leg',
  answeredBy: null,
  sentMs: 0,
};

const dialog: Dialog = {
  callId: 'a-dialog',
  node: 'call-1',
  role: 'uas',
  state: 'confirmed',
  local: { uri: 'sip:70001@holdfast.test', displayName: '', tag: 'ours' },
  remote: { uri: 'sip:1001@holdfast.test', displayName: 'Al', tag: 'theirs' },
  localCseq: 17,
  remoteCseq: 2,
  routeSet: [`<sip:${vip}:5060;hf=call-1.e1-1.any.k1.mac;lr>`, '<sip:192.0.2.1;lr>'],
  remoteTarget: 'sip:1001@192.0.2.7:5062',
  localSdp: null,
  session: null,
  remoteSdp: null,
  legId: null,
  changedMs: 0,
  holes: [],
};

describe('The stand-in', () => {
  it('refuses an INVITE with the Vias, the tags and the CSeq of its transaction, more than once', async () => {
    const vias = [`SIP/2.0/UDP ${vip};branch=z9hG4bKedge;hf=x`, 'SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKphone'];
    await standIn.refuse({ ...invite, direction: 'in', vias, toTags: ['ours'] }, 503, 'Service Unavailable');
    await waitFor('it to be sent three times', () => heard.length === 3);
    for (const message of messages()) {
      assert.equal(message.startLine, 'SIP/2.0 503 Service Unavailable');
      assert.deepEqual(message.all('Via'), vias);
      assert.equal(message.get('From'), invite.from);
      assert.equal(message.get('To'), `${invite.to};tag=ours`);
      assert.equal(message.get('CSeq'), '4711 INVITE');
    }
    // T1 and twice T1 apart (RFC 3261 §17.2.1); the first may be heard late.
    assert.ok(heard[2]!.atMs - heard[0]!.atMs > 900);
  });

  it('gives a To tag to an INVITE that never got one', async () => {
    await standIn.refuse({ ...invite, direction: 'in' }, 500, 'Gone');
    await waitFor('it to be sent', () => heard.length > 0);
    assert.match(messages()[0]!.toTag, /^\w{8,}$/);
  });

  it('cancels in the transaction of the INVITE, until it is answered', async () => {
    answer = () => (heard.length < 2 ? 0 : 481);
    assert.equal(await standIn.cancel(invite), 481);
    assert.equal(heard.length, 2);
    const [cancel] = messages();
    assert.equal(cancel!.startLine, `CANCEL ${invite.requestUri} SIP/2.0`);
    assert.deepEqual(cancel!.all('Via'), invite.vias);
    assert.deepEqual(cancel!.all('Route'), invite.routes);
    assert.deepEqual([cancel!.get('To'), cancel!.get('CSeq')], [invite.to, '4711 CANCEL']);
  });

  it('acknowledges an answer and hangs up, along the route set of that answer', async () => {
    const answeredBy = {
      toTag: 'theirs',
      contact: 'sip:phone@192.0.2.7:5070',
      recordRoutes: ['<sip:b;lr>', '<sip:a;lr>'],
    };
    assert.equal(await standIn.acknowledgeAndBye({ ...invite, answeredBy }), 200);
    const [ack, bye] = messages();
    assert.deepEqual([ack!.method, ack!.cseq, bye!.method, bye!.cseq], ['ACK', 4711, 'BYE', 4712]);
    for (const message of [ack!, bye!]) {
      assert.equal(message.requestUri, answeredBy.contact);
      assert.deepEqual(message.all('Route'), ['<sip:a;lr>', '<sip:b;lr>']);
      assert.deepEqual([message.fromTag, message.toTag], ['ours', 'theirs']);
    }
    assert.notEqual(ack!.branch, bye!.branch);
  });

  it('hangs up in a dialog, above every CSeq that a recovery would use', async () => {
    assert.equal(await standIn.bye(dialog), 200);
    const [bye] = messages();
    assert.equal(bye!.startLine, `BYE ${dialog.remoteTarget} SIP/2.0`);
    assert.deepEqual(bye!.all('Route'), dialog.routeSet);
    assert.equal(bye!.get('From'), '<sip:70001@holdfast.test>;tag=ours');
    assert.equal(bye!.get('To'), '<sip:1001@holdfast.test>;tag=theirs');
    assert.equal(bye!.cseq, 100_018);
    assert.match(bye!.get('Via'), new RegExp(`^SIP/2\\.0/UDP ${daemon}:\\d+;branch=z9hG4bK`));
    assert.match(bye!.get('Reason'), /^SIP;cause=503/);
  });

  it('stays below the largest CSeq there is', async () => {
    await standIn.bye({ ...dialog, localCseq: 2 ** 31 - 5 });
    assert.equal(messages()[0]!.cseq, 2 ** 31 - 1);
  });

  it('takes a provisional response for no answer, and gives up at last', async () => {
    answer = () => 100;
    const startedMs = performance.now();
    assert.equal(await standIn.bye(dialog), undefined);
    assert.ok(performance.now() - startedMs < 16_000, 'sooner than Timer F would');
    // One fewer where this process stood still.
    assert.ok(heard.length === 5 || heard.length === 4, `${heard.length}`);
  });

  it('hears only what answers its own request', async () => {
    answer = () => 0;
    const outcome = standIn.bye(dialog);
    await waitFor('the BYE', () => heard.length > 0);
    const [bye] = messages();
    const port = Number(/:(\d+);/.exec(bye!.get('Via'))![1]);
    const others = [
      bye!.with('Via', 'SIP/2.0/UDP x;branch=z9hG4bKother'),
      bye!.with('Via'),
      bye!.with('CSeq', `${bye!.cseq} INVITE`),
    ];
    for (const other of others) edge.send(responseTo(other, 603), port, daemon);
    edge.send(bye!.toString(), port, daemon);
    edge.send('garbage', port, daemon);
    answer = () => 200;
    assert.equal(await outcome, 200);
  });

  it('says nothing that carries more than it should', async () => {
    const crlf = 'x\r\nRoute: <sip:evil;lr>';
    assert.equal(await standIn.cancel({ ...invite, from: crlf }), undefined);
    assert.equal(await standIn.cancel({ ...invite, requestUri: 'sip:a SIP/2.0\nX: y' }), undefined);
    assert.equal(await standIn.cancel({ ...invite, requestUri: 'sip:a b' }), undefined);
    assert.equal(await standIn.cancel({ ...invite, requestUri: '' }), undefined);
    assert.equal(await standIn.cancel({ ...invite, to: 'x'.repeat(9000) }), undefined);
    assert.equal(await standIn.cancel({ ...invite, vias: [] }), undefined);
    assert.equal(await standIn.bye({ ...dialog, remote: { ...dialog.remote, tag: crlf } }), undefined);
    assert.equal(await standIn.bye({ ...dialog, remoteTarget: null }), undefined);
    await standIn.refuse({ ...invite, to: crlf }, 503, 'No');
    await standIn.refuse({ ...invite, vias: [] }, 503, 'No');
    assert.equal(await standIn.bye(dialog), 200);
    assert.equal(heard.length, 1);
  });

  it('leaves nobody waiting when it is closed', async () => {
    answer = () => 0;
    const outcome = standIn.bye(dialog);
    standIn.close();
    assert.equal(await outcome, undefined);
    assert.equal(await standIn.bye(dialog), undefined);
  });

  it('says so where its address is none of this machine', async () => {
    const elsewhere = new StandIn({ address: '192.0.2.1', privateVip: vip, log: silentLogger });
    await assert.rejects(elsewhere.open(), (error: unknown) => HoldfastError.is(error, 'ADDRESS_TAKEN'));
  });
});
