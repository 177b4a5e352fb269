// The sentinel against real Asterisks that die, freeze, stutter, are busy or cut off, and against pauses of its own.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, setPriority } from 'node:os';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stasisApp } from '../../core/ports/asterisk.js';
import type { Voice } from '../../core/ports/voices.js';
import { waitFor } from '../harness/wait-for.js';
import { treadmill } from './asterisk-node-lab.js';
import { SentinelLab } from './sentinel-lab.js';

const node = 'call-1';

/** CPU time a process has used, ms (proc(5): utime and stime in ticks of 10 ms). */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Of all threads of a process; sched(7): where sessions are scheduled as groups, a thread's counts within its session only. */
function setPriorities(pid: number, nice: number): void {
  const group = `/proc/${pid}/autogroup`;
  if (existsSync(group)) writeFileSync(group, `${nice}`);
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      setPriority(Number(thread), nice);
    } catch (error) {
      // It has ended meanwhile.
      if (existsSync(`/proc/${pid}/task/${thread}`)) throw error;
    }
  }
}

/** Binds all threads of a process to these cores, as taskset(1) writes them; gives back what lets them go. */
function bind(pid: number, cores: string): () => void {
  const all = `0-${cpus().length - 1}`;
  const to = (list: string): void => {
    for (;;) {
      try {
        return void execFileSync('taskset', ['-a', '-cp', list, `${pid}`], { stdio: 'pipe' });
      } catch (error) {
        // A thread has ended between the look for all of them and its turn: those after it were left out.
        if (!existsSync(`/proc/${pid}`) || !String(error).includes('No such process')) throw error;
      }
    }
  };
  to(cores);
  return () => to(all);
}

/** What core 0 had no time for, ms: another machine had it (proc(5): steal). */
function stolenMs(): number {
  return Number(/^cpu0 (.*)$/m.exec(readFileSync('/proc/stat', 'latin1'))?.[1]?.split(' ')[7]) * 10;
}

/** The part of core 0 that a process gets in the next so many ms, of what there is to get. */
async function shareOfCore(pid: number, forMs: number): Promise<number> {
  const [startMs, usedMs, lostMs] = [performance.now(), cpuMs(pid), stolenMs()];
  await sleep(forMs);
  return (cpuMs(pid) - usedMs) / (performance.now() - startMs - (stolenMs() - lostMs));
}

describe('an Asterisk under the sentinel', () => {
  let lab: SentinelLab;
  let since = 0;
  before(async () => {
    lab = await SentinelLab.open();
    await lab.start(node, treadmill);
  });
  after(() => lab.close());
  beforeEach(() => {
    since = lab.verdicts.length;
  });
  afterEach(() => {
    lab.mend();
    lab.sentinel.setSilence(1_000);
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

  test('that burns all of its core is not dead, whatever it has no time for', { timeout: 60_000 }, async t => {
    const { pid } = lab.watched(node);
    const { channels } = lab.asterisk.farm.node(node).ari;
    const runners = Array.from({ length: 3 }, (_, i) => `runner-${i}`);
    const unbind = bind(pid, '0');
    // It gets all that it asks for, whoever else wants that core.
    setPriorities(pid, -20);
    try {
      for (const channelId of runners) {
        await channels.originate({ endpoint: 'Local/run@treadmill', app: stasisApp, channelId, timeout: 60 });
      }
      const shares: number[] = [];
      const burns = async (): Promise<boolean> => {
        shares.push(await shareOfCore(pid, 1_000));
        return shares.length >= 5 && shares.slice(-5).every(share => share >= 0.95);
      };
      const describe = (): string => shares.map(share => share.toFixed(2)).join(' ');
      await waitFor('it to burn all of its core for five seconds', burns, { deadlineMs: 40_000, describe });
      t.diagnostic(
        `parts of its core, second by second: ${describe()}; verdicts: ${heard().join() || 'up throughout'}`,
      );
      assert.ok(!heard().includes('dead'), heard().join());
    } finally {
      for (const channelId of runners) await channels.hangup({ channelId }).catch(() => undefined);
      unbind();
      setPriorities(pid, 0);
    }
    await lab.is(node, 'up');
    assert.ok(!heard().includes('dead'), heard().join());
  });

  test('that others keep from its core is suspect, not dead', async () => {
    lab.sentinel.setSilence(500);
    const [bound, unbind] = [bind(lab.watched(node).pid, '0'), bind(process.pid, '1')];
    // It outranks all that is not real-time: sched(7). The kernel leaves the others a twentieth of each second.
    const hog = spawn('taskset', ['-c', '0', 'chrt', '-f', '50', 'sh', '-c', 'while :; do :; done']);
    try {
      await lab.is(node, 'suspect');
      await sleep(1_700);
      assert.ok(!heard().includes('dead'), heard().join());
    } finally {
      hog.kill('SIGKILL');
      bound();
      unbind();
    }
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
    const voice = { ...lab.watched(node).voices[1], address: 0 as unknown as string } as Voice;
    lab.sentinel.watch({ ...lab.watched(node), name: 'broken', voices: [voice] });
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
    t.diagnostic(`dead ${declaredMs - cutMs} ms after the cut: ${reason}`);
    // Silence is counted from turn to turn, of 20 ms.
    assert.ok(declaredMs - firstSignMs >= 580 && declaredMs - cutMs < 1_000);
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
      assert.equal(reason, 'nobody serves ARI and SIP there');
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
