// LocalHost with real processes: what it starts outlives its starter, and it ends exactly what it started.
import { after, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HoldfastError } from '../../core/errors.js';
import { LocalHost } from '../../core/host/local-host.js';
import { isRunning, readProcess, sessionOf } from '../../core/host/process-table.js';
import type { NodeProcess, NodeSetup, ProcessExit } from '../../core/ports/node-host.js';

const user = 'nobody';

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) assert.fail(`waited in vain: ${what}`);
    await delay(10);
  }
}

function setup(command: string, args: readonly string[], more: Partial<NodeSetup> = {}): NodeSetup {
  return { files: [], folders: [], process: { command, args, user }, ...more };
}

const hosts: LocalHost[] = [];
const folders: string[] = [];

function stateFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-host-'));
  chmodSync(folder, 0o711);
  folders.push(folder);
  return folder;
}

function open(folder = stateFolder()): LocalHost {
  const host = new LocalHost(folder);
  hosts.push(host);
  return host;
}

after(async () => {
  for (const host of hosts) {
    for (const node of host.running()) await host.kill(node);
    host.close();
  }
  for (const folder of folders) rmSync(folder, { recursive: true });
});

describe('LocalHost', () => {
  it('runs the process as its user, in a session of its own, with its output in the log', async () => {
    const host = open();
    const { pid } = await host.start('call-1', setup('/bin/sh', ['-c', 'id -un; id -G; env; exec sleep 60']));
    await until('output', () => sessionOf(host.process('call-1')!).length === 1 && readProcess(pid) !== undefined);
    await until('the log', () => readFileSync(join(host.folder('call-1'), 'log/output.log'), 'utf8').includes('PATH='));
    const log = await host.logTail('call-1', 50);
    assert.match(log, /^nobody\n65534\n/);
    assert.doesNotMatch(log, /npm_|USER=root/);
    assert.equal(readProcess(pid)?.session, pid);
    assert.deepEqual(host.running(), ['call-1']);
    await host.stop('call-1');
    assert.deepEqual(host.running(), []);
    assert.equal(readProcess(pid), undefined, 'no zombie is left');
  });

  it('writes files with their mode and owner, replaces them whole, and leaves no temporary file', async () => {
    const host = open();
    const files = [
      { path: 'etc/secret.conf', content: 'one', mode: 0o600 },
      { path: 'etc/plain.conf', content: 'two', mode: 0o640 },
    ];
    await host.writeFiles('call-1', files, user);
    await host.writeFiles('call-1', [{ path: 'etc/secret.conf', content: 'changed', mode: 0o600 }], user);
    const secret = statSync(join(host.folder('call-1'), 'etc/secret.conf'));
    assert.equal(secret.mode & 0o777, 0o600);
    assert.equal(secret.uid, 65534);
    assert.equal(await host.readFile('call-1', 'etc/secret.conf'), 'changed');
    assert.equal(await host.readFile('call-1', 'etc/missing.conf'), undefined);
    assert.deepEqual(readdirSync(join(host.folder('call-1'), 'etc')).sort(), ['plain.conf', 'secret.conf']);
  });

  it('makes the folders that the process may write to', async () => {
    const host = open();
    const script = 'touch run/here var/spool/there && touch /proc/self/cwd/forbidden; ls run var/spool; exec sleep 60';
    await host.start('call-1', setup('/bin/sh', ['-c', script], { folders: ['run', 'var/spool'] }));
    await until('files', () => existsSync(join(host.folder('call-1'), 'var/spool/there')));
    await until('log', () => readFileSync(join(host.folder('call-1'), 'log/output.log'), 'utf8').includes('there'));
    assert.match(await host.logTail('call-1', 10), /forbidden.*denied/i);
    await host.stop('call-1');
  });

  it('refuses paths that leave the folder, and links where a folder should be', async () => {
    const host = open();
    const refused = (error: unknown): boolean => HoldfastError.is(error, 'HOST_FAILED');
    await assert.rejects(host.writeFiles('call-1', [{ path: '../x', content: '', mode: 0o600 }], user), refused);
    await assert.rejects(host.writeFiles('call-1', [{ path: '/etc/x', content: '', mode: 0o600 }], user), refused);
    await assert.rejects(host.writeFiles('../../etc', [], user).then(), refused);
    const outside = stateFolder();
    mkdirSync(join(host.folder('call-1'), 'var'));
    symlinkSync(outside, join(host.folder('call-1'), 'var/run'));
    await assert.rejects(host.start('call-1', setup('/bin/sleep', ['60'], { folders: ['var/run'] })), refused);
    await assert.rejects(host.writeFiles('call-1', [{ path: 'var/run/x', content: '', mode: 0o600 }], user), refused);
    assert.deepEqual(readdirSync(outside), []);
    assert.equal(statSync(outside).uid, 0);
  });

  it('tells of an exit with code and signal, and ends what the dead leader left behind', async () => {
    const host = open();
    const exits: ProcessExit[] = [];
    host.onExit(exit => exits.push(exit));
    await host.start('call-1', setup('/bin/sh', ['-c', 'exit 7']));
    await until('exit', () => exits.length === 1);
    assert.equal(exits[0]?.code, 7);
    const leader = await host.start('kamailio-1', setup('/bin/sh', ['-c', 'sleep 60 & sleep 60 & wait']));
    await until('children', () => sessionOf(leader).length === 3);
    process.kill(leader.pid, 'SIGKILL');
    await until('exit', () => exits.length === 2);
    assert.equal(exits[1]?.signal, 'SIGKILL');
    await until('no child left', () => sessionOf(leader).length === 0);
    await host.start('kamailio-1', setup('/bin/sleep', ['60']));
    await host.stop('kamailio-1');
  });

  it('stops a process that ignores SIGTERM after its grace, with all of its children', async () => {
    const host = open();
    const leader = await host.start(
      'call-1',
      setup('/bin/sh', ['-c', 'trap "" TERM; sleep 60 & while :; do sleep 1; done']),
    );
    await until('children', () => sessionOf(leader).length >= 3);
    const started = Date.now();
    await host.stop('call-1', 300);
    assert.ok(Date.now() - started >= 290);
    assert.deepEqual(sessionOf(leader), []);
    await host.stop('call-1');
    await host.kill('never-started');
  });

  it('names the user that is missing, the command that is missing, and a node that runs already', async () => {
    const host = open();
    const missingUser = {
      ...setup('/bin/sleep', ['60']),
      process: { command: '/bin/sleep', args: ['60'], user: 'holdfast-nobody' },
    };
    await assert.rejects(host.start('call-1', missingUser), (error: unknown) => {
      assert.ok(HoldfastError.is(error, 'HOST_FAILED'));
      assert.match(error.message, /holdfast-nobody/);
      assert.match(error.remedy ?? '', /npm start/);
      return true;
    });
    await assert.rejects(
      host.start('call-1', setup('/nonexistent/asterisk', [])),
      /cannot start \/nonexistent\/asterisk/,
    );
    await host.start('call-1', setup('/bin/sleep', ['60']));
    await assert.rejects(host.start('call-1', setup('/bin/sleep', ['60'])), /runs already/);
    await host.stop('call-1');
  });

  it('takes up the processes of a starter that was killed with -9, and hears of their end', async () => {
    const folder = stateFolder();
    const starter = join(folder, 'starter.mjs');
    const module = new URL('../../core/host/local-host.js', import.meta.url).href;
    writeFileSync(
      starter,
      `import { LocalHost } from ${JSON.stringify(module)};
       const host = new LocalHost(${JSON.stringify(folder)});
       const setup = { files: [], folders: [], process: { command: '/bin/sleep', args: ['60'], user: 'nobody' } };
       const started = [await host.start('call-1', setup), await host.start('call-2', setup)];
       console.log(JSON.stringify(started));
       setInterval(() => {}, 1000);`,
    );
    const child = spawn(process.execPath, [starter], { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise<string>(resolve => child.stdout.once('data', data => resolve(String(data))));
    const [first, second] = JSON.parse(line) as [NodeProcess, NodeProcess];
    child.kill('SIGKILL');
    await new Promise(resolve => child.once('exit', resolve));
    assert.ok(isRunning(first) && isRunning(second), 'they outlive their starter');

    const host = open(folder);
    assert.deepEqual(host.process('call-1'), first);
    assert.deepEqual([...host.running()].sort(), ['call-1', 'call-2']);
    const exits: ProcessExit[] = [];
    host.onExit(exit => exits.push(exit));
    process.kill(first.pid, 'SIGKILL');
    await until('exit of the adopted one', () => exits.length === 1);
    assert.equal(exits[0]?.node, 'call-1');
    assert.equal(host.process('call-1'), undefined);
    await host.stop('call-2');
    assert.ok(!isRunning(second));
    await host.start('call-1', setup('/bin/sleep', ['60']));
    await host.stop('call-1');
  });

  it('takes up a process whose starter was killed before it could note it', async () => {
    const folder = stateFolder();
    const first = open(folder);
    const { pid } = await first.start('call-1', setup('/bin/sh', ['-c', 'sleep 300 & sleep 300']));
    first.close();
    rmSync(join(folder, 'processes', 'call-1.json'));
    const second = open(folder);
    assert.equal(second.process('call-1')?.pid, pid);
    await second.stop('call-1');
    assert.ok(!isRunning({ pid, startTicks: readProcess(pid)?.startTicks ?? 0 }));
    assert.deepEqual(open(folder).running(), []);
  });

  it('leaves a stranger alone that was given the pid of a dead process', async () => {
    const folder = stateFolder();
    const earlier = open(folder);
    const stranger = spawn('/bin/sleep', ['60'], { detached: true });
    const { startTicks } = readProcess(stranger.pid!)!;
    await earlier.start('call-1', setup('/bin/sleep', ['60']));
    const recordPath = join(folder, 'processes/call-1.json');
    const record = JSON.parse(readFileSync(recordPath, 'utf8')) as Record<string, unknown>;
    await earlier.kill('call-1');
    writeFileSync(recordPath, JSON.stringify({ ...record, pid: stranger.pid, startTicks: startTicks - 5 }));
    const host = open(folder);
    assert.equal(host.process('call-1'), undefined);
    await host.stop('call-1');
    await host.start('call-1', setup('/bin/sleep', ['60']));
    await host.stop('call-1');
    assert.ok(isRunning({ pid: stranger.pid!, startTicks }));
    stranger.kill('SIGKILL');
  });

  it('starts with an empty log once the old one is too big, and keeps that one', async () => {
    const host = open();
    await host.writeFiles('call-1', [], user);
    const log = join(host.folder('call-1'), 'log/output.log');
    writeFileSync(log, 'x'.repeat(9 * 1024 * 1024));
    await host.start('call-1', setup('/bin/sh', ['-c', 'echo fresh; exec sleep 60']));
    await until('log', () => readFileSync(log, 'utf8').includes('fresh'));
    assert.ok(statSync(log).size < 100);
    assert.equal(statSync(`${log}.1`).size, 9 * 1024 * 1024);
    await host.stop('call-1');
  });
});
