// A real Asterisk under the sentinel's eyes: its verdicts, and nft rules that cut it off.
import { isRunning, readProcess } from '../../core/host/process-table.js';
import type { Sentinel, SentinelVerdict } from '../../core/sentinel/sentinel.js';
import type { WatchedNode } from '../../core/sentinel/sentinel-protocol.js';
import { AsteriskLab } from './asterisk-node-lab.js';
import { cut } from '../harness/packet-cut.js';
import { Verdicts } from './verdicts.js';

export class SentinelLab {
  readonly asterisk: AsteriskLab;
  readonly sentinel: Sentinel;
  readonly verdicts: SentinelVerdict[];
  readonly is: Verdicts['is'];
  readonly #mends = new Set<() => void>();

  private constructor(asterisk: AsteriskLab, verdicts: Verdicts) {
    this.asterisk = asterisk;
    this.sentinel = verdicts.sentinel;
    this.verdicts = verdicts.all;
    this.is = (...args) => verdicts.is(...args);
  }

  /** With a sentinel of its own, if none is given. */
  static async open(verdicts?: Verdicts): Promise<SentinelLab> {
    const asterisk = await AsteriskLab.open();
    return new SentinelLab(asterisk, verdicts ?? (await Verdicts.open(asterisk.plan.daemonAddress)));
  }

  /** Starts a node's Asterisk and has it watched as the farm's keeper does; resolves when it is up. */
  async start(name: string, dialplan = ''): Promise<WatchedNode> {
    await this.asterisk.start(name, dialplan);
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
    return { name, pid: entry.pid, startTicks: entry.startTicks, voices: this.asterisk.voices(name) };
  }

  /** Drops packets that match until the function that is given back is called. */
  cut(match: string): () => void {
    const mend = cut(this.asterisk.plan, match);
    this.#mends.add(mend);
    return mend;
  }

  /** Ends all cuts. */
  mend(): void {
    for (const mend of this.#mends) mend();
    this.#mends.clear();
  }

  async close(): Promise<void> {
    this.mend();
    await this.sentinel.close();
    for (const { name } of this.asterisk.plan.nodes) this.asterisk.signal(name, 'SIGCONT');
    await this.asterisk.close();
  }
}
