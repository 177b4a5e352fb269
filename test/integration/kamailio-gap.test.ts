// The gap between a node's death and the recovery of its sessions: what the edge answers in its stead, and from whom it takes that.
import { after, afterEach, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import type { IncomingCall } from '../harness/incoming-call.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import type { SipEndpoint } from '../harness/sip-endpoint.js';
import type { Header } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab, sentAgain, settled } from './kamailio-lab.js';

let lab: EdgeLab;
let nodes: SipEndpoint[];

before(async () => {
  lab = await EdgeLab.up();
});
after(() => lab.down());
afterEach(async () => {
  await lab.closeEndpoints();
  await lab.apply({ nodes: lab.state.nodes.map(node => ({ ...node, state: 'up' })) });
  await lab.endSessions();
});

const target = (): string => `sip:70001@${lab.plan.publicVip}`;
const nameOf = (node: SipEndpoint): string => `call-${nodes.indexOf(node) + 1}`;

interface Lost {
  readonly call: OutgoingCall | IncomingCall;
  readonly phone: SipEndpoint;
  /** Messages that came to any node since its death. */
  readonly arrived: () => string[];
}

async function killed(node: SipEndpoint, phone: SipEndpoint, call: Lost['call']): Promise<Lost> {
  await lab.setNodeState(nameOf(node), 'dead');
  const before = new Set(nodes.flatMap(one => one.ladder.rows()));
  const arrived = (): string[] =>
    nodes.flatMap(one =>
      one.ladder
        .rows()
        .filter(row => row.direction === 'received' && !before.has(row))
        .map(row => row.message.startLine),
    );
  return { call, phone, arrived };
}

/** A phone's call that is up, whose node is then taken for dead. */
async function calledLost(): Promise<Lost> {
  nodes = await lab.openNodes();
  for (const node of nodes) node.onInvite(async call => void call.answer().catch(() => undefined));
  const phone = await lab.open({ host: 200 });
  const call = await phone.invite(target(), { codecs: ['PCMA'] });
  await call.answered();
  const home = nodes.find(node => node.calls.length > 0)!;
  await settled(home, call.callId);
  return killed(home, phone, call);
}

/** A call to a phone that is up, whose node is then taken for dead. */
async function callingLost(): Promise<Lost> {
  nodes = await lab.openNodes();
  const phone = await lab.open({ host: 208 });
  const [home] = nodes as [SipEndpoint];
  const [answered] = await Promise.all([
    phone.incoming().then(call => call.answer()),
    home.invite(`sip:70002@${lab.address(208)}`, { proxy: lab.privateVip }).then(call => call.answered()),
  ]);
  await settled(phone, answered.callId);
  return killed(home, phone, answered);
}

describe('In the gap after the death of its node a phone', () => {
  for (const [what, lose] of [
    ['that called', calledLost],
    ['that was called', callingLost],
  ] as const)
    it(`${what} hangs up, and its media end`, async () => {
      const { call, phone, arrived } = await lose();
      assert.equal(await lab.sessions(), 1);
      const taken = async (): Promise<number> => (await lab.counter('answered.gap')) - sentAgain(phone);
      const before = await taken();
      assert.equal(await call.hangup(), 200);
      await waitFor('the media session to be gone', async () => (await lab.sessions()) === 0);
      await waitFor('each copy to be counted', async () => (await taken()) === before + 1);
      assert.deepEqual(arrived(), []);
    });

  it('is told to try again, and keeps its dialog', async () => {
    const { call, arrived } = await calledLost();
    const asked = [await call.reinvite({ direction: 'sendonly' })];
    for (const method of ['UPDATE', 'INFO', 'MESSAGE', 'OPTIONS']) asked.push(await call.request(method));
    for (const response of asked) {
      assert.equal(response.status, 500, response.startLine);
      assert.equal(response.get('Retry-After'), '1');
      assert.doesNotMatch(
        response.toString(),
        new RegExp(`${lab.plan.privateVip}|${lab.address(31)}|${lab.address(32)}`),
      );
    }
    assert.equal(await lab.sessions(), 1);
    assert.deepEqual(arrived(), [], 'the ACK to the 500 ended at the edge');
    for (const name of ['call-1', 'call-2']) await lab.setNodeState(name, 'up');
    assert.equal((await call.request('INFO')).status, 200);
    assert.equal(await call.hangup(), 200);
  });

  it('sends its ACK to nobody', async () => {
    const { call, arrived } = await calledLost();
    const before = await lab.counter('answered.gap');
    (call as OutgoingCall).ack();
    await waitFor('the ACK to be taken', async () => (await lab.counter('answered.gap')) === before + 1);
    assert.deepEqual(arrived(), []);
  });

  it('still needs our signature', async () => {
    const { call } = await calledLost();
    const stranger = await lab.open({ host: 220 });
    const bye = call.dialog.request('BYE');
    const headers = bye.headers
      .filter(([name]) => !/^(via|max-forwards|content-length)$/i.test(name))
      .map(([name, value]): Header => [name, name === 'Route' ? value.replace('.k2.', '.k1.') : value]);
    const response = await stranger.request('BYE', bye.requestUri, { headers, proxy: lab.publicVip });
    assert.equal(response.status, 403);
    assert.equal(await lab.sessions(), 1);
  });

  it('that still rings cancels, and does not wait for an answer', async () => {
    nodes = await lab.openNodes();
    for (const node of nodes) node.onInvite(call => call.ring());
    const phone = await lab.open({ host: 200 });
    const call = await phone.invite(target());
    await call.ringing();
    const home = nodes.find(node => node.calls.length > 0)!;
    await lab.edge.pin(call.callId, nameOf(home), 60);
    const { arrived } = await killed(home, phone, call);
    const cancel = [
      `CANCEL ${call.invite.requestUri} SIP/2.0`,
      ...call.invite.headers
        .filter(([name]) => /^(via|max-forwards|from|to|call-id)$/i.test(name))
        .map(([name, value]) => `${name}: ${value}`),
      `CSeq: ${call.invite.cseq} CANCEL`,
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n');
    await phone.sendRaw(cancel, lab.publicVip);
    const response = await phone.received('the answer to CANCEL', message => message.method === 'CANCEL');
    assert.equal(response.status, 200);
    assert.deepEqual(arrived(), []);
    await lab.edge.unpin(call.callId);
  });
});

describe('The daemon', () => {
  const host = (): number => Number(lab.plan.daemonAddress.split('.')[3]);
  const from = (): Promise<SipEndpoint> => lab.open({ host: host(), port: 0 });

  it('is no node: it begins no call, and from outside nothing reaches it', async () => {
    const { call } = await callingLost();
    const daemon = await from();
    const phone = await lab.open({ host: 201 });
    const before = await lab.counter('refused.source');
    const route: Header = ['Route', `<sip:${lab.plan.privateVip};lr>`];
    for (const method of ['INVITE', 'MESSAGE'])
      void daemon.request(method, `sip:x@${phone.address}`, { headers: [route], proxy: lab.privateVip });
    await waitFor('both to be refused', async () => (await lab.counter('refused.source')) >= before + 2);
    const headers = call.dialog
      .request('BYE')
      .headers.filter(([name]) => !/^(via|max-forwards|content-length)$/i.test(name));
    const uri = `sip:x@${lab.plan.daemonAddress}`;
    assert.equal((await phone.request('BYE', uri, { headers, proxy: lab.publicVip })).status, 403);
    const received = phone.ladder.rows().filter(row => row.direction === 'received');
    assert.deepEqual([...new Set(received.map(({ message }) => `${message.status} ${message.method}`))], ['403 BYE']);
    assert.equal(daemon.calls.length, 0);
  });

  it('ends a dialog of a dead node, and hears the answer', async () => {
    const { call } = await callingLost();
    const daemon = await from();
    const dead = nodes[0]!.calls[0]!.dialog;
    const headers = dead.request('BYE').headers.filter(([name]) => !/^(via|max-forwards|content-length)$/i.test(name));
    const response = await daemon.request('BYE', dead.remoteTarget, { headers, proxy: lab.privateVip });
    assert.equal(response.status, 200);
    assert.equal((await call.ended()).by, 'them');
    await waitFor('the media session to be gone', async () => (await lab.sessions()) === 0);
  });
});
