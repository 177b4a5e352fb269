// All metrics of the daemon, and where they are served.
import type { MetricsConfig } from '../config/holdfast-config.js';
import type { Logger } from '../log.js';
import type { Store } from '../store/store.js';
import { CallMetrics } from './call-metrics.js';
import type { Metric } from './exposition.js';
import { FarmMetrics, type FarmMetricsOptions } from './farm-metrics.js';
import { Histogram } from './instruments.js';
import { MetricsServer } from './metrics-server.js';
import { ProcessMetrics } from './process-metrics.js';

export interface MetricsOptions extends Omit<FarmMetricsOptions, 'storeRecords'> {
  readonly store: Store;
  readonly log: Logger;
  readonly socketPath: (socket: string) => string;
}

const commitBounds = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1];

export class Metrics {
  readonly #options: MetricsOptions;
  readonly calls = new CallMetrics();
  readonly #process = new ProcessMetrics();
  readonly #commits = new Histogram(
    'holdfast_store_commit_seconds',
    'How long transactions of the store took: each step of a call waits for one.',
    commitBounds,
  );
  readonly #farm: FarmMetrics;
  readonly #server: MetricsServer;

  constructor(options: MetricsOptions) {
    const { store, log, socketPath } = options;
    this.#options = options;
    this.#farm = new FarmMetrics({ ...options, storeRecords: () => recordsOf(store) });
    store.onCommit(ms => this.#commits.observe(ms / 1000));
    this.#server = new MetricsServer({
      collect: () => this.collect(),
      log,
      socketPath,
      serving: on => (on ? this.#process.start() : this.#process.stop()),
    });
  }

  /** What an earlier daemon counted is not counted again. */
  async start(listen: MetricsConfig | undefined): Promise<void> {
    this.#farm.begin();
    await this.#server.serve(listen);
  }

  /** Serves there from now on; undefined: nowhere (reload). Gives why it cannot yet. */
  serve(listen: MetricsConfig | undefined): Promise<string | undefined> {
    return this.#server.serve(listen);
  }

  /** Why they are not served now, though the config says so. */
  get trouble(): string | undefined {
    return this.#server.trouble;
  }

  async collect(): Promise<readonly Metric[]> {
    const farm = await this.#farm.metrics();
    return [...this.calls.metrics(this.#options.calls()), ...farm, this.#commits.metric(), ...this.#process.metrics()];
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}

/** Without the outboxes: millions may wait there, and they are counted as they come. */
async function recordsOf(store: Store): Promise<Record<string, number>> {
  const tables = await store.counts(table => !table.endsWith('-outbox'));
  return Object.fromEntries(tables);
}
