// The test kit against a user agent that is not its own: SIPp calls our endpoint and is called by it; captures are read.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { closeAll } from '../harness/close-all.js';
import { freeSubnet, type Subnet } from '../harness/free-subnet.js';
import { Capture, rtpFlows, searchPayloads } from '../harness/pcap.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { Sipp } from '../harness/sipp.js';

describe('SIPp', () => {
  let subnet: Subnet;
  before(async () => {
    subnet = await freeSubnet();
  });

  it('calls SIPp, and every call is counted on both sides', async () => {
    const uas = await Sipp.uas({ address: subnet.host(208), ringMs: 20 });
    const target = { address: subnet.host(208), port: 5060 };
    const uac = await Sipp.uac({
      address: subnet.host(200),
      target,
      service: '70001',
      calls: 20,
      rate: 40,
      holdMs: 200,
    });
    const { exitCode, total, successful, failed, retransmissions, marks, failures } = await uac.finished();
    assert.deepEqual([exitCode, total, successful, failed, marks], [0, 20, 20, 0, []]);
    // As many as the machine stood still for.
    assert.ok(Number.isInteger(retransmissions), `${retransmissions}`);
    assert.deepEqual(failures, []);
    const callee = await uas.stop();
    assert.equal(callee.successful, 20);
    assert.equal(callee.failed, 0);
  });

  it('calls our endpoint, and what it refuses is named by its Call-ID', async t => {
    const bob = await SipEndpoint.open({ address: subnet.host(209) });
    t.after(() => bob.close());
    const refused: string[] = [];
    let calls = 0;
    bob.onInvite(async call => {
      if (calls++ === 1) {
        refused.push(call.callId);
        await call.reject(486);
      } else await call.answer();
    });
    const target = { address: bob.address, port: bob.port };
    const uac = await Sipp.uac({ address: subnet.host(201), target, service: 'bob', calls: 3, rate: 20, holdMs: 200 });
    const result = await uac.finished();
    assert.equal(result.exitCode, 1);
    assert.deepEqual([result.successful, result.failed], [2, 1], result.errors);
    assert.deepEqual(
      result.failures.map(({ callId }) => callId),
      refused,
    );
    assert.match(result.failures[0]!.reason, /SIP\/2\.0 486 /);
  });

  it('is called by our endpoint', async t => {
    const uas = await Sipp.uas({ address: subnet.host(210), ringMs: 50 });
    const alice = await SipEndpoint.open({ address: subnet.host(202) });
    t.after(() => alice.close());
    const call = await alice.invite(`sip:70001@${subnet.host(210)}:5060`);
    await call.ringing();
    await call.answered();
    assert.equal(await call.hangup(), 200);
    const { total, successful } = await uas.stop();
    assert.deepEqual([total, successful], [1, 1]);
  });
});

describe('capture', () => {
  let alice: SipEndpoint;
  let bob: SipEndpoint;
  let capture: Capture;
  before(async () => {
    const subnet = await freeSubnet();
    capture = await Capture.start(subnet.cidr);
    alice = await SipEndpoint.open({ address: subnet.host(200) });
    bob = await SipEndpoint.open({ address: subnet.host(201), codecs: ['G722'] });
  });
  after(() => closeAll(alice, bob, capture));

  it('shows the payload types of each direction, and finds strings in payloads', async () => {
    bob.onInvite(async call => {
      await call.answer();
      call.audio.sendTone(880);
    });
    const call = await alice.invite(`sip:bob@${bob.address}`, { codecs: ['G722'], headers: [['X-Secret', 'find-me']] });
    await call.answered();
    await call.audio.hears(880);
    await call.audio.sendDigits('1');
    await call.hangup();
    const packets = await capture.stop();
    const found = searchPayloads(packets, ['not-there', 'find-me']);
    // It may have been sent again.
    assert.deepEqual(
      [...new Set(found.map(one => `${one.found} ${one.packet.source} ${one.packet.destinationPort}`))],
      [`find-me ${alice.address} 5060`],
    );
    const flows = new Map(rtpFlows(packets).map(flow => [flow.from.split(':')[0], Object.keys(flow.byPayloadType)]));
    assert.deepEqual(flows.get(alice.address), ['9', '101']);
    assert.deepEqual(flows.get(bob.address), ['9']);
  });
});
