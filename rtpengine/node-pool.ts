// The farm's engines by node name: implements core's media port, keeps each one's health and notices restarts.
import { HoldfastError } from '../core/errors.js';
import { ports, type FarmNode } from '../core/farm/farm-plan.js';
import type { EngineStatistics, MediaEngines } from '../core/ports/media.js';
import { NgClient, type NgStatistics } from './ng-client.js';
import { isRestart, type EngineSighting } from './engine-incarnation.js';

export interface EnginePoolOptions {
  /** Address that requests are sent from. */
  readonly localAddress?: string;
  /** Of every request. Default 1000. */
  readonly deadlineMs?: number;
  /** Milliseconds since any epoch; a test's clock. */
  readonly now?: () => number;
}

/** What the pool knows of one engine. */
export interface EngineHealth {
  readonly node: string;
  /** Undefined until the first answer. */
  readonly lastAnswerMs: number | undefined;
  /** Requests without an answer since the last one that had one. */
  readonly missed: number;
  /** Restarts seen on this address since the pool knows the node; each one is the death of all its sessions. */
  readonly restarts: number;
  readonly garbage: number;
}

interface Engine {
  readonly address: string;
  readonly client: NgClient;
  lastAnswerMs: number | undefined;
  missed: number;
  restarts: number;
  garbage: number;
  sighting: EngineSighting | undefined;
  /** One `statistics` at a time: the restart sign counts them. */
  pending: Promise<NgStatistics> | undefined;
}

export class EnginePool implements MediaEngines {
  readonly #options: EnginePoolOptions;
  readonly #engines = new Map<string, Engine>();
  readonly #restartListeners = new Set<(node: string) => void>();

  constructor(nodes: readonly FarmNode[], options: EnginePoolOptions = {}) {
    this.#options = options;
    this.setNodes(nodes);
  }

  /** Takes the farm's engines as they are now: new ones are added, missing ones closed, others left alone. */
  setNodes(nodes: readonly FarmNode[]): void {
    const wanted = new Map(nodes.filter(node => node.farm === 'rtpengine').map(node => [node.name, node.address]));
    for (const [name, engine] of this.#engines) {
      if (wanted.get(name) === engine.address) continue;
      engine.client.close();
      this.#engines.delete(name);
    }
    for (const [name, address] of wanted) if (!this.#engines.has(name)) this.#engines.set(name, this.#open(address));
  }

  /** Told when an engine that had answered before answers as another process. */
  onRestart(listener: (node: string) => void): () => void {
    this.#restartListeners.add(listener);
    return () => this.#restartListeners.delete(listener);
  }

  health(): readonly EngineHealth[] {
    return [...this.#engines].map(([node, { lastAnswerMs, missed, restarts, garbage }]) => {
      return { node, lastAnswerMs, missed, restarts, garbage };
    });
  }

  /** Also where restarts are noticed, so call it at every probe. */
  async statistics(node: string): Promise<EngineStatistics> {
    const engine = this.#engine(node);
    const statistics = await (engine.pending ??= this.#ask(node, client => client.statistics(this.#deadline)).finally(
      () => (engine.pending = undefined),
    ));
    this.#compare(node, engine, statistics);
    return { sessions: statistics.sessions, uptimeSeconds: statistics.uptimeSeconds };
  }

  async list(node: string, limit: number): Promise<readonly string[]> {
    return this.#ask(node, client => client.list(limit, this.#deadline));
  }

  async query(node: string, callId: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    return this.#ask(node, client => client.query(callId, this.#deadline));
  }

  async delete(node: string, callId: string): Promise<boolean> {
    return this.#ask(node, client => client.delete(callId, this.#deadline));
  }

  close(): void {
    for (const { client } of this.#engines.values()) client.close();
    this.#engines.clear();
    this.#restartListeners.clear();
  }

  get #deadline(): { deadlineMs: number } {
    return { deadlineMs: this.#options.deadlineMs ?? 1000 };
  }

  get #now(): number {
    return (this.#options.now ?? (() => performance.now()))();
  }

  #open(address: string): Engine {
    const local = this.#options.localAddress === undefined ? {} : { localAddress: this.#options.localAddress };
    const engine: Engine = {
      address,
      client: new NgClient({ host: address, port: ports.ng, ...local, onGarbage: () => engine.garbage++ }),
      lastAnswerMs: undefined,
      missed: 0,
      restarts: 0,
      garbage: 0,
      sighting: undefined,
      pending: undefined,
    };
    return engine;
  }

  #engine(node: string): Engine {
    const engine = this.#engines.get(node);
    if (!engine) throw new HoldfastError('NG_REFUSED', `no RTPEngine is called ${node}`, { details: { node } });
    return engine;
  }

  async #ask<T>(node: string, request: (client: NgClient) => Promise<T>): Promise<T> {
    const engine = this.#engine(node);
    try {
      const reply = await request(engine.client);
      this.#answered(engine);
      return reply;
    } catch (error) {
      if (HoldfastError.is(error, 'NG_TIMEOUT')) engine.missed++;
      else this.#answered(engine);
      throw error;
    }
  }

  #answered(engine: Engine): void {
    engine.lastAnswerMs = this.#now;
    engine.missed = 0;
  }

  #compare(node: string, engine: Engine, statistics: NgStatistics): void {
    const sighting: EngineSighting = {
      atMs: this.#now,
      uptimeSeconds: statistics.uptimeSeconds,
      statisticsRequests: statistics.statisticsRequests,
    };
    const restarted = engine.sighting !== undefined && isRestart(engine.sighting, sighting);
    engine.sighting = sighting;
    if (!restarted) return;
    engine.restarts++;
    for (const listener of this.#restartListeners) listener(node);
  }
}
