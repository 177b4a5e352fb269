// patches/0002 on real Asterisks: a dialog of one that was killed is carried on by another, compared message by message.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { stasisApp } from '../../core/ports/asterisk.js';
import type { SipMessage } from '../harness/sip-message.js';
import { AsteriskLab, EventRecorder } from './asterisk-node-lab.js';
import {
  directionOf,
  originOf,
  originPlus,
  partyOf,
  recoveryOf,
  routesOf,
  WirePhone,
} from './asterisk-recovery-patch-lab.js';

const endpoint = 'PJSIP/edge/sip:session@recovery.invalid';
const step = 1000;
const nodes = ['call-1', 'call-2'] as const;
type Node = (typeof nodes)[number];

let lab: AsteriskLab;
let phone: WirePhone;
const events = new Map<Node, EventRecorder>();

before(async () => {
  lab = await AsteriskLab.open();
  phone = await WirePhone.open(lab.plan.privateVip);
  for (const node of nodes) await start(node);
});

afterEach(async () => {
  for (const node of nodes) {
    if (!events.has(node)) await start(node);
    const { channels } = lab.farm.node(node).ari;
    for (const { id } of await channels.list()) await channels.hangup({ channelId: id }).catch(() => 0);
  }
});

after(async () => {
  phone.close();
  await lab.close();
});

describe('A dialog of an Asterisk that was killed', () => {
  for (const role of ['uas', 'uac'] as const) {
    it(`is carried on by another, and by a third after that (${role})`, async () => {
      phone.begin();
      const edge = `<sip:${phone.address};lr;hf=1.2~ab>`;
      const second = `"a \\"b\\", c" <sip:second,x@${phone.address}:5060;lr>;x=y`;
      phone.recordRoutes = [edge, second];
      const first = role === 'uas' ? await calls('call-1') : await isCalled('call-1');
      const routes = role === 'uas' ? [edge, second] : [second, edge];
      await die('call-1');

      const recovered = await recover('call-2', recoveryOf(phone, first, routes, first.cseq + step));
      assertContinues(recovered.invite, first, routes, first.cseq + step);
      assert.equal(recovered.ack.cseq, first.cseq + step);
      assert.deepEqual(routesOf(recovered.ack), routes, 'although the 200 had no Record-Route');

      await start('call-1');
      await die('call-2');
      const again = await recover('call-1', recoveryOf(phone, recovered.invite, routes, first.cseq + 2 * step));
      assertContinues(again.invite, recovered.invite, routes, first.cseq + 2 * step);
      assert.equal((await phone.request('BYE')).status, 200);
      await events.get('call-1')!.of('ChannelDestroyed', ({ channel }) => channel.id === again.id);
    });
  }
});

// --- what both roles share ---

function assertContinues(invite: SipMessage, last: SipMessage, routes: readonly string[], cseq: number): void {
  assert.equal(invite.callId, phone.callId);
  assert.deepEqual(partyOf(invite.get('From')), partyOf(phone.remote));
  assert.deepEqual(partyOf(invite.get('To')), partyOf(phone.local));
  assert.equal(invite.get('CSeq'), `${cseq} INVITE`);
  assert.deepEqual(routesOf(invite), routes);
  assert.equal(`<${invite.requestUri}>`, phone.contact);
  assert.equal(originOf(invite), originPlus(originOf(last), 1));
  assert.equal(directionOf(invite), directionOf(last));
}

async function calls(node: Node): Promise<SipMessage> {
  phone.local = '"Zo\\"e \\\\ x, y" <sip:zoe@[2001:db8::7];user=phone>;tag=zoe1';
  phone.remote = '"Our, \\"side\\"" <sip:70001@[2001:db8::1];x=y>';
  phone.peer = { address: lab.node(node).address, port: 5060 };
  const answered = events
    .get(node)!
    .of('StasisStart')
    .then(({ channel }) => lab.farm.node(node).ari.channels.answer({ channelId: channel.id }));
  const answer = await phone.invite();
  await answered;
  assert.equal(answer.status, 200);
  return answer;
}

async function isCalled(node: Node): Promise<SipMessage> {
  const to = `PJSIP/edge/sip:phone@${phone.address}:5060`;
  const callerId = 'Our (side) <70001>';
  await lab.farm
    .node(node)
    .ari.channels.originate({ endpoint: to, callerId, app: stasisApp, channelId: randomUUID(), formats: 'ulaw' });
  const { invite } = await phone.accept();
  phone.recordRoutes = [];
  return invite;
}

async function recover(
  node: Node,
  variables: Record<string, string>,
): Promise<{ id: string; invite: SipMessage; ack: SipMessage }> {
  const id = randomUUID();
  phone.recordRoutes = [];
  await lab.farm
    .node(node)
    .ari.channels.originate({ endpoint, app: stasisApp, channelId: id, formats: 'ulaw', variables });
  const messages = await phone.accept();
  await events.get(node)!.of('StasisStart', ({ channel }) => channel.id === id);
  return { id, ...messages };
}

async function start(node: Node): Promise<void> {
  await lab.start(node);
  const recorder = new EventRecorder();
  events.set(node, recorder);
  lab.farm.node(node).open(recorder);
  await recorder.connections(1);
}

async function die(node: Node): Promise<void> {
  await lab.farm.node(node).close();
  await lab.kill(node);
  events.delete(node);
}

