// up, down and the supervisor, as real processes: whatever dies, calls' processes stay, and down leaves nothing.
import { after, afterEach, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CommandContext } from '../../core/cli/command.js';
import type { Operations } from '../../core/control/operations.js';
import type { FarmStatus } from '../../core/control/views.js';
import { ControlServer } from '../../core/control/control-server.js';
import { interruptedOrGone } from '../../core/cli/stay-up.js';
import { readSupervisorNote, supervisorOf, takeSupervisorLock } from '../../core/cli/supervisor-note.js';
import { farmStatus } from '../../core/cli/farm-launch.js';
import { isRunning, readProcess } from '../../core/host/process-table.js';
import { statePaths } from '../../core/host/state-folder.js';

const main = fileURLToPath(new URL('./host-fake-main.js', import.meta.url));
const state = mkdtempSync(join(tmpdir(), 'holdfast-up-'));
chmodSync(state, 0o711);
const config = join(state, 'config');
writeFileSync(config, 'fine');

interface Run {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly code: Promise<number | null>;
}

function start(...args: string[]): Run {
  const place = args.includes('--state') ? [] : ['--state', state];
  const child = spawn(process.execPath, [main, ...args, ...place], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.on('data', data => (text += String(data)));
  child.stderr.on('data', data => (text += String(data)));
  // Not its exit: what it wrote last may not have been read then.
  const code = new Promise<number | null>(resolve => child.once('close', resolve));
  return { child, output: () => text, code };
}

async function run(...args: string[]): Promise<{ code: number | null; output: string }> {
  const started = start(...args);
  return { code: await started.code, output: started.output() };
}

async function until<T>(what: string, probe: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) assert.fail(`waited in vain: ${what}`);
    await delay(20);
  }
}

const tables = (): string => execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
const pidsOf = (status: FarmStatus): (number | null)[] => status.nodes.map(({ pid }) => pid);

async function status(): Promise<FarmStatus> {
  return until('status', () => farmStatus(state));
}

async function assertNothingLeft(pids: readonly (number | null)[]): Promise<void> {
  for (const pid of pids) assert.equal(pid === null ? undefined : readProcess(pid), undefined);
  assert.equal(supervisorOf(state), undefined);
  assert.equal(await farmStatus(state), undefined);
  assert.doesNotMatch(tables(), /holdfast_127_66_2_0/);
}

/** Command lines of whatever still names the folder or runs in it. */
function processesIn(folder: string): string[] {
  return readdirSync('/proc')
    .filter(pid => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .filter(pid => !'ZX'.includes(readProcess(Number(pid))?.state ?? 'X'))
    .flatMap(pid => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return command.includes(folder) || readlinkSync(`/proc/${pid}/cwd`).startsWith(folder) ? [command] : [];
      } catch {
        return [];
      }
    });
}

describe('up and down', () => {
  afterEach(async () => {
    writeFileSync(config, 'fine');
    await run('down');
  });
  after(() => rmSync(state, { recursive: true }));

  it('brings a farm up, says so when it is up already, and brings it down without a rest', async () => {
    const up = await run('up', config, '--detach');
    assert.equal(up.code, 0, up.output);
    assert.match(up.output, /kamailio-1 is up \(1 of 2\)[^]*is ready[^]*holdfast demo call/);
    const first = await status();
    assert.match(tables(), /holdfast_127_66_2_0/);
    const again = await run('up', config, '--detach');
    assert.equal(again.code, 0);
    assert.match(again.output, /up already/);
    assert.deepEqual(pidsOf(await status()), pidsOf(first));
    const down = await run('down');
    assert.equal(down.code, 0, down.output);
    assert.match(down.output, /is down: kamailio-1, call-1/);
    await assertNothingLeft([...pidsOf(first), first.daemon.pid]);
    const twice = await run('down');
    assert.equal(twice.code, 0);
    assert.match(twice.output, /is down already/);
  });

  it('finds nothing to bring down where there never was a farm', async () => {
    const never = await run('down', '--state', `${state}-of-nobody`);
    assert.equal(never.code, 0, never.output);
    assert.match(never.output, /is down already/);
  });

  it('starts a daemon again that was killed with -9, and leaves the servers alone', async () => {
    await run('up', config, '--detach');
    const before = await status();
    process.kill(before.daemon.pid, 'SIGKILL');
    const later = await until('another daemon', async () => {
      const now = await farmStatus(state);
      return now?.ready === true && now.daemon.pid !== before.daemon.pid && now;
    });
    assert.deepEqual(pidsOf(later), pidsOf(before));
  });

  it('brings down a farm whose supervisor and daemon were killed', async () => {
    await run('up', config, '--detach');
    const before = await status();
    process.kill(supervisorOf(state)!.pid, 'SIGKILL');
    process.kill(before.daemon.pid, 'SIGKILL');
    await until(
      'the end',
      () => readProcess(before.daemon.pid) === undefined || readProcess(before.daemon.pid)?.state === 'Z',
    );
    const down = await run('down');
    assert.equal(down.code, 0, down.output);
    for (const node of before.nodes) assert.match(down.output, new RegExp(node.name));
    assert.match(down.output, /balancer/);
    assert.doesNotMatch(tables(), /holdfast_127_66_2_0/);
    for (const pid of pidsOf(before)) assert.ok(readProcess(pid!) === undefined || readProcess(pid!)?.state === 'Z');
  });

  it('leaves nothing when its daemon was killed and is just being started again', { timeout: 120_000 }, async t => {
    const pauses = [0, 50, 120, 200, 300, 450].map(ms => Math.round(ms + 60 * Math.random()));
    t.diagnostic(`down ${pauses.join(', ')} ms after the kill`);
    for (const pauseMs of pauses) {
      assert.equal((await run('up', config, '--detach')).code, 0);
      const before = await status();
      // Its servers too: the next daemon has some to start.
      for (const pid of [before.daemon.pid, ...pidsOf(before)]) process.kill(pid!, 'SIGKILL');
      await delay(pauseMs);
      const down = await run('down');
      assert.equal(down.code, 0, down.output);
      await assertNothingLeft([]);
      assert.deepEqual(processesIn(state), [], `${pauseMs} ms after the kill: ${down.output}`);
    }
    // Longer than any of them would take to come up.
    await delay(2_000);
    assert.deepEqual(processesIn(state), []);
    assert.doesNotMatch(tables(), /holdfast_127_66_2_0/);
    assert.deepEqual(
      readdirSync(state).filter(name => /lock|sock|supervisor|failure/.test(name)),
      [],
    );
  });

  it('takes up a farm whose supervisor and daemon were killed, and does not end it when that fails', async () => {
    await run('up', config, '--detach');
    const before = await status();
    const note = (await readSupervisorNote(state))!;
    process.kill(note.supervisor.pid, 'SIGKILL');
    process.kill(before.daemon.pid, 'SIGKILL');
    await until('the end', () => !isRunning(note.supervisor) && !isRunning(note.daemon!));
    writeFileSync(config, 'broken');
    assert.equal((await run('up', config, '--detach')).code, 1);
    writeFileSync(config, 'fine');
    const up = await run('up', config, '--detach');
    assert.equal(up.code, 0, up.output);
    assert.deepEqual(pidsOf(await status()), pidsOf(before));
  });

  it('brings down a farm whose daemon hangs', async () => {
    await run('up', config, '--detach');
    const before = await status();
    process.kill(before.daemon.pid, 'SIGSTOP');
    const down = await run('down');
    assert.equal(down.code, 0, down.output);
    assert.match(down.output, /did not answer[^]*by force/);
    assert.doesNotMatch(tables(), /holdfast_127_66_2_0/);
    assert.equal(supervisorOf(state), undefined);
  });

  it('tells why a start failed, and leaves nothing of it', async () => {
    writeFileSync(config, 'broken');
    const up = await run('up', config, '--detach');
    assert.equal(up.code, 1);
    assert.match(up.output, /error ADDRESS_TAKEN: call-1 needs an address\nwhat to do: free it/);
    await assertNothingLeft([]);
    writeFileSync(config, 'invalid');
    const invalid = await run('up', config, '--detach');
    assert.equal(invalid.code, 1);
    assert.match(invalid.output, /CONFIG_INVALID/);
    await assertNothingLeft([]);
  });

  it('has one supervisor when two bring the same farm up at once', async () => {
    const both = await Promise.all([run('up', config, '--detach'), run('up', config, '--detach')]);
    for (const { code, output } of both) assert.equal(code, 0, output);
    const { supervisor } = (await readSupervisorNote(state))!;
    assert.deepEqual(supervisorOf(state), supervisor);
  });

  it('stays in the foreground and brings the farm down at a Ctrl-C', async () => {
    const up = start('up', config);
    await until('ready', () => up.output().includes('Its log:'));
    const before = await status();
    up.child.kill('SIGINT');
    assert.equal(await up.code, 0);
    assert.match(up.output(), /The farm is down/);
    await assertNothingLeft([...pidsOf(before), before.daemon.pid]);
  });

  it('ends in the foreground when somebody else brings the farm down', async () => {
    const up = start('up', config);
    await until('ready', () => up.output().includes('Its log:'));
    assert.equal((await run('down')).code, 0);
    assert.equal(await up.code, 0);
    assert.match(up.output(), /was brought down/);
  });
});

describe('Ctrl-C while calls are up', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-ask-'));
  const calls = { active: 2 };
  const operations = {
    status: async () => ({
      ...{ ready: true, subnet: '127.66.2.0/24', nodes: [], calls },
      recoveries: { deaths: 0, sessions: { found: 0, recovered: 0, ended: 0, failed: 0 } },
      daemon: { pid: 1, configPath: '', startedAt: '' },
      edge: { public: '', private: '' },
      overload: [],
    }),
  } as unknown as Operations;
  const socketPath = statePaths(folder).controlSocket;
  const server = new ControlServer({ operations, socketPath, log: { debug: () => undefined } });

  after(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });

  it('asks once; no goes on, yes and a second Ctrl-C end it, and without calls nobody is asked', async () => {
    await server.listen();
    takeSupervisorLock(folder);
    const questions: string[] = [];
    let press: (signal: 'SIGINT') => void = () => undefined;
    const answers: ((signal: AbortSignal) => Promise<string | undefined>)[] = [];
    const io = {
      ...{ out: () => undefined, err: () => undefined, interactive: true, colours: false, env: {} },
      ask: (question: string, signal: AbortSignal) => {
        questions.push(question);
        return answers.shift()!(signal);
      },
      onInterrupt: (listener: typeof press) => {
        press = listener;
        return () => undefined;
      },
    };
    const context = new CommandContext(io, { state: folder }, () => Promise.reject(new Error('not needed')));
    const pressTwice = (signal: AbortSignal): Promise<undefined> => {
      setImmediate(() => press('SIGINT'));
      return new Promise(resolve => signal.addEventListener('abort', () => resolve(undefined)));
    };
    answers.push(
      async () => 'n',
      async () => 'Y',
      pressTwice,
    );

    let ended = interruptedOrGone(folder, context);
    press('SIGINT');
    await until('the first question', () => questions.length === 1);
    assert.match(questions[0]!, /2 calls are up: end them\? \[y\/N\]/);
    await delay(50);
    press('SIGINT');
    assert.equal(await ended, true);
    assert.equal(questions.length, 2);

    ended = interruptedOrGone(folder, context);
    press('SIGINT');
    assert.equal(await ended, true);
    assert.equal(questions.length, 3);

    calls.active = 0;
    ended = interruptedOrGone(folder, context);
    press('SIGINT');
    assert.equal(await ended, true);
    assert.equal(questions.length, 3);
  });
});
