// What passes from one leg of a call to the other, and what is answered or refused on the way, message by message, both ways.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Farm } from '../harness/farm.js';
import { IncomingCall } from '../harness/incoming-call.js';
import { leftovers } from '../harness/leftovers.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import type { SipCall } from '../harness/sip-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import type { Header } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

describe('signalling: methods, statuses and headers', () => {
  let farm: Farm;
  let trunk: SipEndpoint;
  let callee: SipEndpoint;
  let onCall: (call: IncomingCall) => Promise<void> | void;

  const answer = async (call: IncomingCall): Promise<void> => {
    call.ring();
    await call.answer();
  };
  /** A call that is up, from both sides. */
  const talking = async (): Promise<readonly [OutgoingCall, IncomingCall]> => {
    onCall = answer;
    const outgoing = await trunk.invite(farm.uri('70001'));
    await outgoing.answered();
    const incoming = callee.calls.at(-1);
    assert.ok(incoming instanceof IncomingCall);
    await incoming.confirmed();
    return [outgoing, incoming];
  };
  const bothWays = async (scenario: (side: SipCall, other: SipCall) => Promise<void>): Promise<void> => {
    const [outgoing, incoming] = await talking();
    await scenario(outgoing, incoming);
    await scenario(incoming, outgoing);
    assert.equal(incoming.state, 'confirmed', `the call went on\n${incoming.ladder()}`);
    await outgoing.hangup();
    await incoming.ended();
  };

  before(async () => {
    farm = await Farm.up();
    trunk = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    callee = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    callee.onInvite(call => onCall(call));
  });
  after(async () => {
    await Promise.allSettled([trunk.close(), callee.close()]);
    await farm.down();
  });
  afterEach(async () => {
    await farm.idle();
    await waitFor('nothing to be left', async () => (await leftovers(farm)).length === 0, {
      describe: async () => (await leftovers(farm)).join('\n'),
    });
  });

  test('outside of a dialog every method has its answer from the edge', async () => {
    const expected: readonly (readonly [string, number])[] = [
      ['OPTIONS', 200],
      ['SUBSCRIBE', 489],
      ['PUBLISH', 489],
      ['NOTIFY', 481],
      ['MESSAGE', 405],
      ['REFER', 405],
      ['BYE', 481],
      ['INFO', 481],
      ['UPDATE', 481],
      ['PRACK', 481],
      ['FROBNICATE', 501],
    ];
    for (const [method, status] of expected) {
      const response = await trunk.request(method, farm.uri('70001'), { headers: [['Contact', trunk.contact]] });
      assert.equal(response.status, status, `${method}: ${response.startLine}`);
      if ([200, 405, 501].includes(status)) assert.ok(response.all('Allow').includes('INVITE'), `${method} has Allow`);
    }
  });

  test('a load balancer that asks through our own Route whether we live is answered', async () => {
    const route: Header = ['Route', `<sip:${farm.host(100)}:5060;lr>`];
    const response = await trunk.request('OPTIONS', `sip:${farm.host(100)}`, { headers: [route] });
    assert.equal(response.status, 200);
  });

  test('in a dialog every method has its answer, at once, and the call goes on', async () => {
    const digit = 'Signal=5\r\nDuration=160\r\n';
    const expected: readonly (readonly [string, readonly Header[], string, number])[] = [
      ['OPTIONS', [], '', 200],
      ['INFO', [], '', 200],
      ['INFO', [['Content-Type', 'application/dtmf-relay']], digit, 200],
      ['INFO', [['Content-Type', 'application/media_control+xml']], '<media_control/>', 415],
      ['INFO', [['Info-Package', 'nonsense']], '', 469],
      ['MESSAGE', [['Content-Type', 'text/plain']], 'hello', 405],
      ['NOTIFY', [['Event', 'presence']], '', 481],
      ['SUBSCRIBE', [['Event', 'presence']], '', 489],
      ['REFER', [['Refer-To', '<sip:70003@example.test>']], '', 603],
      ['FROBNICATE', [], '', 501],
    ];
    await bothWays(async side => {
      for (const [method, headers, body, status] of expected) {
        const response = await side.request(method, [['Contact', trunk.contact], ...headers], body);
        assert.equal(response.status, status, `${method} ${headers.join()}: ${response.startLine}\n${side.ladder()}`);
      }
    });
  });
});
