// What a caller may write into its INVITE reaches the daemon as it is, or not at all: nothing of it is run by the dialplan.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { inviteParts } from '../../core/calls/inbound-invite.js';
import type { AriClient } from '../../core/ports/asterisk.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';
import { AsteriskLab, EventRecorder } from './asterisk-node-lab.js';

let lab: AsteriskLab;
let edge: SipEndpoint;
let ari: AriClient;
const events = new EventRecorder();

before(async () => {
  lab = await AsteriskLab.open();
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

const target = (user: string): string => `sip:${user}@${lab.node('call-1').address}:5060`;

describe('The dialplan of a call node', () => {
  const odd: readonly [what: string, user: string, callId: string][] = [
    ['a variable', '7%24%7BEXTEN%7D', 'a${EXTEN}b'],
    ['a function', '7%24%7BSHELL(id)%7D', 'x)y,z("q"){${SHELL(id)}}[1]?/\\<>'],
    ['commas and brackets', '7)a,b(c', '(,)'],
    ['a bracket that is never closed', '7(a', '('],
    ['an expression', '7%24%5B1+1%5D', '$[1+1]'],
    ['percent signs', '7&=%2525', '%41%'],
    ['the name of a special extension', 's', 's'],
    ['the name of the hang-up extension', 'h', 'h'],
    ['a long name', 'a'.repeat(79), 'a'.repeat(200)],
  ];
  for (const [what, user, callId] of odd) {
    it(`hands over ${what} as it is`, async () => {
      const id = `${callId}@${Math.random()}`;
      const call = await edge.invite(target(user), { callId: id, headers: [['X-Holdfast-Source', 'a,b)${EXTEN}']] });
      const isIt = (args: readonly string[]): boolean => decodeURIComponent(inviteParts(args)[0] ?? '') === id;
      const { args, channel } = await events.of('StasisStart', event => isIt(event.args));
      const [headers = '', ...others] = inviteParts(args).map(decodeURIComponent).reverse();
      assert.deepEqual(others.reverse(), [id, 'a,b)${EXTEN}', decodeURIComponent(user)]);
      assert.deepEqual([args.length, args[0]], [2, 'inbound']);
      assert.match(headers, /^From: .*\nX-Holdfast-Source: a,b\)\$\{EXTEN\}\n$/);
      assert.equal(await call.cancel(), 487);
      await events.of('ChannelDestroyed', event => event.channel.id === channel.id);
      assert.equal(events.events.filter(event => event.type === 'StasisStart' && isIt(event.args)).length, 1);
    });
  }

  it('answers 503 to whatever is dialled while nobody listens', async () => {
    await lab.stopListening('call-1');
    for (const user of ['70001', 's', 'h']) assert.equal(await (await edge.invite(target(user))).rejected(), 503);
    ari = lab.farm.node('call-1').ari;
    await waitFor('no channel to be left', async () => (await ari.channels.list()).length === 0);
  });
});
