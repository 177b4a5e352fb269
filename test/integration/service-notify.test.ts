// The daemon as a systemd service: what it tells its manager, and when it stops telling it. The manager's end is a socket of the test's own.
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { nodeFlags } from '../../core/cli/supervisor.js';
import { isRunning, readProcess } from '../../core/host/process-table.js';
import { statePaths } from '../../core/host/state-folder.js';
import { projectRoot } from '../harness/project-root.js';
import { waitFor } from '../harness/wait-for.js';

const main = fileURLToPath(new URL('./host-fake-main.js', import.meta.url));
const unit = join(projectRoot, 'packaging/systemd/holdfast.service');
/** The manager's patience: a beat is due every third of it. */
const watchdogMs = 900;

/** Prints each datagram on a line; Node.js has no unix datagram sockets. */
const listener = `use Socket; $| = 1; socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; bind(S, sockaddr_un($ARGV[0])) or die;
print "listening\\n"; while (defined recv(S, $m, 4096, 0)) { $m =~ s/\\n/ /g; print "$m\\n" }`;

describe('the daemon under a service manager', () => {
  let folder: string;
  let state: string;
  let manager: ChildProcess;
  let daemon: ChildProcess;
  const messages: string[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-notify-'));
    chmodSync(folder, 0o711);
    state = join(folder, 'state');
    mkdirSync(join(folder, 'run'));
    writeFileSync(join(folder, 'config'), 'fine');
    const socket = join(folder, 'notify');
    manager = spawn('perl', ['-e', listener, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    manager.stdout?.on('data', (chunk: Buffer) => messages.push(...chunk.toString().trim().split('\n')));
    await waitFor('the socket', () => messages.includes('listening'));
    daemon = spawn(process.execPath, [main, 'service', '--config', join(folder, 'config'), '--state', state], {
      env: {
        ...process.env,
        NOTIFY_SOCKET: socket,
        WATCHDOG_USEC: String(watchdogMs * 1000),
        RUNTIME_DIRECTORY: join(folder, 'run'),
      },
      stdio: 'inherit',
    });
  });
  after(() => {
    manager.kill();
    if (daemon.exitCode === null && daemon.signalCode === null) daemon.kill('SIGKILL');
    execFileSync(process.execPath, [main, 'down', '--state', state]);
    rmSync(folder, { recursive: true, force: true });
  });

  const beats = (): number => messages.filter(message => message.includes('WATCHDOG=1')).length;
  const beating = async (): Promise<void> => {
    const heard = beats();
    await waitFor('two beats more', () => beats() > heard + 1);
  };
  /** Nothing for longer than the manager would wait. */
  const silent = async (): Promise<void> => {
    let [heard, sinceMs] = [beats(), performance.now()];
    await waitFor('silence', () => {
      // What was under way when the daemon was stopped.
      if (beats() > heard) [heard, sinceMs] = [beats(), performance.now()];
      return performance.now() - sinceMs > watchdogMs + 100;
    });
  };
  const servers = (): { pid: number; startTicks: number }[] =>
    ['kamailio-1', 'call-1'].map(
      node => JSON.parse(readFileSync(join(statePaths(state).processFolder, `${node}.json`), 'utf8')) as never,
    );

  test('is ready once its farm is, then well again and again', async () => {
    await waitFor('READY', () => messages.some(message => message.includes('READY=1')));
    assert.ok(servers().every(isRunning));
    await beating();
    assert.ok(messages.some(message => message.includes('STATUS=ready: 2 of 2 servers up, 0 calls')));
  });

  test('leaves a link by which commands find its farm', () => {
    assert.equal(readlinkSync(join(folder, 'run/farm')), state);
  });

  test('is silent while its event loop stands still', async () => {
    daemon.kill('SIGSTOP');
    await silent();
    daemon.kill('SIGCONT');
    await beating();
  });

  test('is silent while nobody can reach its control socket, though its event loop turns', async () => {
    const { controlSocket } = statePaths(state);
    renameSync(controlSocket, `${controlSocket}.away`);
    await silent();
    renameSync(`${controlSocket}.away`, controlSocket);
    await beating();
  });

  test('says that it stops, ends with 0, and leaves the servers running', async () => {
    const left = servers();
    daemon.kill('SIGTERM');
    const [code] = (await once(daemon, 'exit')) as [number];
    assert.equal(code, 0);
    await waitFor('STOPPING', () => messages.some(message => message.includes('STOPPING=1')));
    assert.ok(left.every(isRunning));
    assert.equal(readProcess(daemon.pid ?? 0), undefined);
  });

  test('ends with 78, by which systemd tries no more, on a config that is refused', async () => {
    writeFileSync(join(folder, 'config'), 'invalid');
    const refused = spawn(process.execPath, [main, 'service', '--config', join(folder, 'config'), '--state', state]);
    assert.deepEqual(await once(refused, 'exit'), [78, null]);
    assert.ok(servers().every(isRunning));
  });
});

describe('the unit', () => {
  test('gives the daemon the flags that our own supervisor does', () => {
    const command = /^ExecStart=(.*)$/m.exec(readFileSync(unit, 'utf8'))?.[1] ?? '';
    assert.deepEqual(
      command.split(' ').filter(word => nodeFlags.includes(word)),
      nodeFlags,
    );
  });
});
