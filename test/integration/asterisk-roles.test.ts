// Conference and registrar nodes from our renderer, for real: legs node to node, rooms of three, REGISTER and its events.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { inviteParts } from '../../core/calls/inbound-invite.js';
import { digestsOf } from '../../core/farm/edge-settings.js';
import { dialVariable, type AriClient } from '../../core/ports/asterisk.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import type { SipMessage } from '../harness/sip-message.js';
import { AsteriskLab, EventRecorder } from './asterisk-node-lab.js';

const app = 'holdfast';

async function start(lab: AsteriskLab, name: string): Promise<{ ari: AriClient; events: EventRecorder; ms: number }> {
  const ms = await lab.start(name);
  const node = lab.farm.node(name);
  const events = new EventRecorder();
  node.open(events);
  await events.connections(1);
  return { ari: node.ari, events, ms };
}

function assertCleanStart(lab: AsteriskLab, name: string, ms: number): void {
  assert.doesNotMatch(lab.log(name), /ERROR|WARNING/);
  assert.ok(ms < 5000, `${Math.round(ms)} ms`);
}

describe('A conference node from our configs', () => {
  let lab: AsteriskLab;
  let edge: SipEndpoint;
  let conference: Awaited<ReturnType<typeof start>>;
  const callNodes = new Map<string, Awaited<ReturnType<typeof start>>>();

  before(async () => {
    lab = await AsteriskLab.open();
    edge = await SipEndpoint.open({ address: lab.plan.privateVip, codecs: ['PCMU'] });
    conference = await start(lab, 'conference-1');
    for (const name of ['call-1', 'call-2']) callNodes.set(name, await start(lab, name));
  });
  after(async () => {
    await edge.close();
    await lab.close();
  });

  async function dial(ari: AriClient, id: string): Promise<void> {
    const there = `conference/sip:${id}@${lab.node('conference-1').address}:5060`;
    await ari.channels.create({
      ...{ endpoint: `PJSIP/${there}`, app, appArgs: 'leg', channelId: id, formats: 'ulaw' },
      variables: { [dialVariable]: there },
    });
  }

  /** A caller at a call node, answered and bridged there with a leg to the conference node; gives that leg's far end. */
  async function callerAt(name: string, id: string): Promise<{ caller: OutgoingCall; member: string }> {
    const { ari, events } = callNodes.get(name)!;
    const caller = await edge.invite(`sip:8001@${lab.node(name).address}:5060`);
    const started = await events.of(
      'StasisStart',
      ({ args }) => inviteParts(args)[0] === encodeURIComponent(caller.callId),
    );
    await dial(ari, id);
    const joined = await conference.events.of('StasisStart', ({ args }) => args[1] === id);
    await conference.ari.channels.answer({ channelId: joined.channel.id });
    await events.of('ChannelStateChange', ({ channel }) => channel.id === id && channel.state === 'Up');
    await ari.channels.answer({ channelId: started.channel.id });
    await caller.answered();
    await ari.bridges.createWithId({ bridgeId: id, type: 'mixing' });
    await ari.bridges.addChannel({ bridgeId: id, channel: `${started.channel.id},${id}` });
    return { caller, member: joined.channel.id };
  }

  it('is ready soon, and logs no error', () => assertCleanStart(lab, 'conference-1', conference.ms));

  it('lets three callers of two call nodes hear each other', async () => {
    const members = [await callerAt('call-1', 'm1'), await callerAt('call-2', 'm2'), await callerAt('call-1', 'm3')];
    await conference.ari.bridges.createWithId({ bridgeId: 'room', type: 'mixing' });
    for (const { member } of members) await conference.ari.bridges.addChannel({ bridgeId: 'room', channel: member });
    const [one, two, three] = members.map(({ caller }) => caller.audio);
    one?.sendTone(500);
    await two?.hears(500);
    await three?.hears(500);
    one?.sendTone(0);
    three?.sendTone(900);
    await one?.hears(900);
    await two?.hears(900);
    const inside = (await conference.ari.bridges.list())[0]?.channels ?? [];
    assert.deepEqual([...inside].sort(), members.map(({ member }) => member).sort());
    for (const { caller } of members) await caller.hangup();
  });

  it('does not keep a leg while nobody listens', async () => {
    const { ari, events } = callNodes.get('call-1')!;
    await lab.stopListening('conference-1');
    await dial(ari, 'm4');
    // Answered by its dialplan, and hung up as no application is there.
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === 'm4');
    conference = { ...conference, ari: lab.farm.node('conference-1').ari };
    lab.farm.node('conference-1').open(conference.events);
    await conference.events.connections(2);
  });

  it('refuses who is no call node', async () => {
    const heard = conference.events.events.length;
    const call = await edge.invite(`sip:room@${lab.node('conference-1').address}:5060`);
    assert.equal(await call.rejected(), 401);
    await conference.ari.asterisk.ping();
    assert.ok(!conference.events.events.slice(heard).some(({ type }) => type === 'StasisStart'));
  });
});

describe('A registrar from our configs', () => {
  const realm = 'holdfast.test';
  let lab: AsteriskLab;
  let registrar: Awaited<ReturnType<typeof start>>;
  let target: string;
  const phones: SipEndpoint[] = [];

  before(async () => {
    lab = await AsteriskLab.open({
      subscribers: [{ user: '1001', realm, ...digestsOf('1001', realm, 'alice-secret') }],
    });
    registrar = await start(lab, 'registrar-1');
    target = `sip:${lab.node('registrar-1').address}:5060`;
  });
  after(async () => {
    for (const phone of phones) await phone.close();
    await lab.close();
  });

  async function phone(host: number, password = 'alice-secret', user = '1001'): Promise<SipEndpoint> {
    const address = lab.subnet.host(host);
    const credentials = { username: user, password };
    const made = await SipEndpoint.open({ address, user, domain: realm, credentials });
    phones.push(made);
    return made;
  }

  const contactsOf = (response: SipMessage): string[] =>
    response
      .all('Contact')
      .map(contact => /sip:[^>;]+/.exec(contact)?.[0] ?? '')
      .sort();

  it('is ready soon, and logs no error', () => assertCleanStart(lab, 'registrar-1', registrar.ms));

  it('takes the REGISTER of a subscriber, tells of it, and knows when it expires', async () => {
    const alice = await phone(200);
    const askedMs = Date.now();
    const response = await alice.register(target, 120);
    const answeredMs = Date.now();
    assert.equal(response.status, 200);
    const uri = `sip:1001@${alice.address}:5060`;
    assert.deepEqual(contactsOf(response), [uri]);
    const told = await registrar.events.of('ContactStatusChange', ({ contact_info }) => contact_info.uri === uri);
    assert.equal(told.contact_info.aor, '1001');
    const id = `1001;@${createHash('md5').update(uri).digest('hex')}`;
    const object = await registrar.ari.asterisk.getObject({ configClass: 'res_pjsip', objectType: 'contact', id });
    const expires = Number(object.find(({ attribute }) => attribute === 'expiration_time')?.value) * 1000;
    // It counts whole seconds.
    const [earliest, latest] = [askedMs, answeredMs].map(ms => ms + 120_000) as [number, number];
    assert.ok(expires > earliest - 1_000 && expires < latest + 1_000, `${expires - earliest} ms after the earliest`);
  });

  it('tells of each refresh, and of the end', async () => {
    const alice = await phone(201);
    const uri = `sip:1001@${alice.address}:5060`;
    const told = (): string[] =>
      registrar.events.events
        .filter(event => event.type === 'ContactStatusChange')
        .filter(event => event.contact_info.uri === uri)
        .map(event => event.contact_info.contact_status);
    assert.equal((await alice.register(target, 120)).status, 200);
    assert.equal((await alice.register(target, 120)).status, 200);
    assert.equal((await alice.register(target, 0)).status, 200);
    await registrar.events.of(
      'ContactStatusChange',
      ({ contact_info }) => contact_info.uri === uri && contact_info.contact_status === 'Removed',
    );
    // One that it sent again may have been taken twice.
    const [removed, ...refreshes] = told().reverse();
    assert.deepEqual([removed, ...new Set(refreshes)], ['Removed', 'NonQualified']);
    assert.ok(refreshes.length >= 2 && refreshes.length <= 2 + alice.retransmissions, `${refreshes.length}`);
  });

  it('holds several phones of a subscriber side by side', async () => {
    const [one, two] = [await phone(202), await phone(203)];
    await one.register(target, 120);
    const contacts = contactsOf(await two.register(target, 120));
    for (const { address } of [one, two]) assert.ok(contacts.includes(`sip:1001@${address}:5060`), contacts.join());
  });

  it('refuses a wrong secret, and who is no subscriber', async () => {
    assert.equal((await (await phone(204, 'wrong')).register(target)).status, 401);
    assert.equal((await (await phone(205, 'alice-secret', '1009')).register(target)).status, 401);
    assert.equal((await (await phone(206, 'wrong')).request('REGISTER', target)).status, 401);
  });

  it('takes no call, whoever calls', async () => {
    const heard = registrar.events.events.length;
    const alice = await phone(207);
    for (const user of ['1001', 's', '9001']) {
      const call = await alice.invite(`sip:${user}@${lab.node('registrar-1').address}:5060`);
      assert.ok((await call.rejected()) >= 400);
    }
    assert.deepEqual(await registrar.ari.channels.list(), []);
    assert.ok(!registrar.events.events.slice(heard).some(({ type }) => type === 'StasisStart'));
  });
});
