// An INVITE of more than 4 kB over an Ethernet: it comes, and goes out, in fragments that only its first one has a port of.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Ethernet } from '../harness/far-network.js';
import { Farm } from '../harness/farm.js';
import { SippParty } from '../harness/sipp-party.js';
import { audioSdp, SippScenario } from '../harness/sipp-scenario.js';

const ethernet = new Ethernet();
let farm: Farm;

before(async () => {
  ethernet.open();
  farm = await Farm.up({
    config: `farm: { publicVip: ${ethernet.publicVip}, kamailio: 3, call: 1, conference: 1, registrar: 1, rtpengine: 1 }
domain: holdfast.test
passHeaders: [User-to-User, X-First, X-Second]
trunks:
  far: { sources: [${ethernet.address}], gateways: ['${ethernet.address}:5061'] }
plugins:
  transcoding-policy: { default: [PCMA] }
  conference:
  routing: { routes: [{ dial: 7xxxx, to: [{ trunk: far }] }] }
  session-recovery:
`,
  });
});
after(async () => {
  await farm.down();
  ethernet.close();
});

test('an INVITE of 4 kB passes an Ethernet in both directions, again and again', async () => {
  // SIPp reads no field that is longer than 2,048 octets.
  const long = 'ab'.repeat(600);
  const [here, far] = ethernet.reassembled();
  for (let round = 0; round < 3; round++) {
    const callee = await SippParty.callee(
      farm,
      SippScenario.callee('a callee of a long INVITE', { header: ['User-To-User', long] })
        .answer()
        .isHungUp(),
      { host: ethernet, port: 5061 },
    );
    const caller = await SippParty.caller(
      farm,
      SippScenario.caller('a caller of a long INVITE')
        .call({
          sdp: audioSdp(),
          headers: [
            ['User-to-User', long],
            ['X-First', long],
            ['X-Second', long],
          ],
        })
        .pause(300)
        .hangUp(),
      '70001',
      { host: ethernet },
    );
    await caller.succeeds();
    await callee.succeeds();
  }
  const [hereNow, farNow] = ethernet.reassembled();
  assert.ok(hereNow >= here + 3 && farNow >= far + 3, 'they came and went in fragments');
});
