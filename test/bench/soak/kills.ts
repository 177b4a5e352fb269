// Kills one server after the other, and the daemon, for as long as calls go on; the next one when the farm is whole again.
import { setTimeout as delay } from 'node:timers/promises';
import type { FarmStatus } from '../../../core/control/views.js';
import type { Farm } from '../../harness/farm.js';
import { waitFor } from '../../harness/wait-for.js';

/** What can be killed: a server of a farm, the daemon, or a call node and the daemon in the same moment. */
export const killable = ['call', 'conference', 'rtpengine', 'kamailio', 'daemon', 'call and daemon'] as const;
export type Killable = (typeof killable)[number];

export interface Kill {
  readonly what: Killable;
  /** The process's name: a node's, or `daemon`. */
  readonly victims: readonly string[];
  /** Until everything was up again. */
  readonly backMs: number;
}

export class Kills {
  readonly #farm: Farm;
  readonly #pauseMs: number;
  readonly done: Kill[] = [];
  /** Of these, and of the one under way, those of the daemon. */
  ofDaemon = 0;
  #ending = false;

  constructor(farm: Farm, pauseMs: number) {
    this.#farm = farm;
    this.#pauseMs = pauseMs;
  }

  /** Until `end()`, and at least once each. */
  async run(): Promise<void> {
    while (!this.#ending || this.done.length < killable.length) {
      await delay(this.#pauseMs);
      const turn = this.done.length;
      const what = killable[turn % killable.length] ?? 'call';
      this.done.push(await this.#kill(what, Math.floor(turn / killable.length)));
    }
  }

  end(): void {
    this.#ending = true;
  }

  async #kill(what: Killable, round: number): Promise<Kill> {
    const { nodes, daemon } = await this.#farm.status();
    const farmOf = what.replace(/ and daemon$/, '');
    const ofFarm = nodes.filter(node => node.farm === farmOf);
    const node = ofFarm[round % Math.max(1, ofFarm.length)];
    const victims = [
      ...(node?.pid ? [{ name: node.name, pid: node.pid }] : []),
      ...(what.endsWith('daemon') ? [{ name: 'daemon', pid: daemon.pid }] : []),
    ];
    const beganMs = performance.now();
    if (what.endsWith('daemon')) this.ofDaemon++;
    for (const { pid } of victims) process.kill(pid, 'SIGKILL');
    await this.#whole(new Set(victims.map(({ pid }) => pid)));
    return { what, victims: victims.map(({ name }) => name), backMs: Math.round(performance.now() - beganMs) };
  }

  /** Everything is up, and nothing of it is one of these processes. */
  async #whole(killed: ReadonlySet<number>): Promise<void> {
    const status = (): Promise<FarmStatus | undefined> => this.#farm.status().catch(() => undefined);
    await waitFor(
      'the farm to be whole again',
      async () => {
        const now = await status();
        if (!now?.ready || killed.has(now.daemon.pid)) return false;
        return now.nodes.every(({ state, pid }) => state === 'up' && pid !== null && !killed.has(pid));
      },
      {
        deadlineMs: 180_000,
        everyMs: 250,
        describe: async () =>
          (await status())?.nodes.map(({ name, state }) => `${name} ${state}`).join(', ') ?? 'no daemon',
      },
    );
  }
}
