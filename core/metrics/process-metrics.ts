// The daemon's own process: CPU, memory, open files and how late its event loop is; the usual names where there are such.
import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import type { Metric } from './exposition.js';

/** How often the loop is looked at; as much is in each measurement (lib/internal/perf/event_loop_delay.js). */
const resolutionMs = 10;

export class ProcessMetrics {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: resolutionMs });
  readonly #startedSeconds = Date.now() / 1000 - process.uptime();

  start(): void {
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  /** The event loop's are those since the last call. */
  metrics(): Metric[] {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    const gauge = (name: string, help: string, value: number): Metric => ({
      ...{ name, type: 'gauge', help, samples: [{ value }] },
    });
    return [
      {
        ...{ name: 'process_cpu_seconds_total', type: 'counter', help: 'User and system time of the daemon.' },
        samples: [{ value: (user + system) / 1e6 }],
      },
      gauge('process_resident_memory_bytes', 'Memory of the daemon.', rss),
      gauge('process_start_time_seconds', 'When the daemon started, since 1970.', this.#startedSeconds),
      ...openFiles().map(count => gauge('process_open_fds', 'Open file descriptors of the daemon.', count)),
      gauge('nodejs_heap_size_used_bytes', 'JavaScript heap of the daemon’s main thread.', heapUsed),
      this.#loop(),
    ];
  }

  #loop(): Metric {
    const lag = (ns: number): number => Math.max(0, (Number.isFinite(ns) ? ns / 1e6 : 0) - resolutionMs) / 1000;
    const samples = [
      { labels: { quantile: '0.5' }, value: lag(this.#delay.percentile(50)) },
      { labels: { quantile: '0.99' }, value: lag(this.#delay.percentile(99)) },
      { labels: { quantile: '1' }, value: lag(this.#delay.max) },
    ];
    this.#delay.reset();
    return {
      ...{ name: 'holdfast_event_loop_lag_seconds', type: 'gauge' },
      help: 'How late the daemon’s event loop was since the last scrape.',
      samples,
    };
  }
}

function openFiles(): number[] {
  try {
    return [readdirSync('/proc/self/fd').length];
  } catch {
    return [];
  }
}
