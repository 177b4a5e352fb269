// Runs a farm's server processes on this machine. They outlive the daemon: a later one finds exactly them by pid and start time.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HoldfastError, messageOf } from '../errors.js';
import type { NodeFile, NodeHost, NodeProcess, NodeSetup, ProcessExit, ProcessSpec } from '../ports/node-host.js';
import { boundLog, logTail } from './bounded-log.js';
import { NodeFolders, nodeName } from './node-folders.js';
import { readProcessRecord, removeProcessRecord, writeProcessRecord } from './process-record.js';
import { nodeMark, serversBelow } from './process-mark.js';
import { isRunning, readProcess, sessionOf, signal } from './process-table.js';
import { statePaths, type StatePaths } from './state-folder.js';
import { findUser, type SystemUser } from './system-user.js';

/** How often an adopted process is looked for: only a parent is told of an exit. */
const pollMs = 100;
const logCheckMs = 60_000;
/** SIGKILL takes effect at once, unless the process hangs in the kernel. */
const killDeadlineMs = 5_000;
/** How long after a server's end its session is swept. */
const sweepAfterMs = 500;

interface Running extends NodeProcess {
  /** Adopted from an earlier daemon: no exit event will come. */
  readonly adopted: boolean;
  /** It was asked to end. */
  stopping: boolean;
  readonly ended: Promise<void>;
  readonly markEnded: () => void;
}

export class LocalHost implements NodeHost {
  readonly #paths: StatePaths;
  readonly #folders: NodeFolders;
  readonly #running = new Map<string, Running>();
  readonly #listeners = new Set<(exit: ProcessExit) => void>();
  readonly #starting = new Set<string>();
  readonly #poll: NodeJS.Timeout;
  readonly #logCheck: NodeJS.Timeout;

  /**
   * Opens a farm's state folder (made where missing) and takes up the processes that an earlier daemon left running.
   * What is left of a process whose leader has died is killed. Throws HOST_FAILED.
   */
  constructor(stateFolder: string) {
    this.#paths = statePaths(stateFolder);
    this.#folders = new NodeFolders(this.#paths.nodeFolder);
    try {
      // Others may pass through (the nodes' users must), not list.
      mkdirSync(stateFolder, { recursive: true, mode: 0o711 });
      mkdirSync(this.#paths.nodeFolder, { recursive: true, mode: 0o711 });
      mkdirSync(this.#paths.processFolder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new HoldfastError('HOST_FAILED', `cannot make the state folder ${stateFolder}: ${messageOf(error)}`, {
        cause: error,
        remedy: 'run as root, for example with sudo, or choose another folder with --state',
      });
    }
    this.#adopt();
    this.#poll = setInterval(() => this.#pollAdopted(), pollMs).unref();
    this.#logCheck = setInterval(() => void this.#boundLogs(), logCheckMs).unref();
  }

  folder(node: string): string {
    return this.#folders.of(node);
  }

  async writeFiles(node: string, files: readonly NodeFile[], user: string): Promise<void> {
    await this.#folders.write(node, files, await findUser(user));
  }

  readFile(node: string, path: string, encoding?: NodeFile['encoding']): Promise<string | undefined> {
    return this.#folders.read(node, path, encoding);
  }

  async takeFile(node: string, path: string, to: string): Promise<boolean> {
    return this.#folders.take(node, path, to);
  }

  async start(node: string, setup: NodeSetup): Promise<NodeProcess> {
    const already = this.process(node);
    if (already) throw new HoldfastError('HOST_FAILED', `${node} runs already, as process ${already.pid}`);
    if (this.#starting.has(node)) throw new HoldfastError('HOST_FAILED', `${node} is being started already`);
    this.#starting.add(node);
    try {
      const user = await findUser(setup.process.user);
      await this.#endSession(node);
      await this.#folders.make(node, user, setup.folders);
      await this.#folders.write(node, setup.files, user);
      await boundLog(this.#folders.outputLog(node));
      return await this.#spawn(node, setup.process, user);
    } finally {
      this.#starting.delete(node);
    }
  }

  async stop(node: string, graceMs = 5_000): Promise<void> {
    const running = this.#running.get(node);
    if (running && isRunning(running)) {
      // To the leader only: a server ends its children itself, in its own order. What is left is swept after it.
      running.stopping = true;
      signal(running.pid, 'SIGTERM');
      const aborter = new AbortController();
      await Promise.race([running.ended, delay(graceMs, undefined, { signal: aborter.signal }).catch(() => undefined)]);
      aborter.abort();
    }
    await this.#endSession(node);
  }

  async kill(node: string): Promise<void> {
    await this.#endSession(node);
  }

  process(node: string): NodeProcess | undefined {
    const running = this.#running.get(node);
    return running && isRunning(running) ? { pid: running.pid, startTicks: running.startTicks } : undefined;
  }

  running(): readonly string[] {
    return [...this.#running.keys()].filter(node => this.process(node) !== undefined);
  }

  logTail(node: string, lines: number): Promise<string> {
    return logTail(this.#folders.outputLog(node), lines);
  }

  onExit(listener: (exit: ProcessExit) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Stops observing. The processes run on. */
  close(): void {
    clearInterval(this.#poll);
    clearInterval(this.#logCheck);
    this.#listeners.clear();
  }

  #recordPath(node: string): string {
    return join(this.#paths.processFolder, `${nodeName(node)}.json`);
  }

  async #spawn(node: string, spec: ProcessSpec, user: SystemUser): Promise<NodeProcess> {
    const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
    const log = openSync(this.#folders.outputLog(node), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o640);
    try {
      const child = spawn(spec.command, spec.args, {
        cwd: this.folder(node),
        // Nothing of the daemon's own environment: secrets of the config may be in it.
        env: {
          PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
          HOME: this.folder(node),
          ...spec.env,
          ...nodeMark(this.folder(node)),
        },
        // A session of its own: signals to the daemon's terminal or group do not reach it.
        detached: true,
        stdio: ['ignore', log, log],
        ...(process.getuid?.() === 0 ? { uid: user.uid, gid: user.gid } : {}),
      });
      const failed = new Promise<never>((_, reject) => child.once('error', reject));
      failed.catch(() => undefined);
      const entry = child.pid === undefined ? undefined : readProcess(child.pid);
      if (!entry) return await failed;
      return this.#watchChild(node, child, entry);
    } catch (error) {
      throw new HoldfastError('HOST_FAILED', `${node}: cannot start ${spec.command}: ${messageOf(error)}`, {
        cause: error,
        details: { node, command: spec.command },
        remedy: 'run npm start, or scripts/setup.sh, which installs what the farm needs',
      });
    } finally {
      closeSync(log);
    }
  }

  #watchChild(node: string, child: ChildProcess, entry: NodeProcess): NodeProcess {
    const process = { pid: entry.pid, startTicks: entry.startTicks };
    const running = this.#track(node, process, false);
    // Synchronously after the fork: a daemon that dies here would leave a process that nobody knows.
    writeProcessRecord(this.#recordPath(node), process);
    child.once('exit', (code, name) => this.#noteEnd(node, running, code, name));
    child.unref();
    return process;
  }

  #track(node: string, process: NodeProcess, adopted: boolean): Running {
    let markEnded = (): void => undefined;
    const ended = new Promise<void>(resolve => (markEnded = resolve));
    const running = { ...process, adopted, stopping: false, ended, markEnded };
    this.#running.set(node, running);
    return running;
  }

  #adopt(): void {
    for (const file of readdirSync(this.#paths.processFolder).filter(name => name.endsWith('.json'))) {
      const path = join(this.#paths.processFolder, file);
      const record = readProcessRecord(path);
      if (record && sessionOf(record).length > 0) this.#track(file.slice(0, -'.json'.length), record, true);
      else removeProcessRecord(path);
    }
    this.#adoptUnrecorded();
    this.#pollAdopted();
  }

  /** Servers whose starter was killed between the start and the record of it. */
  #adoptUnrecorded(): void {
    for (const { entry, folder } of serversBelow(this.#paths.nodeFolder)) {
      const node = basename(folder);
      // Children are their leader's; one without a leader has lost it unseen.
      if (this.#running.has(node)) continue;
      const leader = { pid: entry.session, startTicks: readProcess(entry.session)?.startTicks ?? entry.startTicks };
      writeProcessRecord(this.#recordPath(node), leader);
      this.#track(node, leader, true);
    }
  }

  #pollAdopted(): void {
    for (const [node, running] of this.#running) {
      if (running.adopted && !isRunning(running)) this.#noteEnd(node, running, null, null);
    }
  }

  #noteEnd(node: string, running: Running, code: number | null, name: string | null): void {
    if (this.#running.get(node) !== running) return;
    this.#running.delete(node);
    // Who hears of it has better things to do than to wait until all of /proc is read. What a server of an earlier daemon has left is in
    // the way of its next start.
    if (running.adopted || running.stopping) endRest(running);
    else setTimeout(() => endRest(running), sweepAfterMs);
    const exit = { node, pid: running.pid, startTicks: running.startTicks, code, signal: name };
    for (const listener of [...this.#listeners]) {
      try {
        listener(exit);
      } catch (error) {
        process.emitWarning(`a listener of process exits threw: ${messageOf(error)}`);
      }
    }
  }

  /** Kills what is left of the node's last process and waits until it is gone. Throws HOST_FAILED. */
  async #endSession(node: string): Promise<void> {
    const path = this.#recordPath(node);
    const running = this.#running.get(node);
    const leader = running ?? readProcessRecord(path);
    if (!leader) return;
    const deadline = Date.now() + killDeadlineMs;
    while (sweep(leader) > 0) {
      if (Date.now() > deadline) {
        throw new HoldfastError('HOST_FAILED', `${node}: process ${leader.pid} does not end, even by SIGKILL`, {
          details: { node, pid: leader.pid },
          remedy: `see what it waits for: cat /proc/${leader.pid}/stack`,
        });
      }
      await delay(10);
    }
    if (running?.adopted === true) this.#pollAdopted();
    await running?.ended;
    removeProcessRecord(path);
  }

  async #boundLogs(): Promise<void> {
    for (const node of this.running()) await boundLog(this.#folders.outputLog(node)).catch(() => undefined);
  }
}

/** True where servers of this state folder run. */
export function serversRun(stateFolder: string): boolean {
  const host = new LocalHost(stateFolder);
  const some = host.running().length > 0;
  host.close();
  return some;
}

/** A server whose leader was killed may leave children that hold its sockets: it has ended when they have. */
function endRest(running: Running): void {
  sweep(running);
  running.markEnded();
}

/** Sends SIGKILL to all that lives of a leader's session; returns how many there were. */
function sweep(leader: NodeProcess): number {
  const session = sessionOf(leader);
  for (const { pid } of session) signal(pid, 'SIGKILL');
  return session.length;
}
