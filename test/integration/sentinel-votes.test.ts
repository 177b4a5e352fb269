// The sentinel against real Asterisks that die, freeze, stutter, are busy or cut off, and against pauses of its own.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { waitFor } from '../harness/wait-for.js';
import { SentinelLab } from './sentinel-lab.js';

const node = 'call-1';

/** CPU time a process has used, ms (proc(5): utime and stime in ticks of 10 ms). */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

describe('an Asterisk under the sentinel', () => {
  let lab: SentinelLab;
  let since = 0;
  before(async () => {
    lab = await SentinelLab.open();
    await lab.start(node);
  });
  after(() => lab.close());
  beforeEach(() => {
    since = lab.verdicts.length;
  });
  afterEach(() => {
    lab.asterisk.signal(node, 'SIGCONT');
  });
  const heard = (): readonly string[] => lab.verdicts.slice(since).map(verdict => verdict.health);

  test('that stutters, 300 ms at a time, is not dead', async () => {
    for (let i = 0; i < 6; i++) {
      lab.asterisk.signal(node, 'SIGSTOP');
      await sleep(300);
      lab.asterisk.signal(node, 'SIGCONT');
      await sleep(100);
    }
    assert.ok(!heard().includes('dead'), heard().join());
    await lab.is(node, 'up');
  });

  test('that is flooded, on a core that is 100 % busy without it, is not dead', { timeout: 30_000 }, async t => {
    const { address, pid, ariAuth } = lab.watched(node);
    const authorization = `Basic ${Buffer.from(ariAuth).toString('base64')}`;
    const spinners = [1, 2].map(() => spawn('taskset', ['-c', '0', process.execPath, '-e', 'for (;;);']));
    execFileSync('taskset', ['-a', '-cp', '0', `${pid}`]);
    const [startMs, usedMs] = [performance.now(), cpuMs(pid)];
    const endMs = startMs + 3_000;
    const requests = Array.from({ length: 8 }, async () => {
      while (performance.now() < endMs) {
        const response = await fetch(`http://${address}:8088/ari/asterisk/modules`, { headers: { authorization } });
        assert.equal(response.status, 200);
        await response.arrayBuffer();
      }
    });
    const socket = createSocket('udp4');
    socket.bind(0, lab.asterisk.subnet.host(200));
    await once(socket, 'listening');
    while (performance.now() < endMs) {
      for (let i = 0; i < 100; i++) socket.send(options(address, `${performance.now()}-${i}`), 5060, address);
      await sleep(5);
    }
    await Promise.all(requests);
    socket.close();
    const percent = (100 * (cpuMs(pid) - usedMs)) / (performance.now() - startMs);
    for (const spinner of spinners) spinner.kill('SIGKILL');
    execFileSync('taskset', ['-a', '-cp', `0-${cpus().length - 1}`, `${pid}`]);
    t.diagnostic(`Asterisk used ${Math.round(percent)} % of a core; ${heard().join() || 'up throughout'}`);
    assert.ok(!heard().includes('dead'), heard().join());
    await lab.is(node, 'up');
  });

  test('whose ARI alone is cut is suspect, however long, and up when ARI is back', { timeout: 30_000 }, async () => {
    const { address } = lab.asterisk.node(node);
    const mend = lab.cut(`ip daddr ${address} tcp dport 8088`);
    await lab.is(node, 'suspect');
    await sleep(4_000);
    assert.ok(!heard().includes('dead'), heard().join());
    mend();
    await lab.is(node, 'up', 15_000);
  });

  test('whose SIP alone is cut is suspect, not dead', { timeout: 30_000 }, async () => {
    const mend = lab.cut(`ip daddr ${lab.asterisk.node(node).address} udp dport 5060`);
    await lab.is(node, 'suspect');
    await sleep(2_000);
    assert.deepEqual(heard(), ['suspect']);
    mend();
    await lab.is(node, 'up');
  });

  test('is not dead because the main thread is blocked for 3 s', async () => {
    const endMs = performance.now() + 3_000;
    while (performance.now() < endMs);
    await sleep(500);
    assert.ok(!heard().includes('dead'), heard().join());
    await lab.is(node, 'up');
  });

  test('is not dead because the whole watching process stood still for 3 s', { timeout: 20_000 }, async () => {
    const main = fileURLToPath(new URL('sentinel-watcher-main.js', import.meta.url));
    const job = JSON.stringify({ address: lab.asterisk.plan.daemonAddress, node: lab.watched(node) });
    const child = spawn(process.execPath, [main, job], { stdio: ['ignore', 'pipe', 'inherit'] });
    const said: string[] = [];
    child.stdout.on('data', (data: Buffer) => said.push(...data.toString().trim().split('\n')));
    try {
      await waitFor('the other process to watch', () => said.includes('up'));
      for (const pauseMs of [3_000, 1_100]) {
        child.kill('SIGSTOP');
        await sleep(pauseMs);
        child.kill('SIGCONT');
        await sleep(700);
      }
      assert.ok(!said.includes('dead'), said.join());
      lab.asterisk.signal(node, 'SIGSTOP');
      await waitFor('it to see a real death all the same', () => said.includes('dead'));
    } finally {
      child.kill('SIGKILL');
    }
    lab.asterisk.signal(node, 'SIGCONT');
    await lab.is(node, 'up');
  });

  test('is not dead because the sentinel’s thread is; another thread watches on', async () => {
    // No address at all: the thread fails on it, each time, until it is taken away.
    lab.sentinel.watch({ ...lab.watched(node), name: 'broken', address: 0 as unknown as string });
    await sleep(1_000);
    lab.sentinel.unwatch('broken');
    await sleep(1_000);
    assert.ok(!heard().includes('dead') && !heard().includes('suspect'), heard().join());
    lab.asterisk.signal(node, 'SIGSTOP');
    await lab.is(node, 'dead');
    lab.asterisk.signal(node, 'SIGCONT');
    await lab.is(node, 'up');
  });

  test('that is cut off altogether is dead after the silence that is set', async t => {
    lab.sentinel.setSilence(600);
    const cutMs = Date.now();
    const mend = lab.cut(`ip daddr ${lab.asterisk.node(node).address}`);
    const { declaredMs, firstSignMs, reason } = await lab.is(node, 'dead');
    mend();
    lab.sentinel.setSilence(1_000);
    t.diagnostic(`dead ${declaredMs - cutMs} ms after the cut: ${reason}`);
    assert.ok(declaredMs - firstSignMs >= 600 && declaredMs - cutMs < 1_000);
    await lab.is(node, 'up');
  });

  test('that freezes is dead after a second of silence, counted from its last answer', async t => {
    const frozenMs = Date.now();
    lab.asterisk.signal(node, 'SIGSTOP');
    const { declaredMs, firstSignMs, reason } = await lab.is(node, 'dead');
    t.diagnostic(`dead ${declaredMs - frozenMs} ms after SIGSTOP: ${reason}`);
    assert.match(reason, /silent on ARI and SIP/);
    assert.ok(declaredMs - frozenMs > 800 && declaredMs - frozenMs < 1_500);
    assert.ok(firstSignMs <= frozenMs + 20 && firstSignMs > frozenMs - 300);
    lab.asterisk.signal(node, 'SIGCONT');
    await lab.is(node, 'up');
  });

  test('that is killed is dead at once, and that is said once', async t => {
    const killedMs = Date.now();
    lab.asterisk.signal(node, 'SIGKILL');
    const { declaredMs, firstSignMs, reason } = await lab.is(node, 'dead');
    t.diagnostic(`dead ${declaredMs - killedMs} ms after SIGKILL: ${reason}`);
    assert.equal(reason, 'its process is gone');
    assert.ok(declaredMs - killedMs < 100);
    assert.ok(firstSignMs >= killedMs - 30 && firstSignMs <= declaredMs);
    await sleep(1_500);
    assert.equal(heard().filter(health => health === 'dead').length, 1);
  });
});

describe('an Asterisk whose process cannot be seen', () => {
  test('is dead at once when its SIP port is closed, and its event stream', async t => {
    const lab = await SentinelLab.open();
    try {
      await lab.start(node);
      // Watched by the process of somebody else who lives on, as on another machine.
      const stranger = { pid: process.pid, startTicks: startTicksOf(process.pid) };
      lab.sentinel.watch({ ...lab.watched(node), ...stranger });
      lab.verdicts.length = 0;
      await lab.is(node, 'up');
      const killedMs = Date.now();
      lab.asterisk.signal(node, 'SIGKILL');
      const { declaredMs, reason } = await lab.is(node, 'dead');
      t.diagnostic(`dead ${declaredMs - killedMs} ms after SIGKILL: ${reason}`);
      assert.match(reason, /SIP port is closed/);
      assert.ok(declaredMs - killedMs < 400);
    } finally {
      await lab.close();
    }
  });
});

function startTicksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
}

function options(address: string, id: string): string {
  const via = `SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK${id}`;
  const lines = [`OPTIONS sip:${address}:5060 SIP/2.0`, `Via: ${via}`, `From: <sip:load@${address}>;tag=${id}`];
  return [...lines, `To: <sip:${address}>`, `Call-ID: ${id}`, 'CSeq: 1 OPTIONS', 'Content-Length: 0', '', ''].join(
    '\r\n',
  );
}
