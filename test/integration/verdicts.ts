// A sentinel for tests, with everything that it said.
import { silentLogger } from '../../core/log.js';
import { Sentinel, type SentinelVerdict } from '../../core/sentinel/sentinel.js';
import { waitFor } from '../harness/wait-for.js';

export class Verdicts {
  readonly sentinel: Sentinel;
  readonly all: SentinelVerdict[] = [];

  private constructor(address: string) {
    this.sentinel = new Sentinel({ address, log: silentLogger, onVerdict: verdict => this.all.push(verdict) });
  }

  /** `address` is the daemon's: questions come from there. */
  static async open(address: string): Promise<Verdicts> {
    const verdicts = new Verdicts(address);
    await verdicts.sentinel.open();
    return verdicts;
  }

  last(name: string): SentinelVerdict | undefined {
    return this.all.filter(verdict => verdict.name === name).at(-1);
  }

  async is(name: string, health: SentinelVerdict['health'], deadlineMs = 10_000): Promise<SentinelVerdict> {
    return waitFor(
      `${name} to be ${health}`,
      () => {
        const verdict = this.last(name);
        return verdict?.health === health ? verdict : undefined;
      },
      {
        deadlineMs,
        everyMs: 5,
        describe: () => this.all.map(one => `${one.name} ${one.health}: ${one.reason}`).join('\n'),
      },
    );
  }
}
