// The daemon away: calls go on without it, and it knows them again; ARI cut; an Asterisk restarted.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { callRecords, recordOf } from '../harness/call-records.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

describe('a farm whose daemon dies', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;

  before(async () => {
    farm = await Farm.up();
    alice = await SipEndpoint.open({ address: farm.host(200), codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    bob.onInvite(async call => {
      call.ring();
      if (call.invite.requestUri.includes('70002')) return;
      await call.answer();
      call.audio.sendTone(660);
    });
  });

  after(async () => {
    await closeAll(alice, bob);
    await farm.down();
  });

  const place = async (count: number): Promise<OutgoingCall[]> => {
    const calls: OutgoingCall[] = [];
    for (let i = 0; i < count; i++) {
      const call = await alice.invite(farm.uri('70001'));
      await call.answered();
      calls.push(call);
    }
    return calls;
  };

  test('50 calls go on when it is killed, and both sides still hang up each other', { timeout: 120_000 }, async () => {
    const calls = await place(50);
    const talking = calls.slice(0, 5);
    const before = await farm.killDaemon();
    const heard = talking.map(({ audio }, i) => ({
      packets: audio.report().packets,
      lost: audio.lostFrom(bob.calls[i]!.audio),
      audio,
    }));
    await farm.daemonAfter(before);
    for (const { audio, packets, lost } of heard) {
      const more = audio.report().packets - packets;
      assert.ok(more > 20, `RTP went on while the daemon was away: ${more} packets`);
      await waitFor('less than a second of it to be lost', () => lost() < 50, { describe: () => `${lost()} packets` });
    }
    await waitFor('the daemon to know the 50 calls', async () => (await farm.calls()).length === 50);
    for (const call of await farm.calls()) {
      assert.equal(call.state, 'confirmed');
      assert.equal(call.legs.length, 2);
      assert.ok(
        call.legs.every(leg => leg.callId !== ''),
        'both SIP Call-IDs are known',
      );
    }
    for (const call of calls.slice(0, 25)) await call.hangup();
    const answered = bob.calls.slice(-25);
    for (const call of answered) await call.hangup();
    await farm.idle();
    await Promise.all(calls.map(call => call.ended()));
    const cdrs = await waitFor('50 records', async () => {
      const all = await callRecords(farm);
      return all.length >= 50 && all;
    });
    assert.equal(cdrs.length, 50);
    assert.equal(new Set(cdrs.map(cdr => cdr.callId)).size, 50);
  });

  for (const side of ['caller', 'callee'] as const) {
    test(
      `a call whose ${side} hung up meanwhile is ended on the other side, and its record says who hung up, and when`,
      { timeout: 60_000 },
      async () => {
        const [caller] = await place(1);
        const callee = bob.calls.at(-1);
        assert.ok(caller && callee);
        const [first, other] = side === 'caller' ? [caller, callee] : [callee, caller];
        const before = await farm.killDaemon();
        const [fromMs, status, toMs] = [Date.now(), await first.hangup(), Date.now()];
        assert.equal(status, 200, first.ladder());
        await farm.daemonAfter(before);
        assert.equal((await other.ended()).by, 'them', other.ladder());
        await farm.idle();
        const { outcome, endedBy, reason, endedNotBefore, endedAt } = await recordOf(farm, caller.callId);
        assert.deepEqual(
          [outcome, endedBy, reason],
          ['answered', side, `${side} hung up while the daemon did not see it`],
        );
        // Between what the last daemon saw and what the next one found.
        assert.ok(Date.parse(endedNotBefore) <= fromMs && toMs <= Date.parse(endedAt), `${endedNotBefore} ${endedAt}`);
      },
    );
  }

  test(
    'with ARI cut for 10 s nothing happens to calls, and new ones go to the other node',
    { timeout: 90_000 },
    async () => {
      const [call] = await place(1);
      assert.ok(call);
      const node = (await farm.calls())[0]?.legs[0]?.node ?? '';
      const address = (await farm.status()).nodes.find(one => one.name === node)?.address ?? '';
      const table = `holdfast_test_${process.pid}`;
      const nft = (rules: string): string => execFileSync('nft', ['-f', '-'], { input: rules, encoding: 'utf8' });
      nft(
        `table ip ${table} { chain cut { type filter hook input priority 0; ip daddr ${address} tcp dport 8088 drop; ip saddr ${address} tcp sport 8088 drop; }; }`,
      );
      try {
        const cutMs = Date.now();
        await waitFor(
          `${node} to be suspect`,
          async () => (await farm.status()).nodes.some(one => one.name === node && one.state === 'suspect'),
          { deadlineMs: 9_000, everyMs: 200 },
        );
        // The Kamailios hear of it a moment after we do.
        await waitFor('their lists to say so', async () => (await farm.cli(['dispatcher', 'diff'])).code === 0, {
          deadlineMs: 20_000,
        });
        for (let i = 0; i < 6; i++) {
          const other = await alice.invite(farm.uri('70001'));
          await other.answered();
          const own = (await farm.calls()).find(one => one.legs.some(leg => leg.callId === other.callId));
          assert.notEqual(own?.legs[0]?.node, node);
          await other.hangup();
        }
        await waitFor('10 s to pass', () => Date.now() - cutMs > 10_000, { deadlineMs: 11_000, everyMs: 100 });
      } finally {
        nft(`delete table ip ${table}`);
      }
      await waitFor(
        `${node} to be up again`,
        async () => (await farm.status()).nodes.some(one => one.name === node && one.state === 'up'),
        { deadlineMs: 15_000, everyMs: 200 },
      );
      const { packets } = call.audio.report();
      await waitFor('the call to be heard still', () => call.audio.report().packets > packets + 10);
      await call.hangup();
      await farm.idle();
    },
  );

  test('an idle Asterisk that is killed comes back and takes calls', { timeout: 60_000 }, async () => {
    for (const name of ['call-1', 'call-2']) {
      const pid = await farm.pid(name);
      process.kill(pid, 'SIGKILL');
      await farm.nodeAfter(name, pid);
    }
    await farm.whole();
    const calls = await place(4);
    for (const call of calls) await call.hangup();
    await farm.idle();
  });

  test('it is taken down with calls up: all phones hear a BYE, and every call has its record', async () => {
    const calls = await place(4);
    const ringing = await alice.invite(farm.uri('70002'));
    await ringing.ringing();
    const { code, stdout, stderr } = await farm.cli(['down'], 30_000);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /hanging up 5 calls/);
    for (const call of calls) assert.equal((await call.ended()).by, 'them');
    assert.ok((await ringing.rejected()) >= 400);
    for (const call of bob.calls) await call.waitFor('a BYE or a CANCEL', () => call.state === 'terminated');
    const said = (await callRecords(farm))
      .slice(-5)
      .map(({ outcome, endedBy, reason }) => `${outcome} ${endedBy} ${reason}`);
    assert.deepEqual(said.sort(), [
      ...Array<string>(4).fill('answered holdfast the farm was taken down'),
      'failed holdfast the farm was taken down',
    ]);
  });
});
