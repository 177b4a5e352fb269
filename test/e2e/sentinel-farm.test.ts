// Frozen servers in a whole farm: killed and started again, or left to a debugger and fenced, also by the next daemon.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus } from '../../core/control/views.js';
import { isRunning, readProcess, sessionOf } from '../../core/host/process-table.js';
import { tableName } from '../../core/host/nft-ruleset.js';
import { Farm } from '../harness/farm.js';
import { localConfig } from '../harness/local-config.js';
import { waitFor } from '../harness/wait-for.js';

describe('frozen servers of a farm', () => {
  let farm: Farm;
  let config: string;
  before(async () => {
    config = await localConfig();
    farm = await Farm.up({ config });
  });
  after(() => farm.down());

  async function node(name: string): Promise<NodeStatus> {
    const found = (await farm.status()).nodes.find(one => one.name === name);
    assert.ok(found);
    return found;
  }
  const become = (name: string, is: (node: NodeStatus) => boolean, deadlineMs = 20_000): Promise<unknown> =>
    waitFor(`another state of ${name}`, async () => is(await node(name)), {
      ...{ deadlineMs, everyMs: 200 },
      describe: async () => JSON.stringify(await node(name)),
    });
  const fenceSet = (): string =>
    execFileSync('nft', ['list', 'set', 'ip', tableName(farm.subnet.cidr), 'fenced'], { encoding: 'utf8' });

  test(
    'are killed and start again, whichever farm they are of, and no fence is left',
    { timeout: 90_000 },
    async () => {
      const names = ['registrar-1', 'conference-1', 'call-1', 'rtpengine-1', 'kamailio-1'];
      const all = await farm.pids();
      const pids = names.map(name => all.get(name)!);
      const others = [...all].filter(([name]) => !names.includes(name));
      const processes = pids.flatMap(pid => sessionOf(readProcess(pid)!));
      for (const { pid } of processes) process.kill(pid, 'SIGSTOP');
      for (const [i, name] of names.entries()) await farm.nodeAfter(name, pids[i]!);
      for (const one of processes) assert.ok(!isRunning(one), `process ${one.pid}`);
      assert.doesNotMatch(fenceSet(), /elements/);
      // The others never died; one of them may be suspect for a moment on a busy machine.
      for (const [name, pid] of others) await become(name, one => one.state === 'up' && one.pid === pid);
    },
  );

  test('stay dead and fenced with killFrozen off, also under another daemon', { timeout: 150_000 }, async () => {
    await farm.reload(config.replace('  session-recovery:\n', '  session-recovery: { killFrozen: false }\n'));
    const { address } = await node('call-2');
    const pid = await farm.pid('call-2');
    process.kill(pid, 'SIGSTOP');
    await become('call-2', one => one.state === 'dead');
    assert.ok(fenceSet().includes(address));
    process.kill((await farm.status()).daemon.pid, 'SIGKILL');
    // `start` waits for every node to be up, which this one cannot be.
    await farm.cli(['up', '--detach', '--config', farm.configFile], 15_000).catch(() => undefined);
    await become('call-2', one => one.state === 'dead', 60_000);
    process.kill(pid, 'SIGCONT');
    await sleep(2_000);
    assert.deepEqual([(await node('call-2')).state, (await node('call-2')).pid], ['dead', pid]);
    assert.ok(fenceSet().includes(address));
    process.kill(pid, 'SIGKILL');
    await farm.nodeAfter('call-2', pid);
    assert.doesNotMatch(fenceSet(), /elements/);
  });
});
