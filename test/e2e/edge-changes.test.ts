// Kamailios killed, added and removed while calls are set up and talk; lists that drift, and are mended.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { callDaemon } from '../../core/control/control-client.js';
import type { ReloadPlanReport } from '../../core/control/views.js';
import { statePaths } from '../../core/host/state-folder.js';
import { Farm } from '../harness/farm.js';
import { localConfig } from '../harness/local-config.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { Sipp } from '../harness/sipp.js';
import { waitFor } from '../harness/wait-for.js';

interface Report {
  readonly instance: string;
  readonly reachable: boolean;
  readonly rows: readonly unknown[];
  readonly drift: readonly string[];
}

describe('an edge that changes', () => {
  let farm: Farm;
  let config: string;
  before(async () => {
    config = await localConfig();
    farm = await Farm.up({ config });
  });
  after(() => farm.down());

  const isUp = async (name: string): Promise<boolean> =>
    (await farm.status()).nodes.some(node => node.name === name && node.state === 'up');
  /** On a loaded machine a server takes its time to start and to be read back. */
  const becomes = (what: string, is: () => Promise<boolean>): Promise<unknown> =>
    waitFor(what, is, {
      ...{ deadlineMs: 60_000, everyMs: 200 },
      describe: async () => (await farm.status()).nodes.map(({ name, state }) => `${name} ${state}`).join(', '),
    });
  const rpc = async (instance: number, method: string): Promise<void> => {
    const socket = createSocket('udp4');
    await new Promise<void>(resolve => socket.bind(0, farm.host(2), resolve));
    const answered = new Promise(resolve => socket.once('message', resolve));
    socket.send(JSON.stringify({ jsonrpc: '2.0', method, id: 1 }), 8060, farm.host(20 + instance));
    await answered;
    socket.close();
  };

  test(
    '30 calls a second while a Kamailio is killed, comes back, and a fourth is added and removed',
    { timeout: 150_000 },
    async t => {
      const alice = await SipEndpoint.open({ address: farm.host(200), codecs: ['PCMA'] });
      const callee = await Sipp.uas({ address: farm.host(208), ringMs: 100 });
      // Answered before anything happens, and never touched until the end.
      const long = await alice.invite(farm.uri('9001'));
      await long.answered();
      const caller = await Sipp.uac({
        address: farm.host(201),
        target: { address: farm.host(100), port: 5060 },
        service: '70001',
        calls: 900,
        rate: 30,
        holdMs: 2000,
        deadlineMs: 120_000,
      });
      try {
        const pid = await farm.pid('kamailio-2');
        await waitFor('calls to be up', async () => (await farm.calls()).length > 20);
        process.kill(pid, 'SIGKILL');
        await farm.nodeAfter('kamailio-2', pid, 60_000);
        await farm.reload(config.replace('kamailio: 3', 'kamailio: 4'));
        await becomes('kamailio-4 to be up', () => isUp('kamailio-4'));
        const carried = (await caller.progress()).total;
        await waitFor('calls through four', async () => (await caller.progress()).total > carried + 60, {
          deadlineMs: 10_000,
          everyMs: 200,
        });
        await farm.reload(config);
        await becomes(
          'kamailio-4 to be gone',
          async () => !(await farm.status()).nodes.some(one => one.name === 'kamailio-4'),
        );
        const result = await caller.finished();
        t.diagnostic(`${result.successful} of ${result.total} calls, ${result.retransmissions} retransmissions`);
        for (const { callId, reason } of result.failures) t.diagnostic(`lost: ${callId}: ${reason}`);
        assert.equal(result.total, 900);
        // A set-up may be lost with the instance that held its packet; SIPp names each one, and says in which state it was.
        const answered = result.failures.filter(failure => /BYE/.test(failure.reason));
        assert.deepEqual(answered, [], 'no answered call was lost');
        assert.equal(result.failures.length, result.failed, 'each lost set-up is explained by its Call-ID');
        assert.ok(result.failed <= 5, `${result.failed} of 900 set-ups lost`);
        await long.hangup();
        // Where a 180 comes after its 200, SIPp gives up without a BYE.
        const lost = new Set(result.failures.map(({ callId }) => callId));
        for (const { id, legs } of await farm.calls()) {
          if (legs.some(({ callId }) => lost.has(callId))) await farm.cli(['call', 'hangup', id]);
        }
      } finally {
        await caller.stop();
        await callee.stop();
        await alice.close();
      }
      await farm.idle();
    },
  );

  test('a drained Kamailio gets no packet, and traffic again when it is taken back', { timeout: 60_000 }, async () => {
    await farm.json('drain', 'kamailio-1');
    assert.equal((await farm.status()).nodes.find(node => node.name === 'kamailio-1')?.state, 'draining');
    const alice = await SipEndpoint.open({ address: farm.host(200), codecs: ['PCMA'] });
    try {
      const call = await alice.invite(farm.uri('9001'));
      await call.answered();
      await call.hangup();
      const through = await callDaemon(statePaths(farm.state).controlSocket, 'trace', { callId: call.callId });
      assert.ok(through.length > 0);
      assert.ok(through.every(message => message.instance !== 'kamailio-1'));
    } finally {
      await alice.close();
    }
    await farm.json('undrain', 'kamailio-1');
    await becomes('kamailio-1 to be up', () => isUp('kamailio-1'));
  });

  test(
    'diff says what a reload would change, and a node that has an older file after it is restarted under a call',
    { timeout: 90_000 },
    async () => {
      const { state, configFile } = farm;
      const diff = async (...args: string[]): Promise<{ code: number | null; plan: ReloadPlanReport }> => {
        const { code, stdout, stderr } = await farm.cli(['diff', '--json', ...args]);
        assert.equal(stderr, '');
        return { code, plan: JSON.parse(stdout) as ReloadPlanReport };
      };
      assert.deepEqual(await diff(), {
        code: 0,
        plan: { config: configFile, changes: [], nodes: [], needs: [], untaken: [] },
      });

      // What `render` writes with the farm's key and place is what its servers were started with.
      const out = join(state, 'rendered');
      const place = ['--key', join(state, 'secrets.json'), '--at', join(state, 'nodes')];
      await farm.json('render', configFile, '--out', out, ...place);
      for (const path of [
        'kamailio-1/kamailio.cfg',
        'call-1/ari.conf',
        'call-2/pjsip.conf',
        'rtpengine-1/rtpengine.conf',
      ]) {
        assert.equal(await readFile(join(out, path), 'utf8'), await readFile(join(state, 'nodes', path), 'utf8'), path);
      }

      const other = join(state, 'other.yaml');
      await writeFile(other, config.replace('sources: [.200-.207]', 'sources: [.200-.206]'));
      const lists = await diff(other);
      assert.equal(lists.code, 3);
      assert.deepEqual(lists.plan.changes, [{ part: 'trunks.lab.sources', needs: ['list-reload'] }]);
      assert.deepEqual(
        lists.plan.nodes.map(({ node, needs }) => [node, ...needs]),
        [1, 2, 3].map(i => [`kamailio-${i}`, 'list-reload']),
      );
      await writeFile(other, config.replace('domain: holdfast.test', 'domain: elsewhere.test'));
      assert.equal((await diff(other)).code, 4);
      await writeFile(other, config.replace('domain:', 'domian:'));
      const mistaken = await farm.cli(['diff', other]);
      assert.deepEqual([mistaken.code, /other\.yaml:\d+:1: domian: unknown key/.test(mistaken.stderr)], [1, true]);

      const alice = await SipEndpoint.open({ address: farm.host(200), codecs: ['PCMA'] });
      try {
        const long = await alice.invite(farm.uri('9001'));
        await long.answered();
        await farm.reload(config.replace('rtpengine: 2', `rtpengine: 2\n  homer: ${farm.host(250)}`));
        const due = await diff();
        assert.equal(due.code, 4);
        assert.deepEqual(due.plan.changes, []);
        const files = [{ path: 'kamailio.cfg', need: 'rolling-restart' }];
        const ofAll = [1, 2, 3].map(i => ({ node: `kamailio-${i}`, needs: ['rolling-restart'], files }));
        assert.deepEqual(due.plan.nodes, ofAll);
        const pid = await farm.pid('kamailio-1');
        assert.deepEqual(await farm.json('restart', 'kamailio-1'), { node: 'kamailio-1', state: 'up', calls: 0 });
        assert.notEqual(await farm.pid('kamailio-1'), pid);
        assert.deepEqual((await diff()).plan.nodes, ofAll.slice(1));
        await farm.reload(config);
        // The restarted one has the collector, and is due again.
        assert.deepEqual((await diff()).plan.nodes, ofAll.slice(0, 1));
        await farm.json('restart', 'kamailio-1');
        await long.hangup();
      } finally {
        await alice.close();
      }
      assert.equal((await diff()).code, 0);
    },
  );

  test('a list that drifts is reported by diff and mended by reload', { timeout: 60_000 }, async () => {
    const reports = await farm.json<readonly Report[]>('dispatcher', 'list');
    assert.deepEqual(
      reports.map(one => [one.instance, one.reachable, one.rows.length]),
      [1, 2, 3].map(i => [`kamailio-${i}`, true, 256]),
    );
    const list = join(farm.state, 'nodes/kamailio-3/dispatcher.list');
    await writeFile(list, `1 sip:${farm.host(31)}:5060 0 0\n2 sip:${farm.host(71)}:5060 0 0\n`);
    await rpc(3, 'dispatcher.reload');
    const drifted = await farm.cli(['dispatcher', 'diff', '--json']);
    assert.equal(drifted.code, 1, 'a difference is exit code 1');
    const third = (JSON.parse(drifted.stdout) as Report[]).find(one => one.instance === 'kamailio-3');
    assert.ok((third?.drift.length ?? 0) > 0, 'the drift is named');
    await farm.json('dispatcher', 'reload');
    const mended = await farm.json<readonly Report[]>('dispatcher', 'diff');
    assert.ok(mended.every(one => one.drift.length === 0));
  });

  test(
    'with one instance down the others are reloaded, and it is equal when it is back',
    { timeout: 60_000 },
    async () => {
      const pid = await farm.pid('kamailio-2');
      process.kill(pid, 'SIGKILL');
      const during = await farm.cli(['dispatcher', 'reload', '--json']);
      const reports = JSON.parse(during.stdout) as { instance: string; equal: boolean }[];
      assert.deepEqual(
        reports.filter(one => one.instance !== 'kamailio-2').map(one => one.equal),
        [true, true],
      );
      await farm.nodeAfter('kamailio-2', pid, 60_000);
      await farm.whole();
      const after = await farm.json<readonly Report[]>('dispatcher', 'diff');
      assert.ok(after.every(one => one.reachable && one.drift.length === 0));
    },
  );
});
