// Nothing of the inside is visible outside: every octet that outside endpoints get is searched for inside addresses.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Farm } from '../harness/farm.js';
import { Capture, searchPayloads } from '../harness/pcap.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';

describe('what the outside sees', () => {
  let farm: Farm;
  before(async () => {
    farm = await Farm.up();
  });
  after(() => farm.down());

  test('no inside address in any packet to an outside endpoint', { timeout: 90_000 }, async t => {
    const domain = 'holdfast.test';
    const credentials = { username: '1001', password: 'alice-secret' };
    const alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    const bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
    const phone = await SipEndpoint.open({
      address: farm.host(211),
      user: '1001',
      domain,
      codecs: ['opus'],
      credentials,
    });
    t.after(async () => Promise.all([alice.close(), bob.close(), phone.close()]));
    const capture = await Capture.start(farm.subnet.cidr);
    t.after(() => capture.close());

    bob.onInvite(async call => {
      if (bob.calls.length === 1) await call.reject(486);
      else if (bob.calls.length === 2) call.ring();
      else {
        call.progress();
        await call.answer();
      }
    });
    const busy = await alice.invite(farm.uri('70001'));
    await busy.rejected();
    const cancelled = await alice.invite(farm.uri('70001'));
    await cancelled.ringing();
    await cancelled.cancel();
    const nowhere = await alice.invite(farm.uri('5550'));
    await nowhere.rejected();
    const call = await alice.invite(farm.uri('70001'));
    await call.answered();
    await call.reinvite({ direction: 'sendonly' });
    const callee = bob.calls.at(-1);
    assert.ok(callee);
    await callee.reinvite({ direction: 'sendrecv' });
    await callee.hangup();
    await call.ended();
    const echo = await phone.invite(farm.uri('9001'));
    await echo.answered();
    await echo.hangup();
    const registered = await phone.register(`sip:${farm.host(100)}:5060`);
    assert.equal(registered.status, 200);
    await alice.request('OPTIONS', farm.uri(''));
    await alice.request('SUBSCRIBE', farm.uri('1001'));
    await farm.idle();
    const packets = await capture.stop();

    const { nodes } = await farm.status();
    const external = (index: number, base: number): string => farm.host(base + index);
    const inside = [
      ...nodes.map(node => node.address),
      ...[1, 2, 3].map(index => external(index, 10)),
      farm.host(101),
      farm.host(2),
    ];
    const endpoints = new Set([200, 208, 211].map(host => farm.host(host)));
    const outside = packets.filter(packet => endpoints.has(packet.destination));
    const sip = outside.filter(packet => /SIP\/2\.0/.test(packet.payload.toString('latin1')));
    t.diagnostic(`${outside.length} packets to outside endpoints, ${sip.length} of them SIP`);
    assert.ok(sip.length >= 25, 'every transaction above was captured');
    const shown = sip.flatMap(({ payload }) => {
      const text = payload.toString('latin1');
      const found = inside.find(address =>
        new RegExp(`(?<![\\d.])${address.replaceAll('.', '\\.')}(?!\\d)`).test(text),
      );
      return found === undefined ? [] : [`${found} in\n${text}`];
    });
    assert.deepEqual(shown, []);
    const senders = new Set(sip.map(packet => packet.source));
    assert.deepEqual([...senders], [farm.host(100)], 'SIP comes from the public VIP only');
    for (const name of ['X-Holdfast', 'Server:', 'Asterisk', 'kamailio']) {
      assert.equal(searchPayloads(sip, [name]).length, 0, `${name} is not shown`);
    }
  });
});
