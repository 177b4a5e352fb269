// Asterisks that freeze: found by their silence, fenced, recovered, and unable to hurt anybody when they wake up.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Farm } from '../harness/farm.js';
import { Capture } from '../harness/pcap.js';
import { PhonePair } from '../harness/phone-pair.js';
import { projectRoot } from '../harness/project-root.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

describe('a call node freezes', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;

  before(async () => {
    const config = await readFile(join(projectRoot, 'examples/local.yaml'), 'utf8');
    const block = '  session-recovery:\n';
    assert.ok(config.includes(block));
    farm = await Farm.up({ config: config.replace(block, '  session-recovery: { killFrozen: false }\n') });
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
  });
  after(async () => {
    await Promise.allSettled([alice.close(), bob.close()]);
    await farm.down();
  });

  const state = async (node: string): Promise<string | undefined> =>
    (await farm.status()).nodes.find(({ name }) => name === node)?.state;

  test('its calls are recovered, and what it does when it wakes up reaches nobody', { timeout: 90_000 }, async t => {
    const pair = await PhonePair.call(farm, alice, bob);
    const node = await pair.node(farm);
    const pid = await farm.pid(node);
    const address = (await farm.status()).nodes.find(({ name }) => name === node)?.address ?? '';
    const { reinvites } = pair;
    pair.calls.forEach(call => call.audio.resetReport());
    process.kill(pid, 'SIGSTOP');
    await pair.reinvited(reinvites);
    await pair.soundsAgain();
    t.diagnostic(`silences ${pair.calls.map(call => Math.round(call.audio.report().largestGapMs)).join(', ')} ms`);
    const capture = await Capture.start(farm.subnet.cidr);
    pair.calls.forEach(call => call.audio.resetReport());
    process.kill(pid, 'SIGCONT');
    await sleep(2_000);
    const packets = await capture.stop();
    assert.ok(packets.length > 200, 'the call itself is captured');
    const zombie = packets.filter(packet => packet.source === address);
    assert.deepEqual(
      zombie.map(packet => `${packet.sourcePort} > ${packet.destination}`),
      [],
    );
    for (const call of pair.calls) assert.equal(call.audio.report().sources.length, 1);
    assert.equal(await state(node), 'dead');
    await pair.holdAndResume();
    await pair.hangup('callee');
    await farm.idle();
    process.kill(pid, 'SIGKILL');
    await waitFor('the node to come back', async () => (await state(node)) === 'up', {
      deadlineMs: 30_000,
      everyMs: 200,
    });
    const next = await PhonePair.call(farm, alice, bob);
    await next.hangup('caller');
    await farm.idle();
  });

  test('pauses shorter than the limit, and a starved daemon, cost nobody anything', { timeout: 90_000 }, async () => {
    const pair = await PhonePair.call(farm, alice, bob);
    const node = await pair.node(farm);
    const [pid, daemon] = [await farm.pid(node), (await farm.status()).daemon.pid];
    for (let i = 0; i < 4; i++) {
      process.kill(pid, 'SIGSTOP');
      await sleep(400);
      process.kill(pid, 'SIGCONT');
      await sleep(400);
    }
    process.kill(daemon, 'SIGSTOP');
    await sleep(3_000);
    process.kill(daemon, 'SIGCONT');
    await sleep(1_500);
    assert.deepEqual(pair.reinvites, [0, 0]);
    assert.equal(await state(node), 'up');
    await pair.hear();
    await pair.hangup('caller');
    await farm.idle();
  });
});
