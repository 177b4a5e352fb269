// Recovery from a collector's copies alone: the daemon's own ledger is not asked.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FakeHomer } from '../fakes/fake-homer.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { localConfig } from '../harness/local-config.js';
import { PhonePair } from '../harness/phone-pair.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

describe('with the ledger switched off and a HOMER 7 that writes late', () => {
  let farm: Farm;
  let homer: FakeHomer;
  let alice: SipEndpoint;
  let bob: SipEndpoint;

  before(async () => {
    const subnet = await freeSubnet();
    homer = await FakeHomer.start({ address: subnet.host(250), hepPort: 9060, writeEveryMs: 1_000 });
    const { url, username, password } = homer;
    const config = await localConfig();
    const block = `  session-recovery: { source: trace-source, homer: { url: "${url}", username: ${username}, password: ${password} } }\n`;
    assert.ok(config.includes('  session-recovery:\n') && config.includes('farm:\n'));
    farm = await Farm.up({
      config: config
        .replace('  session-recovery:\n', block)
        .replace('farm:\n', `farm:\n  homer: ${homer.hepAddress}:${homer.hepPort}\n`),
    });
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
  });
  after(async () => {
    await closeAll(alice, bob);
    await homer.stop();
    await farm.down();
  });

  test('calls of both roles are recovered, and again', { timeout: 90_000 }, async t => {
    const pair = await PhonePair.call(farm, alice, bob);
    await pair.holdAndResume();
    const node = await pair.node(farm);
    const plan = await farm.json<{ sessions: { action: string }[] }>('recovery', 'plan', node);
    assert.deepEqual(
      plan.sessions.map(one => one.action),
      ['recover', 'recover'],
      'the dry run asks HOMER, too',
    );
    for (let i = 0; i < 2; i++) {
      pair.calls.forEach(call => call.audio.resetReport());
      await recovered(pair);
      await pair.soundsAgain();
      t.diagnostic(`silences ${pair.calls.map(call => Math.round(call.audio.report().largestGapMs)).join(', ')} ms`);
    }
    await pair.holdAndResume();
    await pair.hangup('callee');
    await farm.idle();
  });

  async function recovered(pair: PhonePair): Promise<void> {
    const { reinvites } = pair;
    process.kill(await farm.pid(await pair.node(farm)), 'SIGKILL');
    await pair.reinvited(reinvites, 20_000);
  }

  /** All that the callee's dialog has had so far. */
  async function written({ callee }: PhonePair): Promise<void> {
    const cseq = callee.dialog.localCseq;
    const isAck = (raw: string): boolean => raw.startsWith('ACK ') && raw.includes(`CSeq: ${cseq} `);
    await waitFor('HOMER to have it all', () =>
      homer.rows.some(({ sid, raw }) => sid === callee.callId && isAck(String(raw))),
    );
  }

  test(
    'a call on hold stays so; one that is resumed, of which nothing is written yet, is resumed',
    { timeout: 90_000 },
    async () => {
      const pair = await PhonePair.call(farm, alice, bob);
      const { callee } = pair;
      assert.equal((await callee.reinvite({ direction: 'sendonly' })).status, 200);
      await written(pair);
      await recovered(pair);
      assert.equal(callee.media.direction, 'sendonly');
      await written(pair);
      homer.writes = false;
      await waitFor(
        '200 to the re-INVITE',
        async () => (await callee.reinvite({ direction: 'sendrecv' })).status === 200,
        {
          everyMs: 100,
        },
      );
      await recovered(pair);
      homer.writes = true;
      await pair.soundsAgain();
      await pair.hangup('caller');
      await farm.idle();
    },
  );
});
