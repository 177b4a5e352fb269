// Overload control: looks once a second at how late each call node is and what comes for it, and has the Kamailios refuse what is too much.
import { performance } from 'node:perf_hooks';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { RequestDelay } from '../ports/asterisk.js';
import { quietSources, type EdgeFarm, type OfferedCalls, type ShedShare } from '../ports/edge.js';
import { isWell, nextLimit, noLimit, type CallLimit } from './call-limit.js';
import type { LoopLag } from './loop-lag.js';
import type { OverloadConfig } from './overload-config.js';
import { OfferedRatesMeter } from './offered-rates.js';
import { sharesRefused } from './shares.js';

export interface OverloadOptions {
  readonly edge: Pick<EdgeFarm, 'offeredCalls' | 'shed'>;
  /** Kamailios that are not dead. */
  readonly instances: () => readonly string[];
  /** Call nodes that are not dead. */
  readonly nodes: () => readonly string[];
  readonly delayOf: (node: string) => RequestDelay;
  /** Sessions of a dead node are being recovered, or were a moment ago. */
  readonly isRecovering: () => boolean;
  readonly config: () => OverloadConfig;
  readonly lag: LoopLag;
  readonly log: Logger;
}

/** A node whose new calls are refused in part. */
export interface NodeOverload {
  readonly node: string;
  readonly sinceMs: number;
  /** New calls per second that it takes now. */
  readonly callsPerSecond: number;
  readonly offeredPerSecond: number;
  readonly lateMs: number;
  /** Since it began. */
  readonly refused: number;
}

interface NodeState {
  limit: CallLimit;
  lateMs: number;
  offered: number;
  /** Since when calls are refused; undefined: none are. */
  sinceMs: number | undefined;
  quietLooks: number;
  refused: Map<string, number>;
  /** Source → lots that are refused of its calls. */
  shares: ReadonlyMap<string, number>;
  /** Sources of which the Kamailios were told a share that is more than none. */
  told: ReadonlySet<string>;
}

const everyMs = 1_000;
/** What the Kamailios were told ends by itself after so long. */
const heldSeconds = 10;
/** Of fewer requests nothing is to be learned. */
const fewestRequests = 5;
const looksToEnd = 5;

export class Overload {
  readonly #options: OverloadOptions;
  readonly #meter = new OfferedRatesMeter();
  readonly #states = new Map<string, NodeState>();
  #timer: NodeJS.Timeout | undefined;
  #reading = false;
  /** What was read last was not yet looked at. */
  #unseen = false;
  #lookedMs = performance.now();

  constructor(options: OverloadOptions) {
    this.#options = options;
  }

  start(): void {
    this.#options.lag.start();
    this.#timer = setInterval(() => void this.#tick(), everyMs);
  }

  close(): void {
    this.#options.lag.close();
    clearInterval(this.#timer);
  }

  list(): readonly NodeOverload[] {
    return [...this.#states].flatMap(([node, { sinceMs, limit, offered, lateMs, refused }]) =>
      sinceMs === undefined
        ? []
        : [
            {
              node,
              sinceMs,
              lateMs,
              offeredPerSecond: offered,
              refused: sum(refused),
              callsPerSecond: this.#most(limit),
            },
          ],
    );
  }

  /** How late each call node is, ms. */
  lateness(): ReadonlyMap<string, number> {
    return new Map([...this.#states].map(([node, { lateMs }]) => [node, lateMs]));
  }

  /** To read and to tell take the longer the later we are: a look waits for neither. */
  async #tick(): Promise<void> {
    try {
      this.#look();
      await Promise.all([this.#tell(), this.#read()]);
    } catch (error) {
      this.#options.log.warn({ error }, `overload is not looked at: ${messageOf(error)}`);
    }
  }

  /** By what was read last. */
  #look(): void {
    const now = performance.now();
    const seconds = (now - this.#lookedMs) / 1000;
    this.#lookedMs = now;
    const ownMs = this.#options.lag.lookMs();
    const nodes = this.#options.nodes();
    for (const node of this.#states.keys()) if (!nodes.includes(node)) this.#gone(node);
    for (const node of nodes) {
      const { requests, medianMs } = this.#options.delayOf(node);
      const lateMs = Math.max(ownMs, requests < fewestRequests ? 0 : medianMs);
      this.#judge(node, lateMs, seconds);
    }
    this.#unseen = false;
  }

  async #read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      this.#meter.look(await this.#counts(), performance.now());
      this.#unseen = true;
    } finally {
      this.#reading = false;
    }
  }

  async #counts(): Promise<ReadonlyMap<string, OfferedCalls>> {
    const [instances, nodes] = [this.#options.instances(), this.#options.nodes()];
    const counts = await Promise.allSettled(instances.map(one => this.#options.edge.offeredCalls(one, nodes)));
    return new Map(counts.flatMap((one, i) => (one.status === 'fulfilled' ? [[instances[i] ?? '', one.value]] : [])));
  }

  #judge(node: string, lateMs: number, seconds: number): void {
    const state = this.#state(node);
    const rates = this.#meter.rates(node);
    const { config, isRecovering } = this.#options;
    const rules = config();
    Object.assign(state, { lateMs, offered: rates.offered });
    state.limit =
      rules.lateMs === 0
        ? noLimit
        : nextLimit(state.limit, { ...rates, lateMs, seconds, excused: isRecovering() }, rules);
    const most = this.#most(state.limit);
    state.shares = Number.isFinite(most) ? sharesRefused(most, rates) : new Map();
    const refuses = [...state.shares.values()].some(share => share > 0);
    if (!refuses && state.limit.limit === null && (rules.lateMs === 0 || isWell(lateMs, rules)))
      this.#meter.keepsUp(node);
    for (const [source, count] of this.#unseen ? rates.refused : [])
      state.refused.set(source, (state.refused.get(source) ?? 0) + count);
    state.quietLooks = refuses ? 0 : state.quietLooks + 1;
    const seen = { node, lateMs, limit: state.limit.limit, offered: rates.offered, admitted: rates.admitted };
    this.#options.log.debug(
      { ...seen, usual: rates.usual, shares: Object.fromEntries(state.shares) },
      'load of a call node',
    );
    if (refuses && state.sinceMs === undefined) this.#begins(node, state, most);
    const isOver = state.limit.limit === null && state.quietLooks >= looksToEnd;
    if (state.sinceMs !== undefined && isOver) this.#ends(node, state);
  }

  #most({ limit }: CallLimit): number {
    return Math.min(limit ?? Infinity, this.#options.config().callsPerSecond ?? Infinity);
  }

  #begins(node: string, state: NodeState, most: number): void {
    state.sinceMs = Date.now();
    state.refused = new Map();
    const { offered, lateMs, shares } = state;
    const facts = { node, lateMs: Math.round(lateMs), offered: Math.round(offered), limit: Math.round(most) };
    const from = [...shares].filter(([, share]) => share > 0).map(([source]) => nameOf(source));
    const why = state.limit.limit === null ? 'by overload.callsPerSecond' : `its answers take ${facts.lateMs} ms`;
    this.#options.log.warn(
      facts,
      `${node} takes ${facts.limit} of ${facts.offered} new calls a second from now on (${why}): others are refused, of ${from.join(', ')}`,
    );
  }

  #ends(node: string, state: NodeState): void {
    const seconds = Math.round((Date.now() - (state.sinceMs ?? 0)) / 1000);
    const most = [...state.refused].sort(([, a], [, b]) => b - a).slice(0, 5);
    const from = most.map(([source, count]) => `${count} of ${nameOf(source)}`).join(', ');
    const refused = sum(state.refused);
    state.sinceMs = undefined;
    this.#options.log.warn(
      { node, seconds, refused, sources: Object.fromEntries(most) },
      `${node} takes all new calls again: in ${seconds} s it has refused ${refused}${from === '' ? '' : `: ${from}`}`,
    );
  }

  /** It is dead, drained or suspect: what was found out of it is so no longer. */
  #gone(node: string): void {
    const state = this.#state(node);
    if (state.sinceMs !== undefined) this.#ends(node, state);
    this.#states.delete(node);
  }

  /** To all instances, again and again while it holds; a node's other sources have shares of none, or theirs would be that of all that call seldom. */
  async #tell(): Promise<void> {
    const shares = [...this.#states].flatMap(([node, state]) => sharesToTell(node, state));
    await Promise.allSettled(
      this.#options
        .instances()
        .flatMap(instance => shares.map(share => this.#options.edge.shed(instance, share, heldSeconds))),
    );
  }

  #state(node: string): NodeState {
    const known = this.#states.get(node);
    if (known) return known;
    const state: NodeState = {
      ...{ limit: noLimit, lateMs: 0, offered: 0, sinceMs: undefined, quietLooks: 0 },
      ...{ refused: new Map<string, number>(), shares: new Map<string, number>(), told: new Set<string>() },
    };
    this.#states.set(node, state);
    return state;
  }
}

/** Once more, with none, for those that were told of more. */
function sharesToTell(node: string, state: NodeState): readonly ShedShare[] {
  const refuses = [...state.shares.values()].some(share => share > 0);
  const rows = refuses ? [...state.shares] : [...state.told].map(source => [source, 0] as const);
  const unnamed = [...state.told]
    .filter(source => refuses && !state.shares.has(source))
    .map(source => [source, 0] as const);
  state.told = new Set(refuses ? state.shares.keys() : []);
  return [...rows, ...unnamed].map(([source, lots]) => ({ node, source, lots }));
}

function nameOf(source: string): string {
  return source === quietSources ? 'all that call seldom' : source;
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((all, one) => all + one, 0);
}
