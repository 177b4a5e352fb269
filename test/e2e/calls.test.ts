// Calls through the whole farm, in both placements: what callers and callees see, and that nothing is left over.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { IncomingCall } from '../harness/incoming-call.js';
import { localConfig } from '../harness/local-config.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { Sipp } from '../harness/sipp.js';
import { waitFor } from '../harness/wait-for.js';

interface Cdr {
  readonly callId: string;
  readonly sipCallIds: readonly string[];
  readonly outcome: string;
  readonly sipStatus: number;
  readonly route: string | null;
  readonly reason: string;
}

/** examples/local.yaml with routes for failover (71xxx), forking (72xxx), impatience (73xxx), a refusal (74xxx) and a challenge (75xxx). */
async function configFor(twoParty: string): Promise<string> {
  const config = await localConfig();
  const routes = [
    `- { dial: 71xxx, to: [{ trunk: pair }] }`,
    `- { dial: 72xxx, to: [{ trunk: pair }], atOnce: true }`,
    `- { dial: 73xxx, to: [{ trunk: lab }], ringTimeoutSeconds: 1 }`,
    `- { dial: 75xxx, to: [{ trunk: carrier }] }`,
    `- { dial: 74xxx, reject: 603, reason: test }`,
  ];
  const marker = '    routes:\n';
  assert.ok(config.includes(marker));
  return config
    .replace(
      'trunks:\n',
      'trunks:\n  pair: { gateways: [.208:5060, .209:5060] }\n  carrier: { gateways: [.209:5060], credentials: { username: us, secret: ours } }\n',
    )
    .replace(marker, `${marker}${routes.map(route => `      ${route}\n`).join('')}`)
    .replace('twoParty: call-node', `twoParty: ${twoParty}`);
}

function isCancelled(endpoint: SipEndpoint): boolean {
  const last = endpoint.calls.at(-1);
  return last instanceof IncomingCall && last.isCancelled;
}

for (const twoParty of ['call-node', 'conference-farm']) {
  describe(`calls mixed on the ${twoParty}`, () => {
    let farm: Farm;
    let alice: SipEndpoint;
    let bob: SipEndpoint;
    let carol: SipEndpoint;
    let onBob: (call: IncomingCall) => Promise<void> | void;
    let onCarol: (call: IncomingCall) => Promise<void> | void;

    before(async () => {
      farm = await Farm.up({ config: await configFor(twoParty) });
      alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
      bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
      carol = await SipEndpoint.open({ address: farm.host(209), codecs: ['PCMA'] });
      bob.onInvite(call => onBob(call));
      carol.onInvite(call => onCarol(call));
    });
    after(async () => {
      await closeAll(alice, bob, carol);
      await farm.down();
    });
    afterEach(async () => {
      await nothingLeft(farm);
    });

    const answer = async (call: IncomingCall): Promise<void> => {
      call.ring();
      await call.answer();
    };
    const cdrOf = async (sipCallId: string): Promise<Cdr> =>
      waitFor('the record', async () => {
        const lines = (await readFile(join(farm.state, 'cdr.jsonl'), 'utf8')).split('\n').filter(line => line !== '');
        return lines.map(line => JSON.parse(line) as Cdr).find(one => one.sipCallIds.includes(sipCallId));
      });

    test('each final status of the callee reaches the caller as it is', { timeout: 60_000 }, async () => {
      for (const status of [404, 480, 484, 486, 488, 500, 503, 600, 603]) {
        onBob = call => call.reject(status);
        const call = await alice.invite(farm.uri('70001'));
        assert.equal(await call.rejected(), status);
        const cdr = await cdrOf(call.callId);
        assert.equal(cdr.sipStatus, status);
      }
    });

    test('no route is 404, and a route may refuse with its own status', async () => {
      const lost = await alice.invite(farm.uri('5550'));
      assert.equal(await lost.rejected(), 404);
      const refused = await alice.invite(farm.uri('74001'));
      assert.equal(await refused.rejected(), 603);
      const { route, reason } = await cdrOf(refused.callId);
      assert.deepEqual([route, reason], ['74xxx', 'test']);
    });

    test('a callee who does not answer in time is cancelled, and the caller hears 480', async () => {
      onBob = call => call.ring();
      const call = await alice.invite(farm.uri('73001'));
      assert.equal(await call.rejected(), 480);
      await waitFor('the callee to be cancelled', () => isCancelled(bob));
    });

    test('the next target is tried when the first one fails', async () => {
      onBob = call => call.reject(503);
      onCarol = answer;
      const call = await alice.invite(farm.uri('71001'));
      await call.answered();
      await call.hangup();
      await carol.calls.at(-1)?.ended();
    });

    test('of targets rung at once the first answer wins, and the other is cancelled', async () => {
      onBob = call => call.ring();
      onCarol = answer;
      const call = await alice.invite(farm.uri('72001'));
      await call.answered();
      await waitFor('the other to be cancelled', () => isCancelled(bob));
      await call.hangup();
    });

    test('CANCEL reaches the ringing callee', async () => {
      onBob = call => call.ring();
      const call = await alice.invite(farm.uri('70001'));
      await call.ringing();
      assert.equal(await call.cancel(), 487);
      await waitFor('the callee to be cancelled', () => isCancelled(bob));
      assert.equal((await cdrOf(call.callId)).outcome, 'cancelled');
    });

    test('a CANCEL that crosses the 200 leaves nobody in a call', async () => {
      onBob = call => {
        call.onCancel = 'answer';
        call.ring();
      };
      const call = await alice.invite(farm.uri('70001'));
      await call.ringing();
      await call.cancel();
      await waitFor('the callee to be out of the call', () => bob.calls.at(-1)?.state === 'terminated');
    });

    test('early media is heard before the answer, and the caller is answered when the callee is', async () => {
      const early = { heard: false };
      onBob = async call => {
        call.progress();
        call.audio.sendTone(880);
        await waitFor('the caller to have heard it', () => early.heard);
        await call.answer();
      };
      const call = await alice.invite(farm.uri('70001'));
      await call.earlyMedia();
      await call.audio.hears(880);
      assert.equal(call.state, 'early', 'not answered while the callee is not');
      early.heard = true;
      await call.answered();
      await bob.calls.at(-1)?.confirmed();
      await call.hangup();
    });

    test('either side hangs up, and digits of RFC 4733 pass both ways', async () => {
      onBob = answer;
      const first = await alice.invite(farm.uri('70001'));
      await first.answered();
      const callee = bob.calls.at(-1);
      assert.ok(callee);
      first.audio.sendTone(440);
      callee.audio.sendTone(660);
      await Promise.all([first.audio.hears(660), callee.audio.hears(440)]);
      await first.audio.sendDigits('12#');
      await waitFor('the callee to have the digits', () => callee.audio.report().digits === '12#');
      await callee.audio.sendDigits('9*0');
      await waitFor('the caller to have the digits', () => first.audio.report().digits === '9*0');
      await callee.hangup();
      await first.ended();
    });

    test('a callee who hangs up right behind the answer: the caller is answered, and hears of the end', async () => {
      onBob = async call => {
        await call.answer();
        await call.hangup();
      };
      const call = await alice.invite(farm.uri('70001'));
      await call.answered();
      await call.ended();
      onBob = answer;
    });

    test('the echo test answers, and three parties in a room hear each other', async t => {
      const echo = await alice.invite(farm.uri('9001'));
      await echo.answered();
      echo.audio.sendTone(500);
      await echo.audio.hears(500);
      await echo.hangup();
      const others = await Promise.all(
        [201, 202].map(host => SipEndpoint.open({ address: farm.host(host), codecs: ['PCMA'] })),
      );
      t.after(async () => Promise.all(others.map(other => other.close())));
      const members = await Promise.all([alice, ...others].map(one => one.invite(farm.uri('8001'))));
      await Promise.all(members.map(member => member.answered()));
      const [first, second, third] = members;
      assert.ok(first && second && third);
      first.audio.sendTone(600);
      await Promise.all([second.audio.hears(600), third.audio.hears(600)]);
      const rooms = await farm.json<readonly { room?: string; participants: unknown[] }[]>('conferences');
      assert.deepEqual(
        rooms.map(room => [room.room, room.participants.length]),
        [['8001', 3]],
      );
      await Promise.all(members.map(member => member.hangup()));
    });

    test('a subscriber calls by digest and is rung where the phone registered', async t => {
      const domain = 'holdfast.test';
      const phone = async (host: number, user: string, secret: string): Promise<SipEndpoint> =>
        SipEndpoint.open({
          address: farm.host(host),
          user,
          domain,
          codecs: ['PCMA'],
          credentials: { username: user, password: secret },
        });
      const [one, two, thief] = await Promise.all([
        phone(211, '1001', 'alice-secret'),
        phone(212, '1002', 'bob-secret'),
        phone(213, '1001', 'wrong'),
      ]);
      t.after(async () => Promise.all([one.close(), two.close(), thief.close()]));
      two.onInvite(answer);
      assert.equal((await two.register(`sip:${farm.host(100)}:5060`)).status, 200);
      await waitFor('the binding', async () => (await farm.json<unknown[]>('registrations')).length === 1);
      const call = await one.invite(farm.uri('1002'));
      await call.answered();
      await call.hangup();
      await two.calls.at(-1)?.ended();
      const refused = await thief.invite(farm.uri('1002'));
      assert.equal(await refused.rejected(), 407);
    });

    const load = async (calls: number, rate: number): Promise<string> => {
      const records = async (): Promise<number> =>
        (await readFile(join(farm.state, 'cdr.jsonl'), 'utf8').catch(() => '')).split('\n').filter(line => line !== '')
          .length;
      const before = await records();
      await bob.close();
      const callee = await Sipp.uas({ address: farm.host(208), ringMs: 100 });
      try {
        const caller = await Sipp.uac({
          address: farm.host(203),
          target: { address: farm.host(100), port: 5060 },
          service: '70001',
          calls,
          rate,
          holdMs: 1000,
          deadlineMs: 100_000,
        });
        const result = await caller.finished();
        assert.deepEqual([result.total, result.failed], [calls, 0], JSON.stringify(result.failures));
        await farm.idle();
        await waitFor(`${calls} records`, async () => (await records()) - before === calls);
        return `${result.successful} of ${result.total} calls, ${result.retransmissions} retransmissions`;
      } finally {
        await callee.stop();
        bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
        bob.onInvite(call => onBob(call));
      }
    };

    test('a trunk that challenges our INVITE gets its credentials, and the caller hears nothing of it', async () => {
      const challenge = ['Proxy-Authenticate', 'Digest realm="carrier", nonce="n1", algorithm=MD5'] as const;
      onCarol = call =>
        call.invite.get('Proxy-Authorization') === '' ? call.reject(407, undefined, [challenge]) : answer(call);
      const call = await alice.invite(farm.uri('75001'));
      await call.answered();
      const authorization = await carol.received('credentials', one => one.get('Proxy-Authorization') !== '');
      assert.match(authorization.get('Proxy-Authorization'), /username="us".*realm="carrier".*response="[0-9a-f]{32}"/);
      await call.hangup();
    });

    test('500 calls at 20 a second: 0 failed, 0 left over, one record each', { timeout: 120_000 }, async t => {
      t.diagnostic(await load(500, 20));
      const carried = (await farm.status()).nodes.filter(node => node.farm === 'kamailio');
      const received = carried.map(node => `${node.name} ${node.counters?.['received'] ?? 0}`);
      t.diagnostic(`SIP messages per Kamailio: ${received.join(', ')}`);
      assert.ok(
        carried.every(node => (node.counters?.['received'] ?? 0) > 500),
        'every Kamailio carried its share',
      );
    });

    test('500 more: after 1,000 calls there is nothing left anywhere', { timeout: 120_000 }, async t => {
      // An inner leg per participant makes a call on the conference farm three times the channels.
      t.diagnostic(await load(500, twoParty === 'call-node' ? 40 : 20));
    });
  });
}
