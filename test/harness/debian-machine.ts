// A bare Debian 12 in a folder, started in namespaces of its own by its systemd: a machine without a network, to install on.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from './project-root.js';
import { waitFor } from './wait-for.js';

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const cache = join(process.env['HOLDFAST_CACHE'] ?? '/var/cache/holdfast', 'debian');
const environment = [
  'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'LANG=C.UTF-8',
  'DEBIAN_FRONTEND=noninteractive',
];

/** Mounts are of its namespace only; downloaded packages outlive the machine. */
const mounts = `mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind "$2" "$1/var/cache/apt/archives"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
for node in null zero full random urandom tty; do mount --bind /dev/$node "$1/dev/$node"; done`;

/** Its first process is its systemd, which finds what systemd.io/CONTAINER_INTERFACE wants: its own root, /sys and control groups. */
const boot = `set -e
${mounts}
cd "$1"
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p dev/shm dev/pts .outside
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -sf pts/ptmx dev/ptmx
ip link set lo up
pivot_root . .outside
umount --lazy .outside
exec env -i container=test ${environment.join(' ')} /lib/systemd/systemd --log-target=console`;

export class DebianMachine {
  readonly root: string;
  #process: ChildProcess | undefined;
  #said = '';

  private constructor(root: string) {
    this.root = root;
  }

  /** Unpacks it; made by debootstrap before, where this is the first one ever. */
  static async make(): Promise<DebianMachine> {
    mkdirSync(cache, { recursive: true });
    const root = await mkdtemp(join(cache, 'machine-'));
    const machine = new DebianMachine(root);
    const made = await execute('bash', [join(projectRoot, 'scripts/lib/debian-root.sh'), root], 480_000);
    if (made.code === 0) return machine;
    await machine.remove();
    throw new Error(`no Debian: ${made.stdout}\n${made.stderr}`);
  }

  /** Before it is started, with the network of this machine. */
  prepare(command: string, timeoutMs = 240_000): Promise<RunResult> {
    const script = `${mounts}\nexec chroot "$1" env -i ${environment.join(' ')} bash -c "$3"`;
    const args = ['--mount', '--pid', '--fork', '--kill-child', 'bash', '-ec', script, 'bash', this.root];
    return execute('unshare', [...args, join(cache, 'archives'), command], timeoutMs);
  }

  async start(): Promise<void> {
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--uts', '--ipc', '--net', '--cgroup'];
    const args = ['bash', '-c', boot, 'bash', this.root, join(cache, 'archives')];
    this.#process = spawn('unshare', [...namespaces, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    process.once('exit', () => this.#process?.kill('SIGKILL'));
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
    const isUp = async (): Promise<boolean> => (await this.run('systemctl is-system-running')).stdout === 'running\n';
    await waitFor('the machine to start', isUp, { deadlineMs: 60_000, everyMs: 200, describe: () => this.#said });
  }

  /** On the started machine, as root. */
  run(command: string, timeoutMs = 60_000): Promise<RunResult> {
    const namespaces = ['--target', `${this.#first}`, '--mount', '--uts', '--ipc', '--net', '--pid', '--root', '--wd'];
    return execute('nsenter', [...namespaces, 'env', '-i', ...environment, 'bash', '-c', command], timeoutMs);
  }

  /** Of a command that must succeed. */
  async output(command: string, timeoutMs?: number): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, timeoutMs);
    if (code === 0) return stdout;
    throw new Error(`${command} ended with ${code}\n${stdout}\n${stderr}`);
  }

  /** Switches it off, whatever runs on it, and removes its folder. */
  async remove(): Promise<void> {
    const ended = this.#process;
    if (ended && ended.exitCode === null && ended.signalCode === null) {
      const gone = new Promise(resolve => ended.once('exit', resolve));
      ended.kill('SIGKILL');
      await gone;
    }
    await rm(this.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  /** The first process, as this machine knows it: the child of unshare. */
  get #first(): number {
    const pid = this.#process?.pid ?? 0;
    const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    if (child === '') throw new Error(`the machine does not run: ${this.#said}`);
    return Number(child);
  }
}

function execute(command: string, args: readonly string[], timeoutMs: number): Promise<RunResult> {
  return new Promise(resolve => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 16 << 20, encoding: 'utf8' } as const;
    execFile(command, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr: code === -1 ? `${stderr}\n${String(error?.message)}` : stderr });
    });
  });
}
