// A real Asterisk under the sentinel's eyes: its verdicts, the answers of the node, and nft rules that cut it off.
import { execFileSync } from 'node:child_process';
import { isRunning, readProcess } from '../../core/host/process-table.js';
import { silentLogger } from '../../core/log.js';
import { stasisApp } from '../../core/ports/asterisk.js';
import { Sentinel, type SentinelVerdict } from '../../core/sentinel/sentinel.js';
import type { WatchedNode } from '../../core/sentinel/sentinel-protocol.js';
import { waitFor } from '../harness/wait-for.js';
import { AsteriskLab } from './asterisk-node-lab.js';

export class SentinelLab {
  readonly asterisk: AsteriskLab;
  readonly sentinel: Sentinel;
  readonly verdicts: SentinelVerdict[] = [];
  readonly #tables = new Set<string>();

  private constructor(asterisk: AsteriskLab) {
    this.asterisk = asterisk;
    this.sentinel = new Sentinel({
      address: asterisk.plan.daemonAddress,
      log: silentLogger,
      onVerdict: verdict => this.verdicts.push(verdict),
    });
  }

  static async open(): Promise<SentinelLab> {
    const lab = new SentinelLab(await AsteriskLab.open());
    await lab.sentinel.open();
    return lab;
  }

  /** Starts a node's Asterisk and has it watched as the farm's keeper does; resolves when it is up. */
  async start(name: string): Promise<WatchedNode> {
    await this.asterisk.start(name);
    const watched = this.watched(name);
    this.sentinel.watch(watched);
    this.asterisk.farm.node(name).open({
      connected: () => this.sentinel.stream(name, true),
      disconnected: () => this.sentinel.stream(name, false),
      event: () => undefined,
    });
    await this.is(name, 'up');
    return watched;
  }

  watched(name: string): WatchedNode {
    const entry = readProcess(this.asterisk.pid(name));
    if (!entry || !isRunning(entry)) throw new Error(`${name} has no process`);
    const { address } = this.asterisk.node(name);
    return { name, address, pid: entry.pid, startTicks: entry.startTicks, ariAuth: `${stasisApp}:secret-of-${name}` };
  }

  /** The last word on a node. */
  health(name: string): string | undefined {
    return this.verdicts.filter(verdict => verdict.name === name).at(-1)?.health;
  }

  async is(name: string, health: SentinelVerdict['health'], deadlineMs = 10_000): Promise<SentinelVerdict> {
    const last = (): SentinelVerdict | undefined => this.verdicts.filter(verdict => verdict.name === name).at(-1);
    return waitFor(
      `${name} to be ${health}`,
      () => {
        const verdict = last();
        return verdict?.health === health ? verdict : undefined;
      },
      { deadlineMs, everyMs: 5, describe: () => this.verdicts.map(one => `${one.health}: ${one.reason}`).join('\n') },
    );
  }

  /** Drops packets that match, each way, until the function that is given back is called. */
  cut(match: string): () => void {
    const table = `holdfast_test_${this.asterisk.subnet.host(0).replaceAll('.', '_')}`;
    const rules = `table ip ${table} { chain input { type filter hook input priority 0; ${match} drop\n}\n}`;
    execFileSync('nft', ['-f', '-'], { input: rules });
    this.#tables.add(table);
    return () => {
      execFileSync('nft', ['delete', 'table', 'ip', table]);
      this.#tables.delete(table);
    };
  }

  async close(): Promise<void> {
    for (const table of this.#tables) execFileSync('nft', ['delete', 'table', 'ip', table]);
    await this.sentinel.close();
    for (const { name } of this.asterisk.plan.nodes) this.asterisk.signal(name, 'SIGCONT');
    await this.asterisk.close();
  }
}
