// Tells systemd how the service is (sd_notify(3)), by systemd-notify: Node.js has no unix datagram sockets.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** One message is done in milliseconds; a manager that does not take it is not waited for. */
const deadlineMs = 5_000;

/** One service as its manager started it. */
export class ServiceManager {
  readonly #env: Environment;

  private constructor(env: Environment) {
    this.#env = env;
  }

  /** Undefined where no manager wants to hear. */
  static of(env: Environment): ServiceManager | undefined {
    return env['NOTIFY_SOCKET'] === undefined ? undefined : new ServiceManager(env);
  }

  /** How often the manager must hear that the service is well; undefined where it does not watch this process. */
  get watchdogMs(): number | undefined {
    const { WATCHDOG_USEC: microseconds, WATCHDOG_PID: pid } = this.#env;
    if (pid !== undefined && Number(pid) !== process.pid) return undefined;
    return microseconds === undefined ? undefined : Number(microseconds) / 1000;
  }

  ready(status: string): Promise<void> {
    return this.#notify('READY=1', `STATUS=${status}`);
  }

  well(status: string): Promise<void> {
    return this.#notify('WATCHDOG=1', `STATUS=${status}`);
  }

  stopping(): Promise<void> {
    return this.#notify('STOPPING=1');
  }

  /** A manager that cannot be told is not the service's fault: it will act on its own. */
  #notify(...assignments: readonly string[]): Promise<void> {
    const env = { PATH: '/usr/bin:/bin', NOTIFY_SOCKET: this.#env['NOTIFY_SOCKET'] };
    return new Promise(resolve => {
      execFile('systemd-notify', assignments, { env, timeout: deadlineMs }, () => resolve());
    });
  }
}

/** The systemd unit that a process belongs to, e.g. `holdfast.service`; undefined outside of one. */
export function unitOf(pid: number | 'self' = 'self'): string | undefined {
  const path = unitPath(pid);
  return path === undefined ? undefined : basename(path);
}

/** `/system.slice/holdfast.service`, from the unified hierarchy or systemd's own (cgroups(7)). */
function unitPath(pid: number | 'self'): string | undefined {
  let lines: string[];
  try {
    lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
  } catch {
    return undefined;
  }
  const paths = lines
    .filter(line => /^(0:|\d+:name=systemd:)/.test(line))
    .map(line => line.replace(/^[^:]*:[^:]*:/, ''));
  return paths.map(path => /^.*?\.service(?=\/|$)/.exec(path)?.[0]).find(path => path !== undefined);
}
