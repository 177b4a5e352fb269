// Recoveries in worse times: with the daemon away, with several nodes dead, and with no node left to recover on.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { localConfig } from '../harness/local-config.js';
import { PhonePair } from '../harness/phone-pair.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

describe('calls go on', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;

  before(async () => {
    farm = await Farm.up();
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
  });
  after(async () => {
    await closeAll(alice, bob);
    await farm.down();
  });
  afterEach(async () => {
    await farm.idle(20_000);
    await farm.whole();
    await nothingLeft(farm);
  });

  const daemonPid = async (): Promise<number> => (await farm.status()).daemon.pid;
  const whole = async (pair: PhonePair): Promise<void> => {
    await pair.soundsAgain();
    await pair.holdAndResume();
    await pair.hangup('caller');
  };

  test('when the daemon is killed, comes back, and their node dies after that', { timeout: 120_000 }, async () => {
    const pair = await PhonePair.call(farm, alice, bob);
    const node = await pair.node(farm);
    const daemon = await daemonPid();
    process.kill(daemon, 'SIGKILL');
    // While it is away the phones go on, and change what a recovery has to know.
    await pair.holdAndResume();
    await farm.daemonAfter(daemon);
    await pair.hear();
    await waitFor('the dialogs to be known again', async () => {
      const plan = await farm.json<{ sessions: { action: string; reason: string }[] }>('recovery', 'plan', node);
      return plan.sessions.length === 2 && plan.sessions.every(one => !/lost|not known/.test(one.reason));
    });
    const { reinvites } = pair;
    process.kill(await farm.pid(node), 'SIGKILL');
    await pair.reinvited(reinvites);
    await whole(pair);
  });

  test('when daemon and node are killed together', { timeout: 120_000 }, async () => {
    const pair = await PhonePair.call(farm, alice, bob);
    await killedWithDaemon(pair, await pair.node(farm));
    await whole(pair);
  });

  /** Resolves when the next daemon has recovered the call. */
  async function killedWithDaemon(pair: PhonePair, node: string): Promise<void> {
    const [daemon, pid] = [await daemonPid(), await farm.pid(node)];
    const { reinvites } = pair;
    await pair.isKept(farm);
    process.kill(daemon, 'SIGKILL');
    process.kill(pid, 'SIGKILL');
    await farm.daemonAfter(daemon);
    await pair.reinvited(reinvites, 30_000);
  }

  test(
    'when their node was leaving the farm, and is killed together with the daemon',
    { timeout: 120_000 },
    async () => {
      const config = await localConfig();
      await farm.json('drain', 'call-1');
      const pair = await PhonePair.call(farm, alice, bob);
      await farm.json('undrain', 'call-1');
      await farm.reload(config.replace('call: 2', 'call: 1'));
      await killedWithDaemon(pair, 'call-2');
      assert.equal(await pair.node(farm), 'call-1');
      await whole(pair);
      const hasLeft = async (): Promise<boolean> => !(await farm.status()).nodes.some(({ name }) => name === 'call-2');
      await waitFor('the dead node to have left', hasLeft);
      await farm.reload(config);
    },
  );

  test(
    'when daemon and RTPEngine are killed together, and again the moment media move',
    { timeout: 120_000 },
    async () => {
      const pair = await PhonePair.call(farm, alice, bob);
      const engineOf = (): string => `rtpengine-${pair.caller.media.remote?.address === farm.host(81) ? 1 : 2}`;
      for (const isLater of [false, true]) {
        // The one that dies has another to leave its media to.
        await farm.whole();
        const { reinvites } = pair;
        const [daemon, engine] = [await daemonPid(), await farm.pid(engineOf())];
        await pair.isKept(farm);
        process.kill(engine, 'SIGKILL');
        if (isLater)
          await waitFor('a re-INVITE', () => pair.caller.reinvites.length > (reinvites[0] ?? 0), { everyMs: 1 });
        process.kill(daemon, 'SIGKILL');
        await farm.daemonAfter(daemon);
        await waitFor('a re-INVITE', () => pair.caller.reinvites.length > (reinvites[0] ?? 0), { deadlineMs: 30_000 });
        await pair.soundsAgain();
      }
      await whole(pair);
    },
  );

  test('when the daemon is killed in the middle of a recovery', { timeout: 120_000 }, async () => {
    const pairs = [await PhonePair.call(farm, alice, bob), await PhonePair.call(farm, alice, bob)];
    const node = await pairs[0]?.node(farm);
    assert.ok(node !== undefined);
    const [daemon, pid] = [await daemonPid(), await farm.pid(node)];
    const other = node === 'call-1' ? 'call-2' : 'call-1';
    const log = async (): Promise<string> => readFile(join(farm.state, 'nodes', other, 'log/output.log'), 'utf8');
    const said = (await log()).length;
    const last = pairs[0]?.callee;
    assert.ok(last);
    // One of them answers while nobody is there whom Asterisk could tell.
    last.onReinvite = async () => {
      process.kill(daemon, 'SIGKILL');
      await waitFor('the other node to have lost the daemon', async () =>
        (await log()).slice(said).includes('session_read'),
      );
      last.onReinvite = 'answer';
      return 'answer' as const;
    };
    for (const pair of pairs) await pair.isKept(farm);
    process.kill(pid, 'SIGKILL');
    await farm.daemonAfter(daemon);
    for (const pair of pairs) await whole(pair);
  });

  test('when the node that they are recovered on dies too, and a third time', { timeout: 120_000 }, async () => {
    const pair = await PhonePair.call(farm, alice, bob);
    for (let i = 0; i < 3; i++) {
      const { reinvites } = pair;
      process.kill(await farm.pid(await pair.node(farm)), 'SIGKILL');
      await pair.reinvited(reinvites, 20_000);
      await pair.soundsAgain();
    }
    await whole(pair);
  });

  test('when all call nodes die at once: they wait for one to come back', { timeout: 120_000 }, async () => {
    const pairs = [await PhonePair.call(farm, alice, bob), await PhonePair.call(farm, alice, bob)];
    const before = pairs.map(pair => pair.reinvites);
    const pids = await Promise.all(['call-1', 'call-2'].map(name => farm.pid(name)));
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    for (const [i, pair] of pairs.entries()) await pair.reinvited(before[i] ?? [], 30_000);
    for (const pair of pairs) await whole(pair);
  });
});
