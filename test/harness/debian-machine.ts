// A bare Debian 12 in a folder, booted with its own systemd in namespaces of its own: a machine without a network, to install on.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync } from 'node:fs';
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

/** Downloaded packages outlive the machine. */
const bindArchives = `mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind "$2" "$1/var/cache/apt/archives"`;

/** What systemd wants of a container (systemd.io/CONTAINER_INTERFACE): its own /dev and /run, settings of the kernel read-only. */
const bootScript = `set -e
${bindArchives}
cd "$1"
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t sysfs -o ro sysfs sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
mkdir -p .host
pivot_root . .host
cd /
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
umount -l /.host
exec env -i container=holdfast ${environment[0]} /lib/systemd/systemd --unit=basic.target --log-target=console`;

export class DebianMachine {
  readonly root: string;
  readonly #cgroup: string;
  #process: ChildProcess | undefined;
  #console = '';

  private constructor(root: string) {
    this.root = root;
    const hierarchy = existsSync('/sys/fs/cgroup/cgroup.controllers') ? '' : 'systemd';
    this.#cgroup = join('/sys/fs/cgroup', hierarchy, `holdfast-machine-${process.pid}`);
  }

  /** Unpacks it; made by debootstrap before, where this is the first one ever. */
  static async make(): Promise<DebianMachine> {
    mkdirSync(cache, { recursive: true });
    const root = await mkdtemp(join(cache, 'machine-'));
    const machine = new DebianMachine(root);
    const made = await execute('bash', [join(projectRoot, 'scripts/lib/debian-root.sh'), root], 240_000);
    if (made.code === 0) return machine;
    await machine.remove();
    throw new Error(`no Debian: ${made.stdout}\n${made.stderr}`);
  }

  /** Before it is booted, with the network of this machine. */
  prepare(command: string, timeoutMs = 120_000): Promise<RunResult> {
    const script = `${bindArchives}
mount -t proc proc "$1/proc"
exec chroot "$1" env -i ${environment.join(' ')} bash -c "$3"`;
    const args = ['--mount', '--pid', '--fork', '--kill-child', 'bash', '-ec', script, 'bash', this.root];
    return execute('unshare', [...args, join(cache, 'archives'), command], timeoutMs);
  }

  async boot(): Promise<void> {
    mkdirSync(this.#cgroup);
    const enter = `echo $$ >"${this.#cgroup}/cgroup.procs"; exec unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup bash -c "$@"`;
    const args = ['-c', enter, 'bash', bootScript, 'bash', this.root, join(cache, 'archives')];
    this.#process = spawn('bash', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    process.once('exit', () => this.#process?.kill('SIGKILL'));
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#console += chunk.toString()));
    const up = async (): Promise<boolean> => (await this.run('systemctl is-active basic.target')).code === 0;
    await waitFor('the machine to boot', up, { deadlineMs: 60_000, everyMs: 200, describe: () => this.#console });
  }

  /** On the booted machine, as root. */
  run(command: string, timeoutMs = 60_000): Promise<RunResult> {
    const args = ['--target', `${this.#init}`, '--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'];
    return execute('nsenter', [...args, 'env', '-i', ...environment, 'bash', '-c', `cd; ${command}`], timeoutMs);
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
    await waitFor('the cgroup to be empty', () => removeGroup(this.#cgroup), { deadlineMs: 20_000 });
    await rm(this.root, { recursive: true, force: true, maxRetries: 5 });
  }

  /** systemd, as this machine knows it: the child of unshare. */
  get #init(): number {
    const pid = this.#process?.pid ?? 0;
    const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    if (child === '') throw new Error('the machine has not started yet');
    return Number(child);
  }
}

/** True once it is gone, with those below it. */
function removeGroup(folder: string): boolean {
  if (!existsSync(folder)) return true;
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeGroup(join(folder, entry.name));
  rmdirSync(folder);
  return true;
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
