// What counts and measures between two scrapes: a counter by labels, a histogram with fixed bounds.
import type { Labels, Metric, Sample } from './exposition.js';

export class Counter {
  readonly #name: string;
  readonly #help: string;
  readonly #counts = new Map<string, { readonly labels: Labels; value: number }>();

  /** `first`: label sets that are shown as 0 before anything was counted. */
  constructor(name: string, help: string, first: readonly Labels[] = []) {
    this.#name = name;
    this.#help = help;
    for (const labels of first) this.add(0, labels);
  }

  add(count = 1, labels: Labels = {}): void {
    const key = Object.values(labels).join('\u0000');
    const known = this.#counts.get(key);
    if (known) known.value += count;
    else this.#counts.set(key, { labels, value: count });
  }

  metric(): Metric {
    return { name: this.#name, type: 'counter', help: this.#help, samples: [...this.#counts.values()] };
  }
}

export class Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, { readonly labels: Labels; readonly counts: number[]; sum: number }>();

  /** `bounds`: upper ends of the buckets, growing; what is above them all is counted too. */
  constructor(name: string, help: string, bounds: readonly number[], first: readonly Labels[] = [{}]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
    for (const labels of first) this.#of(labels);
  }

  observe(value: number, labels: Labels = {}): void {
    const series = this.#of(labels);
    const index = this.#bounds.findIndex(bound => value <= bound);
    const bucket = index < 0 ? this.#bounds.length : index;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
  }

  metric(): Metric {
    const samples = [...this.#series.values()].flatMap(({ labels, counts, sum }): Sample[] => {
      let total = 0;
      const buckets = [...this.#bounds, Number.POSITIVE_INFINITY].map((bound, i): Sample => {
        total += counts[i] ?? 0;
        const le = bound === Number.POSITIVE_INFINITY ? '+Inf' : String(bound);
        return { suffix: '_bucket', labels: { ...labels, le }, value: total };
      });
      return [...buckets, { suffix: '_sum', labels, value: sum }, { suffix: '_count', labels, value: total }];
    });
    return { name: this.#name, type: 'histogram', help: this.#help, samples };
  }

  #of(labels: Labels): { readonly counts: number[]; sum: number } {
    const key = Object.values(labels).join('\u0000');
    const known = this.#series.get(key);
    if (known) return known;
    const made = { labels, counts: new Array<number>(this.#bounds.length + 1).fill(0), sum: 0 };
    this.#series.set(key, made);
    return made;
  }
}
