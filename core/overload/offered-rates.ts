// From what the Kamailios have counted: calls per second that come for each call node, by source, and what each source usually has.
import type { OfferedCalls, SourceCount } from '../ports/edge.js';
import type { OfferedRates } from './shares.js';

/** Of one node. */
export interface NodeRates extends OfferedRates {
  readonly offered: number;
  /** Refused since the last look, by source. */
  readonly refused: ReadonlyMap<string, number>;
  readonly admitted: number;
  readonly usual: number;
}

/** What is left after a second of all that was seen before. */
const smoothing = 0.3;
/** What a source sends is its usual after some seconds, and for a minute after it has fallen silent: a flood is known sooner than it is usual. */
const usualRises = 0.1;
const usualFalls = 0.02;
const forgotten = 0.05;

interface Reading {
  readonly atMs: number;
  readonly offered: ReadonlyMap<string, number>;
  readonly refused: ReadonlyMap<string, number>;
}

/** Undefined: of all sources together. */
type Source = string | undefined;

export class OfferedRatesMeter {
  readonly #readings = new Map<string, Reading>();
  /** node → source → calls per second. */
  readonly #offered = new Map<string, Map<Source, number>>();
  readonly #refused = new Map<string, Map<Source, number>>();
  readonly #refusedNow = new Map<string, Map<Source, number>>();
  readonly #usual = new Map<string, Map<Source, number>>();
  #lookedMs: number | undefined;

  /** One look at all instances that answer. */
  look(counts: ReadonlyMap<string, OfferedCalls>, nowMs: number): void {
    const [seen, turnedAway] = [new Map<string, Map<Source, number>>(), new Map<string, Map<Source, number>>()];
    this.#refusedNow.clear();
    let isRead = false;
    for (const [instance, { offered, refused }] of counts) {
      const before = this.#readings.get(instance);
      const now = { atMs: nowMs, offered: byKey(offered), refused: byKey(refused) };
      this.#readings.set(instance, now);
      // Nobody knows since when it counts.
      if (!before) continue;
      isRead = true;
      const seconds = Math.max(0.1, (nowMs - before.atMs) / 1000);
      for (const one of offered) add(seen, one, grown(before.offered, one) / seconds);
      for (const one of refused) {
        add(turnedAway, one, grown(before.refused, one) / seconds);
        add(this.#refusedNow, one, grown(before.refused, one));
      }
    }
    if (counts.size === 0) return;
    // After a look that was late the next one comes early: one call in a tenth of a second is no flood.
    const left = smoothing ** ((nowMs - (this.#lookedMs ?? nowMs)) / 1000);
    this.#lookedMs = nowMs;
    // Where nobody has answered, what was known is better than nothing.
    if (!isRead) return;
    smooth(this.#offered, seen, left);
    smooth(this.#refused, turnedAway, left);
  }

  /** The node keeps up: what it has now is what it is used to. */
  keepsUp(node: string): void {
    const usual = rowsOf(this.#usual, node);
    const now = rowsOf(this.#offered, node);
    for (const source of new Set([...usual.keys(), ...now.keys()])) {
      const [was, is] = [usual.get(source) ?? 0, now.get(source) ?? 0];
      const next = was + (is - was) * (is > was ? usualRises : usualFalls);
      if (next < forgotten) usual.delete(source);
      else usual.set(source, next);
    }
  }

  rates(node: string): NodeRates {
    const [rates, usual] = [rowsOf(this.#offered, node), rowsOf(this.#usual, node)];
    const sources = [...rates].flatMap(([source, offered]) =>
      source === undefined ? [] : [{ source, offered, usual: usual.get(source) ?? 0 }],
    );
    const offered = rates.get(undefined) ?? 0;
    const refused = [...rowsOf(this.#refusedNow, node)].flatMap(([source, n]) =>
      source === undefined ? [] : [[source, n] as const],
    );
    const refusedRate = [...rowsOf(this.#refused, node).values()].reduce((all, one) => all + one, 0);
    return {
      ...{ sources, offered, refused: new Map(refused), usual: usual.get(undefined) ?? 0 },
      quiet: Math.max(0, offered - sources.reduce((all, one) => all + one.offered, 0)),
      admitted: Math.max(0, offered - refusedRate),
    };
  }
}

function key(node: string, source: Source): string {
  return source === undefined ? node : `${node}|${source}`;
}

function byKey(counts: readonly SourceCount[]): ReadonlyMap<string, number> {
  return new Map(counts.map(({ node, source, count }) => [key(node, source), count]));
}

/** What has come since; one that has begun to count anew has counted nothing before. */
function grown(before: ReadonlyMap<string, number>, { node, source, count }: SourceCount): number {
  const was = before.get(key(node, source)) ?? 0;
  return count >= was ? count - was : count;
}

function rowsOf(tables: Map<string, Map<Source, number>>, node: string): Map<Source, number> {
  const rows = tables.get(node) ?? new Map<Source, number>();
  tables.set(node, rows);
  return rows;
}

function add(tables: Map<string, Map<Source, number>>, { node, source }: SourceCount, value: number): void {
  const rows = rowsOf(tables, node);
  rows.set(source, (rows.get(source) ?? 0) + value);
}

function smooth(rates: Map<string, Map<Source, number>>, seen: Map<string, Map<Source, number>>, left: number): void {
  for (const node of new Set([...rates.keys(), ...seen.keys()])) {
    const [rows, now] = [rowsOf(rates, node), rowsOf(seen, node)];
    for (const source of new Set([...rows.keys(), ...now.keys()])) {
      const rate = left * (rows.get(source) ?? 0) + (1 - left) * (now.get(source) ?? 0);
      if (rate < forgotten) rows.delete(source);
      else rows.set(source, rate);
    }
  }
}
