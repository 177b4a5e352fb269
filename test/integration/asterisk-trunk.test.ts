// A trunk that challenges our INVITE: answered by the endpoint with its credentials, and by no other.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { dialVariable, trunkEndpointName, type AriClient } from '../../core/ports/asterisk.js';
import type { IncomingCall } from '../harness/incoming-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { AsteriskLab, EventRecorder } from './asterisk-node-lab.js';

const username = 'hold;fast';
const secret = 'a;b\\;c = "d" ;-- e';
const challenge = 'Digest realm="carrier, inc", nonce="n1", algorithm=MD5, qop="auth"';
let lab: AsteriskLab;
let edge: SipEndpoint;
let ari: AriClient;
const events = new EventRecorder();

before(async () => {
  lab = await AsteriskLab.open({ trunks: [{ name: 'carrier', username, secret }] });
  edge = await SipEndpoint.open({ address: lab.plan.privateVip, codecs: ['PCMU'] });
  await lab.start('call-1');
  const node = lab.farm.node('call-1');
  ari = node.ari;
  node.open(events);
  await events.connections(1);
});
after(async () => {
  await edge.close();
  await lab.close();
});

async function dial(endpoint: string, channelId: string): Promise<void> {
  const target = `${endpoint}/sip:70001@${lab.subnet.host(208)}:5060`;
  await ari.channels.create({
    ...{ endpoint: `PJSIP/${target}`, app: 'holdfast', appArgs: 'leg', channelId, formats: 'ulaw' },
    variables: { [dialVariable]: target },
  });
}

function isRight(call: IncomingCall): boolean {
  const header = call.invite.get('Authorization');
  const field = (name: string): string =>
    new RegExp(`[ ,]${name}="?([^",]*)`).exec(header.replace('carrier, inc', 'realm'))?.[1] ?? '';
  const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
  const ha1 = md5(`${username}:carrier, inc:${secret}`);
  const ha2 = md5(`INVITE:${field('uri')}`);
  return field('response') === md5(`${ha1}:n1:${field('nc')}:${field('cnonce')}:auth:${ha2}`);
}

describe('A leg to a trunk with credentials', () => {
  it('answers the challenge, and is answered', async () => {
    assert.doesNotMatch(lab.log('call-1'), /ERROR|WARNING/);
    edge.onInvite(async call => {
      if (call.invite.get('Authorization') === '') await call.reject(401, undefined, [['WWW-Authenticate', challenge]]);
      else if (isRight(call)) await call.answer();
      else await call.reject(403);
    });
    await dial(trunkEndpointName('carrier'), 'right');
    await events.of('ChannelStateChange', ({ channel }) => channel.id === 'right' && channel.state === 'Up');
    await ari.channels.hangup({ channelId: 'right' });
    await events.of('ChannelDestroyed', ({ channel }) => channel.id === 'right');
  });

  it('gives its credentials to nobody who is dialled otherwise', async () => {
    await dial('edge', 'edge');
    const end = await events.of('ChannelDestroyed', ({ channel }) => channel.id === 'edge');
    assert.equal(end.tech_cause, 401);
  });
});
