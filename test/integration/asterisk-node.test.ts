// Real Asterisks started from our renderer: what they log, and what ARI's operations and events do on them.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { inviteParts } from '../../core/calls/inbound-invite.js';
import { bridgeVariable, dialVariable, ringVariable, type AriClient, type EventOf } from '../../core/ports/asterisk.js';
import type { IncomingCall } from '../harness/incoming-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';
import { AsteriskLab, EventRecorder, refusal } from './asterisk-node-lab.js';

const app = 'holdfast';
let lab: AsteriskLab;
let edge: SipEndpoint;
let ari: AriClient;
let events: EventRecorder;
let readyMs = 0;

before(async () => {
  lab = await AsteriskLab.open();
  // The far end of every leg and the private VIP in one.
  edge = await SipEndpoint.open({ address: lab.plan.privateVip, codecs: ['PCMU'] });
  readyMs = await lab.start('call-1');
  const node = lab.farm.node('call-1');
  ari = node.ari;
  events = new EventRecorder();
  node.open(events);
  await events.connections(1);
});

afterEach(async () => {
  for (const channel of await ari.channels.list()) await ari.channels.hangup({ channelId: channel.id }).catch(() => 0);
  for (const bridge of await ari.bridges.list()) await ari.bridges.destroy({ bridgeId: bridge.id }).catch(() => 0);
  const none = async (): Promise<boolean> => (await ari.channels.list()).length === 0;
  await waitFor('no channel to be left', none, { describe: () => events.describe() });
});

after(async () => {
  await edge.close();
  await lab.close();
});

/** An INVITE as the edge passes it on: through Stasis with its facts. */
async function callIn(dialled = '70001'): Promise<{ call: Awaited<ReturnType<SipEndpoint['invite']>>; id: string }> {
  const call = await edge.invite(`sip:${dialled}@${lab.node('call-1').address}:5060`, {
    headers: [['X-Holdfast-Source', 'trunk:lab & co']],
  });
  const started = await events.of(
    'StasisStart',
    ({ args }) => inviteParts(args)[0] === encodeURIComponent(call.callId),
  );
  return { call, id: started.channel.id };
}

async function create(channelId: string, variables: Record<string, string> = {}): Promise<void> {
  const endpoint = `PJSIP/edge/sip:70001@${lab.subnet.host(208)}:5060`;
  await ari.channels.create({ endpoint, app, appArgs: 'leg', channelId, formats: 'ulaw', variables });
  await events.of('StasisStart', ({ channel }) => channel.id === channelId);
}

async function dial(channelId: string, variables: Record<string, string> = {}): Promise<IncomingCall> {
  const incoming = edge.incoming();
  const callee = `edge/sip:70001@${lab.subnet.host(208)}:5060`;
  await ari.channels.create({
    ...{ endpoint: `PJSIP/${callee}`, app, appArgs: 'leg', channelId, formats: 'ulaw' },
    variables: { ...variables, [dialVariable]: callee },
  });
  return incoming;
}

function isState(id: string, wanted: string): (event: EventOf<'ChannelStateChange'>) => boolean {
  return ({ channel }) => channel.id === id && channel.state === wanted;
}

describe('A call node from our configs', () => {
  it('is ready soon, and logs no error', () => {
    assert.doesNotMatch(lab.log('call-1'), /ERROR|WARNING/);
    assert.ok(readyMs < 5000, `${Math.round(readyMs)} ms`);
    assert.equal(events.snapshots[0]?.channels.length, 0);
    assert.notEqual(events.snapshots[0].startupTime, '');
  });
});

describe('An incoming call', () => {
  it('comes into our application with its Call-ID, source and dialled number', async () => {
    const { call, id } = await callIn('70001');
    const started = await events.of('StasisStart', ({ channel }) => channel.id === id);
    assert.equal(started.args[0], 'inbound');
    const facts = inviteParts(started.args).slice(0, 3).map(decodeURIComponent);
    assert.deepEqual(facts, [call.callId, 'trunk:lab & co', '70001']);
    assert.equal(started.channel.state, 'Ring');
    await call.cancel();
  });

  it('is rung, given early media, answered and hung up by operations', async () => {
    const { call, id } = await callIn();
    await ari.channels.ring({ channelId: id });
    await call.ringing();
    await ari.channels.progress({ channelId: id });
    await call.earlyMedia();
    await ari.channels.answer({ channelId: id });
    const answer = await call.answered();
    assert.match(answer.body, /^o=- \d+ \d+ IN IP4/m);
    await ari.channels.hangup({ channelId: id, reason_code: '16' });
    const { bye } = await call.ended();
    assert.match(bye.get('Reason'), /Q\.850;cause=16/);
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === id);
    assert.deepEqual(events.about(id), ['StasisStart', 'ChannelStateChange Up', 'StasisEnd', 'ChannelDestroyed 16']);
  });

  it('tells a CANCEL of the caller by its SIP status, and a BYE by its cause alone', async () => {
    const cancelled = await callIn();
    assert.equal(await cancelled.call.cancel(), 487);
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === cancelled.id);
    const ended = await callIn();
    await ari.channels.answer({ channelId: ended.id });
    await ended.call.answered();
    await ended.call.hangup();
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === ended.id);
    assert.equal(events.about(cancelled.id).at(-1), 'ChannelDestroyed 127/487');
    assert.equal(events.about(ended.id).at(-1), 'ChannelDestroyed 16');
  });

  for (const status of [400, 403, 404, 408, 415, 480, 484, 486, 488, 500, 501, 503, 600, 603, 604, 606]) {
    it(`is rejected with exactly ${status} through the dialplan`, async () => {
      const { call, id } = await callIn();
      await ari.channels.continueInDialplan({ channelId: id, context: 'reject', extension: String(status) });
      assert.equal(await call.rejected(), status);
    });
  }

  it('is rejected in early media too', async () => {
    const { call, id } = await callIn();
    await ari.channels.progress({ channelId: id });
    await call.earlyMedia();
    await ari.channels.continueInDialplan({ channelId: id, context: 'reject', extension: '480' });
    assert.equal(await call.rejected(), 480);
  });

  it('is answered 503 while nobody listens', async () => {
    await lab.stopListening('call-1');
    const call = await edge.invite(`sip:70001@${lab.node('call-1').address}:5060`);
    assert.equal(await call.rejected(), 503);
    ari = lab.farm.node('call-1').ari;
    lab.farm.node('call-1').open(events);
    await events.connections(2);
  });
});

describe('An outgoing leg', () => {
  it('bears our headers, and the caller as its From', async () => {
    const call = await dial('headers', {
      'CONNECTEDLINE(num,i)': '1001',
      'CONNECTEDLINE(name,i)': 'Alice Ä',
      'PJSIP_HEADER(add,X-Holdfast-Call)': 'hf-1',
      'PJSIP_HEADER(add,X-Holdfast-Leg)': 'hf-1-b',
    });
    const { invite } = call;
    assert.equal(invite.requestUri, `sip:70001@${lab.subnet.host(208)}:5060`);
    assert.equal(invite.get('X-Holdfast-Call'), 'hf-1');
    assert.equal(invite.get('X-Holdfast-Leg'), 'hf-1-b');
    assert.match(invite.get('From'), /^"Alice Ä" <sip:1001@holdfast\.test>;tag=/);
    assert.doesNotMatch(invite.toString(), /asterisk/i, 'nothing names the server');
    assert.match(invite.body, /^m=audio \d+ RTP\/AVP 0 \d+\r$/m);
    await call.reject(486);
  });

  it('tells of ringing, early media and the answer', async () => {
    const call = await dial('answered');
    call.ring();
    await events.of('ChannelStateChange', isState('answered', 'Ringing'));
    call.progress();
    await events.of('Dial', ({ peer, dialstatus }) => peer.id === 'answered' && dialstatus === 'PROGRESS');
    await call.answer();
    await events.of('ChannelStateChange', isState('answered', 'Up'));
    await call.hangup();
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === 'answered');
    const states = ['ChannelStateChange Ringing', 'Dial PROGRESS', 'ChannelStateChange Up'];
    assert.deepEqual(events.about('answered'), [...states, 'StasisEnd', 'ChannelDestroyed 16']);
  });

  it('has its caller rung when it rings, but not one who hears somebody already', async () => {
    const [rung, early] = [await callIn(), await callIn()];
    await ari.channels.progress({ channelId: early.id });
    await ari.bridges.addChannel({ bridgeId: 'early-media', channel: early.id, create: 'mixing' });
    for (const { call, id } of [rung, early]) {
      const callee = await dial(`for-${id}`, { [ringVariable]: id });
      callee.ring();
      if (call === rung.call) await call.ringing();
      await callee.answer();
      // Told by the thread that would have rung.
      await events.of('ChannelStateChange', isState(`for-${id}`, 'Up'));
    }
    // Asterisk would play a ringing tone into what is heard.
    const wasRung = async ({ id }: { id: string }): Promise<string> =>
      (await ari.channels.getChannelVar({ channelId: id, variable: 'STASIS_RUNG' }).catch(() => ({ value: '' }))).value;
    assert.deepEqual([await wasRung(rung), await wasRung(early)], ['yes', '']);
  });

  for (const status of [404, 480, 486, 487, 488, 500, 503, 600, 603, 302]) {
    it(`tells that it was refused with ${status}`, async () => {
      const id = `refused-${status}`;
      await (await dial(id)).reject(status);
      const end = await events.of('ChannelDestroyed', ({ channel }) => channel.id === id);
      assert.equal(end.tech_cause, status);
    });
  }

  it('is cancelled by hangup', async () => {
    const call = await dial('cancelled');
    call.ring();
    await events.of('ChannelStateChange', isState('cancelled', 'Ringing'));
    await ari.channels.hangup({ channelId: 'cancelled', reason_code: '16' });
    assert.match((await call.cancelled()).get('Reason'), /Q\.850;cause=16/);
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === 'cancelled');
  });

  it('may be hung up before it is dialled', async () => {
    await create('undialled');
    await ari.channels.hangup({ channelId: 'undialled' });
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === 'undialled');
  });

  it('that loses to another is cancelled as answered elsewhere (RFC 3326)', async () => {
    const call = await dial('loser');
    call.ring();
    await events.of('ChannelStateChange', isState('loser', 'Ringing'));
    await ari.channels.hangup({ channelId: 'loser', reason_code: '26' });
    assert.match((await call.cancelled()).all('Reason').join(), /SIP;cause=200/);
  });
});

describe('A mixing bridge', () => {
  it('carries early media between two unanswered channels, and audio after the answers', async () => {
    const { call: caller, id } = await callIn();
    const callee = await dial('bridged');
    callee.progress();
    callee.audio.sendTone(600);
    await events.of('Dial', ({ peer, dialstatus }) => peer.id === 'bridged' && dialstatus === 'PROGRESS');
    await ari.bridges.createWithId({ bridgeId: 'two', type: 'mixing' });
    await ari.bridges.addChannel({ bridgeId: 'two', channel: `${id},bridged` });
    await ari.channels.progress({ channelId: id });
    await caller.earlyMedia();
    await caller.audio.hears(600);
    await callee.answer();
    await ari.channels.answer({ channelId: id });
    await caller.answered();
    caller.audio.sendTone(900);
    await callee.audio.hears(900);
    await caller.audio.hears(600);
    // What a daemon does that comes back and cannot know how far it had come.
    await ari.bridges.addChannel({ bridgeId: 'two', channel: `${id},bridged` });
    await ari.bridges.createWithId({ bridgeId: 'two', type: 'mixing' });
    const existing = (await ari.bridges.list()).find(bridge => bridge.id === 'two');
    assert.deepEqual([...(existing?.channels ?? [])].sort(), ['bridged', id].sort());
    await callee.audio.hears(900);
    await callee.hangup();
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === 'bridged');
    // The other side stays, in the bridge and unharmed, until somebody ends it.
    assert.deepEqual(events.about(id), ['StasisStart', 'ChannelStateChange Up']);
    assert.deepEqual((await ari.bridges.list())[0]?.channels, [id]);
    await ari.bridges.destroy({ bridgeId: 'two' });
    await events.of('BridgeDestroyed', ({ bridge }) => bridge.id === 'two');
  });

  it('puts a caller together with the echo test', async () => {
    const { call: caller, id } = await callIn('9001');
    await ari.channels.create({
      ...{ endpoint: 'Local/s@echo/n', app, appArgs: 'leg', channelId: 'echo', formats: 'ulaw' },
      variables: { [dialVariable]: 's@echo/n' },
    });
    await events.of('ChannelStateChange', isState('echo', 'Up'));
    await ari.bridges.addChannel({ bridgeId: 'echoing', channel: `${id},echo`, create: 'mixing', answer: true });
    await caller.answered();
    caller.audio.sendTone(700);
    await caller.audio.hears(700);
    await ari.channels.hangup({ channelId: 'echo' });
    const echoes = async (): Promise<boolean> => (await ari.channels.list()).every(({ name }) => !/Local/.test(name));
    await waitFor('both ends of the Local channel to be gone', echoes);
  });
});

describe('A bridge that is made by those who are put into it', () => {
  it('has both of a call, and its caller is answered by it', async () => {
    const { call: caller, id } = await callIn();
    const callee = await (await dial('callee')).answer();
    await events.of('ChannelStateChange', isState('callee', 'Up'));
    await ari.bridges.addChannel({ bridgeId: 'made', channel: `${id},callee`, create: 'mixing', answer: true });
    await caller.answered();
    const [made] = await ari.bridges.list();
    assert.deepEqual([made?.id, made?.bridge_type], ['made', 'mixing']);
    assert.deepEqual([...(made?.channels ?? [])].sort(), ['callee', id].sort());
    caller.audio.sendTone(900);
    await callee.audio.hears(900);
    // Asked again by one who cannot know: nothing is new.
    await ari.bridges.addChannel({ bridgeId: 'made', channel: `${id},callee`, create: 'mixing', answer: true });
    await callee.audio.hears(900);
    assert.equal((await ari.bridges.list()).length, 1);
    await caller.hangup();
    await ari.channels.hangup({ channelId: 'callee' });
    await events.of('BridgeDestroyed', ({ bridge }) => bridge.id === 'made');
    assert.equal(await refusal(ari.bridges.destroy({ bridgeId: 'made' })), 404);
  });

  it('may be made again, when all have left it', async () => {
    const { id } = await callIn();
    // Now and then it is asked for again before the last one is quite gone.
    for (let i = 0; i < 100; i++) {
      await ari.bridges.addChannel({ bridgeId: 'come-and-go', channel: id, create: 'mixing', answer: true });
      // The last one may still be listed while it ends.
      const isIn = async (): Promise<boolean> =>
        (await ari.bridges.list()).some(({ channels }) => channels.includes(id));
      await waitFor('the channel to be in it', isIn, { describe: () => events.describe() });
      await ari.bridges.removeChannel({ bridgeId: 'come-and-go', channel: id });
    }
    await ari.bridges.createWithId({ bridgeId: 'come-and-go', type: 'mixing' });
  });

  it('does not answer for whom we call', async () => {
    const { id } = await callIn();
    const callee = await dial('ringing');
    callee.ring();
    await events.of('ChannelStateChange', isState('ringing', 'Ringing'));
    await ari.bridges.addChannel({ bridgeId: 'unanswered', channel: `ringing,${id}`, create: 'mixing', answer: true });
    await events.of('ChannelStateChange', isState(id, 'Up'));
    assert.equal((await ari.channels.get({ channelId: 'ringing' })).state, 'Ringing');
    await ari.channels.hangup({ channelId: 'ringing' });
    await callee.cancelled();
  });

  it('is not made for channels that are gone', async () => {
    const into = { bridgeId: 'for-nobody', channel: 'nobody', create: 'mixing', answer: true };
    assert.equal(await refusal(ari.bridges.addChannel(into)), 400);
    assert.deepEqual(await ari.bridges.list(), []);
  });
});

describe('Channels and bridges', () => {
  it('live on while the event stream is cut, and are in the next snapshot', async () => {
    const { call: caller, id } = await callIn();
    const callee = await (await dial('kept')).answer();
    await ari.channels.answer({ channelId: id });
    await caller.answered();
    await ari.bridges.createWithId({ bridgeId: 'kept-bridge', type: 'mixing' });
    await ari.bridges.addChannel({ bridgeId: 'kept-bridge', channel: `${id},kept` });
    await lab.farm.node('call-1').close();
    caller.audio.sendTone(900);
    await callee.audio.hears(900);
    const snapshots = events.snapshots.length;
    ari = lab.farm.node('call-1').ari;
    lab.farm.node('call-1').open(events);
    await events.connections(snapshots + 1);
    const snapshot = events.snapshots.at(-1);
    assert.deepEqual(snapshot?.channels.map(channel => channel.id).sort(), ['kept', id].sort());
    assert.deepEqual([...(snapshot.bridges[0]?.channels ?? [])].sort(), ['kept', id].sort());
    assert.equal(snapshot.startupTime, events.snapshots[0]?.startupTime);
    await caller.hangup();
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === id);
    await ari.channels.hangup({ channelId: 'kept' });
    await callee.ended();
  });

  it('are refused an id that another channel has, and no other', async () => {
    await create('leg.21');
    await create('leg.2');
    await assert.rejects(create('leg.2'), /409/);
    for (const channelId of ['leg.21', 'leg.2']) {
      await ari.channels.hangup({ channelId });
      await events.of('ChannelDestroyed', ({ channel }) => channel.id === channelId);
    }
  });

  it('find each other in the bridge that STASIS_BRIDGE names, made once for both', async () => {
    const variables = { [bridgeVariable]: 'meeting' };
    const endpoint = `PJSIP/edge/sip:70001@${lab.subnet.host(208)}:5060`;
    const party = async (channelId: string): Promise<IncomingCall> => {
      const incoming = edge.incoming();
      await ari.channels.originate({ endpoint, app, channelId, formats: 'ulaw', variables });
      return incoming;
    };
    const invited = [await party('left'), await party('right')];
    const [left, right] = await Promise.all(invited.map(async one => one.answer()));
    assert.ok(left && right);
    for (const channelId of ['left', 'right']) {
      await events.of('StasisStart', ({ channel }) => channel.id === channelId);
      // No waiting: it is there when StasisStart is.
      const meeting = (await ari.bridges.list()).find(bridge => bridge.id === 'meeting');
      assert.ok(meeting?.channels.includes(channelId), `${channelId} is not in ${JSON.stringify(meeting)}`);
    }
    assert.equal((await ari.bridges.list()).length, 1);
    left.audio.sendTone(900);
    await right.audio.hears(900);
    // Its work is done: a later bridge is not undone by it.
    await ari.bridges.createWithId({ bridgeId: 'elsewhere', type: 'mixing' });
    await ari.bridges.addChannel({ bridgeId: 'elsewhere', channel: 'left' });
    const { channels = [] } = (await ari.bridges.list()).find(bridge => bridge.id === 'elsewhere') ?? {};
    assert.deepEqual(channels, ['left']);
    await ari.channels.hangup({ channelId: 'left' });
    await left.ended();
    await right.hangup();
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === 'right');
  });

  it('meet by STASIS_BRIDGE in a bridge of an id that was used before', async () => {
    for (const channelId of ['first', 'second']) {
      await create(channelId, { [bridgeVariable]: 'again' });
      const again = (await ari.bridges.list()).find(bridge => bridge.id === 'again');
      assert.deepEqual(again?.channels, [channelId]);
      await ari.channels.hangup({ channelId });
      await events.of('ChannelDestroyed', ({ channel }) => channel.id === channelId);
      await ari.bridges.destroy({ bridgeId: 'again' });
      await events.of('BridgeDestroyed', ({ bridge }) => bridge.id === 'again');
    }
  });

  it('join by STASIS_BRIDGE before they are dialled as well', async () => {
    const incoming = await dial('dialled-in-it', { [bridgeVariable]: 'early' });
    const early = (await ari.bridges.list()).find(bridge => bridge.id === 'early');
    assert.deepEqual(early?.channels, ['dialled-in-it']);
    const party = await incoming.answer();
    await events.of('ChannelStateChange', isState('dialled-in-it', 'Up'));
    await party.hangup();
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === 'dialled-in-it');
  });

  it('that are gone, unknown or not in our application are refused with their HTTP status', async () => {
    assert.equal(await refusal(ari.channels.hangup({ channelId: 'nobody' })), 404);
    assert.equal(await refusal(ari.channels.get({ channelId: 'nobody' })), 404);
    assert.equal(await refusal(ari.bridges.destroy({ bridgeId: 'nothing' })), 404);
    await ari.bridges.createWithId({ bridgeId: 'empty', type: 'mixing' });
    assert.equal(await refusal(ari.bridges.addChannel({ bridgeId: 'empty', channel: 'nobody' })), 400);
    await create('twice');
    const again = ari.channels.create({ endpoint: 'PJSIP/edge/sip:1@127.0.0.1', app, channelId: 'twice' });
    assert.equal(await refusal(again), 409);
    const nowhere = ari.channels.create({ endpoint: 'PJSIP/nobody/sip:1@127.0.0.1', app, channelId: 'nowhere' });
    // A thread of Asterisk's that has once refused an id gives that as its reason ever after (`ast_channel_errno` in main/channel_internal_api.c is
    // never reset): which of our connections is asked says which it is.
    assert.match(String(await refusal(nowhere)), /^(500|409)$/);
  });
});
