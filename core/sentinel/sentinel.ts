// Says which servers live, on the votes of all signs there are, from a thread of its own that the daemon's load cannot delay.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { Posted } from '../posted.js';
import type { FromSentinel, SentinelStart, ToSentinel, WatchedNode } from './sentinel-protocol.js';

export type SentinelVerdict = Extract<FromSentinel, { kind: 'verdict' }>;

export interface SentinelOptions {
  /** The daemon's own address: probes come from there. */
  readonly address: string;
  readonly log: Logger;
  readonly onVerdict: (verdict: SentinelVerdict) => void;
}

const restartAfterMs = 200;

export class Sentinel {
  readonly #options: SentinelOptions;
  /** What a thread that is started anew has to be told. */
  readonly #watched = new Map<string, WatchedNode>();
  readonly #streams = new Map<string, boolean>();
  #silenceMs = 1_000;
  #worker: Worker | undefined;
  #posted = new Posted(Posted.memory());
  #restart: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: SentinelOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { address } = this.#options;
    const posted = Posted.memory();
    const workerData: SentinelStart = { address, posted };
    const worker = new Worker(new URL('./sentinel-worker.js', import.meta.url), { workerData });
    await once(worker, 'message');
    if (this.#closed) {
      await worker.terminate();
      return;
    }
    this.#worker = worker;
    this.#posted = new Posted(posted);
    worker.on('message', (message: FromSentinel) => this.#hear(message));
    worker.on('error', error =>
      this.#options.log.error({ error }, `the sentinel's thread failed: ${messageOf(error)}`),
    );
    worker.on('exit', () => this.#lost(worker));
    this.#post({ kind: 'silence', silenceMs: this.#silenceMs });
    for (const [name, open] of this.#streams) this.#post({ kind: 'stream', name, open });
    for (const node of this.#watched.values()) this.#post({ kind: 'watch', node });
  }

  /** How long a server must be silent in every way to be dead, ms. */
  setSilence(silenceMs: number): void {
    this.#silenceMs = silenceMs;
    this.#post({ kind: 'silence', silenceMs });
  }

  /** Watches a node's process from now on; another process of the same node takes its place. */
  watch(node: WatchedNode): void {
    this.#watched.set(node.name, node);
    this.#post({ kind: 'watch', node });
  }

  unwatch(name: string): void {
    this.#watched.delete(name);
    this.#post({ kind: 'unwatch', name });
  }

  /** The node's ARI event stream was opened, or closed. */
  stream(name: string, open: boolean): void {
    this.#streams.set(name, open);
    this.#post({ kind: 'stream', name, open });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    this.#worker = undefined;
    if (!worker) return;
    const ended = once(worker, 'exit');
    worker.postMessage({ kind: 'close' } satisfies ToSentinel);
    this.#posted.note();
    const late = setTimeout(() => void worker.terminate(), 1_000);
    await ended.catch(() => undefined);
    clearTimeout(late);
  }

  #post(message: ToSentinel): void {
    if (!this.#worker) return;
    this.#worker.postMessage(message);
    this.#posted.note();
  }

  #hear(message: FromSentinel): void {
    if (message.kind === 'verdict' && this.#watched.get(message.name)?.pid === message.pid)
      this.#options.onVerdict(message);
    if (message.kind === 'lagged') {
      this.#options.log.debug({ ms: message.ms }, `the sentinel stood still for ${message.ms} ms`);
    }
  }

  /** Nobody is dead because the one who watches is. */
  #lost(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#options.log.error({}, `the sentinel's thread has ended; it starts again in ${restartAfterMs} ms`);
    this.#openAgain();
  }

  #openAgain(): void {
    this.#restart = setTimeout(() => {
      this.open().catch((error: unknown) => {
        this.#options.log.error({ error }, `no sentinel: ${messageOf(error)}`);
        if (!this.#closed) this.#openAgain();
      });
    }, restartAfterMs);
  }
}
