// Servers that freeze under calls, or are cut off: found by their silence, fenced, recovered, and unable to hurt anybody when they wake up.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeNamed } from '../../core/farm/farm-plan.js';
import { readProcess, sessionOf, signal } from '../../core/host/process-table.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { localConfig } from '../harness/local-config.js';
import { cut } from '../harness/packet-cut.js';
import { Capture } from '../harness/pcap.js';
import { PhonePair } from '../harness/phone-pair.js';
import type { SipCall } from '../harness/sip-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

describe('a server falls silent that lives on', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;

  before(async () => {
    const local = await localConfig();
    const [block, route] = ['  session-recovery:\n', 'dial: 7xxxx, to: [{ trunk: lab }]'];
    assert.ok(local.includes(block) && local.includes(route));
    const config = local.replace(route, `${route}, transfers: both`);
    farm = await Farm.up({ config: config.replace(block, '  session-recovery: { killFrozen: false }\n') });
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
  });
  after(async () => {
    await closeAll(alice, bob);
    await farm.down();
  });

  const state = async (node: string): Promise<string | undefined> =>
    (await farm.status()).nodes.find(({ name }) => name === node)?.state;
  const become = (node: string, wanted: string): Promise<unknown> =>
    waitFor(`${node} to be ${wanted}`, async () => (await state(node)) === wanted, {
      ...{ deadlineMs: 30_000, everyMs: 200 },
      describe: async () => JSON.stringify(await farm.status()),
    });
  /** All processes of a node: a Kamailio has many. */
  async function signalAll(node: string, name: NodeJS.Signals): Promise<void> {
    const leader = readProcess(await farm.pid(node));
    assert.ok(leader, `${node} runs`);
    for (const { pid } of sessionOf(leader)) signal(pid, name);
  }
  /** How a server falls silent that lives on. Each gives its end. */
  const silencings = [
    {
      what: 'freezes',
      silence: async (node: string) => {
        await signalAll(node, 'SIGSTOP');
        return () => signalAll(node, 'SIGCONT');
      },
    },
    {
      what: 'is cut off',
      silence: async (node: string) => {
        const matches = addressesOf(node).flatMap(address => [`ip saddr ${address}`, `ip daddr ${address}`]);
        const mend = cut({ subnet: farm.subnet.cidr }, ...matches);
        return async () => mend();
      },
    },
  ] as const;
  /** Inside and outside, of those that have both. */
  function addressesOf(node: string): readonly string[] {
    const { address, external = [] } = nodeNamed(farm.subnet.cidr, node) ?? assert.fail(node);
    return [address].concat(external);
  }
  /** What the zombie sends in two seconds of calls that go on, once nothing holds it back. */
  async function sentByZombie(node: string, wake: () => Promise<void>): Promise<readonly string[]> {
    const capture = await Capture.start(farm.subnet.cidr);
    await wake();
    await sleep(2_000);
    const packets = await capture.stop();
    assert.ok(packets.length > 200, 'the calls themselves are captured');
    return packets
      .filter(packet => addressesOf(node).includes(packet.source))
      .map(packet => `${packet.source}:${packet.sourcePort} > ${packet.destination}:${packet.destinationPort}`);
  }
  async function nextCallWorks(): Promise<void> {
    const next = await PhonePair.call(farm, alice, bob);
    await next.hangup('caller');
  }

  for (const { what, silence } of silencings) {
    test(`a call node ${what}: its calls are recovered, and it reaches nobody later`, { timeout: 90_000 }, async t => {
      const pair = await PhonePair.call(farm, alice, bob);
      const node = await pair.node(farm);
      const pid = await farm.pid(node);
      const { reinvites } = pair;
      pair.calls.forEach(call => call.audio.resetReport());
      const wake = await silence(node);
      try {
        await pair.reinvited(reinvites);
        await pair.soundsAgain();
        t.diagnostic(`silences ${silences(pair.calls).join(', ')} ms`);
        pair.calls.forEach(call => call.audio.resetReport());
        assert.deepEqual(await sentByZombie(node, wake), []);
      } finally {
        await wake();
      }
      for (const call of pair.calls) assert.equal(call.audio.report().sources.length, 1);
      assert.equal(await state(node), 'dead');
      assert.equal(await farm.pid(node), pid, 'it has lived all the time');
      await pair.holdAndResume();
      await pair.hangup('callee');
      await farm.idle();
      process.kill(pid, 'SIGKILL');
      await become(node, 'up');
      await nextCallWorks();
      await farm.idle();
    });

    test(
      `an RTPEngine ${what}: its media move to another, and it reaches nobody later`,
      { timeout: 90_000 },
      async t => {
        const pairs = [await PhonePair.call(farm, alice, bob), await PhonePair.call(farm, alice, bob)];
        const calls = pairs.flatMap(pair => pair.calls);
        const silent = calls[0]?.media.remote?.address === farm.host(81) ? 1 : 2;
        const node = `rtpengine-${silent}`;
        const lost = calls.filter(call => call.media.remote?.address === farm.host(80 + silent));
        calls.forEach(call => call.audio.resetReport());
        const wake = await silence(node);
        try {
          await waitFor('its legs to be re-INVITEd', () => lost.every(call => call.reinvites.length > 0), {
            deadlineMs: 10_000,
            describe: () => lost.map(call => call.ladder()).join('\n'),
          });
          for (const pair of pairs) await pair.soundsAgain();
          t.diagnostic(`${lost.length} legs lost; silences ${silences(calls).join(', ')} ms`);
          const late = await PhonePair.call(farm, alice, bob);
          pairs.push(late);
          const all = pairs.flatMap(pair => pair.calls);
          const engines = new Set(all.map(call => call.media.remote?.address));
          assert.deepEqual([...engines], [farm.host(80 + (3 - silent))], 'nobody was offered the silent one');
          all.forEach(call => call.audio.resetReport());
          assert.deepEqual(await sentByZombie(node, wake), []);
          for (const call of all) assert.equal(call.audio.report().sources.length, 1);
        } finally {
          await wake();
        }
        assert.equal(await state(node), 'dead');
        for (const pair of pairs) await pair.holdAndResume();
        for (const pair of pairs) await pair.hangup('callee');
        await farm.idle();
        await signalAll(node, 'SIGKILL');
        await become(node, 'up');
        await nextCallWorks();
      },
    );

    test(
      `a conference node ${what}, as a third one is put into it: all hear each other`,
      { timeout: 60_000 },
      async t => {
        const pair = await PhonePair.call(farm, alice, bob);
        const arriving = bob.incoming(10_000);
        const added = farm.json('call', 'add', pair.caller.callId, '70002');
        const third = await arriving;
        // Of two that nobody is on the first one is taken.
        const wake = await silence('conference-1');
        try {
          pair.calls.forEach(call => call.audio.resetReport());
          await third.answer();
          third.audio.sendTone(880);
          await added;
          const tones = [440, 660, 880];
          const hears = async (call: SipCall, own: number): Promise<void> =>
            call.audio.hearsMix(
              tones.filter(hz => hz !== own),
              [own],
            );
          await Promise.all([hears(pair.caller, 440), hears(pair.callee, 660), hears(third, 880)]);
          t.diagnostic(`silences ${silences(pair.calls).join(', ')} ms`);
          assert.deepEqual(await sentByZombie('conference-1', wake), []);
        } finally {
          await wake();
        }
        assert.equal(await state('conference-1'), 'dead');
        assert.equal((await farm.json<{ node: string }[]>('conferences'))[0]?.node, 'conference-2');
        assert.deepEqual(pair.reinvites, [0, 0]);
        assert.equal(await third.hangup(), 200);
        await pair.hangup('caller');
        await farm.idle();
        await signalAll('conference-1', 'SIGKILL');
        await become('conference-1', 'up');
      },
    );

    test(`a Kamailio ${what}: calls go on without it, and it reaches nobody later`, { timeout: 90_000 }, async () => {
      const pair = await PhonePair.call(farm, alice, bob);
      const wentOn = mediaOf(pair);
      const wake = await silence('kamailio-1');
      try {
        await become('kamailio-1', 'dead');
        await wentOn();
        // By now nothing is sent to it: no request needs to be sent twice.
        await pair.holdAndResume();
        await nextCallWorks();
        const goesOn = mediaOf(pair);
        assert.deepEqual(await sentByZombie('kamailio-1', wake), []);
        assert.equal(await state('kamailio-1'), 'dead');
        await goesOn();
      } finally {
        await wake();
      }
      await signalAll('kamailio-1', 'SIGKILL');
      await become('kamailio-1', 'up');
      await pair.holdAndResume();
      const { code, stdout } = await farm.cli(['dispatcher', 'diff']);
      assert.equal(code, 0, stdout);
      await pair.hangup('callee');
      await farm.idle();
    });
  }

  test('all servers of a host at once: every phone hears the other one again', { timeout: 90_000 }, async t => {
    const host = ['kamailio-1', 'call-1', 'conference-1', 'registrar-1', 'rtpengine-1'];
    const pairs: PhonePair[] = [];
    for (let i = 0; i < 8; i++) pairs.push(await PhonePair.call(farm, alice, bob));
    const calls = pairs.flatMap(pair => pair.calls);
    calls.forEach(call => call.audio.resetReport());
    await Promise.all(host.map(node => signalAll(node, 'SIGSTOP')));
    for (const node of host) await become(node, 'dead');
    await Promise.all(pairs.map(pair => pair.hear()));
    t.diagnostic(`silences ${silences(calls).join(', ')} ms`);
    for (const pair of pairs) await pair.holdAndResume();
    await nextCallWorks();
    await Promise.all(host.map(node => signalAll(node, 'SIGKILL')));
    await farm.whole(60_000);
    for (const pair of pairs) await pair.hangup('caller');
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
    // The daemon may have found it silent for a moment; a death would have cost a re-INVITE.
    await become(node, 'up');
    assert.deepEqual(pair.reinvites, [0, 0]);
    assert.equal(await farm.pid(node), pid);
    await pair.hear();
    await pair.hangup('caller');
    await farm.idle();
  });
});

/** Looks from now on; gives what waits until all that either has sent was heard, but for less than half a second. */
function mediaOf({ caller, callee }: PhonePair): () => Promise<unknown> {
  const lost = [caller.audio.lostFrom(callee.audio), callee.audio.lostFrom(caller.audio)];
  return () =>
    waitFor('media to go on', () => lost.every(count => count() < 25), {
      describe: () => `${lost.map(count => count()).join(' and ')} packets lost`,
    });
}

function silences(calls: readonly SipCall[]): number[] {
  return calls.map(call => Math.round(call.audio.report().largestGapMs));
}
