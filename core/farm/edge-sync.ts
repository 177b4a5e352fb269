// Keeps all Kamailios equal to what the daemon knows, and the balancer on exactly those that are.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { ApplyExtent, EdgeFarm, EdgeHost, EdgeState, InstanceReport, TranscodingPolicy } from '../ports/edge.js';
import type { Balancer } from '../ports/node-host.js';
import type { EngineBook } from './engine-book.js';
import type { FarmNode } from './farm-plan.js';
import type { NodeStates } from './node-states.js';

/** The part of the edge's state that comes from config and plugins. */
export type EdgeSettings = Omit<EdgeState, 'nodes' | 'engines' | 'fenced' | 'formerPolicies' | 'hosts'>;

export interface EdgeSyncOptions {
  readonly edge: EdgeFarm;
  readonly states: NodeStates;
  readonly book: EngineBook;
  readonly balancer: Balancer;
  /** Names of the fenced nodes. */
  readonly fenced: () => readonly string[];
  readonly settings: () => EdgeSettings;
  /** Where the names of trunks are. */
  readonly hosts: () => readonly EdgeHost[];
  /** Calls in set-up: their later requests must not be hashed to another node by a new list. */
  readonly unanswered: () => readonly { readonly sipCallId: string; readonly node: string }[];
  readonly log: Logger;
}

/** How long after a final response a request of its transaction may still come: 64*T1 (RFC 3261 §17.1.1.2). */
const transactionMs = 32_000;
/** A pin that nobody takes back ends by itself. */
const pinSeconds = 600;
/** INVITEs that were under way while the lists changed arrive within this time. */
const arrivalWindowMs = 1_000;

export class EdgeSync {
  readonly #options: EdgeSyncOptions;
  /** What came of the last reading of each. */
  readonly #reports = new Map<string, InstanceReport>();
  /** Every policy so far, by id. */
  readonly #policies = new Map<string, TranscodingPolicy>();
  /** Pinned Call-ID → when its call was last seen unanswered. */
  readonly #pins = new Map<string, number>();
  #members: readonly FarmNode[] = [];
  /** Kamailios that the others take things over from: they were told of them, as far as they answered. */
  #introduced: ReadonlySet<string> = new Set();
  #rows = '';
  #pinArrivalsUntilMs = 0;
  #running: Promise<readonly InstanceReport[]> | undefined;
  /** What is asked for while one runs. */
  #again: ApplyExtent | undefined;
  #balancing: Promise<void> = Promise.resolve();

  constructor(options: EdgeSyncOptions) {
    this.#options = options;
  }

  /** What every Kamailio should hold now. */
  state(): EdgeState {
    const { states, book } = this.#options;
    const settings = this.#options.settings();
    const nodes = states.nodes().map(({ name, farm, address }) => ({ name, farm, address, state: states.state(name) }));
    const engines = book.list(name => states.state(name));
    const formerPolicies = this.#formerPolicies(settings.policies);
    const { fenced, hosts } = this.#options;
    return { ...settings, formerPolicies, nodes, engines, fenced: fenced(), hosts: hosts() };
  }

  #formerPolicies(now: readonly TranscodingPolicy[]): readonly TranscodingPolicy[] {
    for (const policy of now) this.#policies.set(policy.id, policy);
    const ids = new Set(now.map(({ id }) => id));
    return [...this.#policies.values()].filter(({ id }) => !ids.has(id));
  }

  /** Brings all instances up to date; calls that come while one runs are served by one further run. */
  async apply(reason: string, extent: ApplyExtent = 'all'): Promise<readonly InstanceReport[]> {
    if (this.#running) {
      this.#again = this.#again === 'all' ? 'all' : extent;
      return this.#running;
    }
    this.#running = this.#applyUntilQuiet(reason, extent);
    return this.#running;
  }

  /** Resolves when the instances have been told of all that has changed so far, as far as they answer. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  /** True when the instance held the applied state at its last reading. */
  isEqual(instance: string): boolean {
    return this.#reports.get(instance)?.equal ?? false;
  }

  /** Why it did not, in words. */
  trouble(instance: string): string | undefined {
    return this.#reports.get(instance)?.error;
  }

  forget(instance: string): void {
    this.#reports.delete(instance);
  }

  /** An INVITE reached a node: pinned where a list is changing, or its node takes no new calls. */
  arrived(node: string, sipCallId: string): void {
    if (Date.now() < this.#pinArrivalsUntilMs || this.#options.states.state(node) === 'draining') {
      void this.#pin(sipCallId, node);
    }
  }

  /** Takes pins back whose transactions can bring nothing any more. Called every few seconds. */
  async unpinDone(): Promise<void> {
    const now = Date.now();
    for (const { sipCallId } of this.#options.unanswered())
      if (this.#pins.has(sipCallId)) this.#pins.set(sipCallId, now);
    for (const [sipCallId, seenMs] of this.#pins) {
      if (now - seenMs < transactionMs) continue;
      this.#pins.delete(sipCallId);
      await this.#options.edge.unpin(sipCallId).catch(() => undefined);
    }
  }

  /**
   * Puts exactly the Kamailios behind the VIPs that are up and known to the others, which refuse what comes from a stranger: all that are up where no other is,
   * and where none is up those that were there and are not dead.
   */
  async balance(): Promise<void> {
    this.#balancing = this.#balancing.then(async () => {
      const { states, balancer, log } = this.#options;
      const up = states.up('kamailio');
      const known = up.filter(({ name }) => this.#introduced.has(name));
      // All of them quiet at once is a busy machine, and a late answer is better than none.
      const quiet = this.#members.filter(({ name }) => states.state(name) === 'suspect');
      const members = [known, up, quiet].find(({ length }) => length > 0) ?? [];
      const names = members.map(node => node.name);
      if (names.join() === this.#members.map(node => node.name).join()) return;
      try {
        await balancer.apply(members);
        this.#members = members;
        log.info({ members: names }, `the VIPs are on ${names.join(' ') || 'no Kamailio'}`);
      } catch (error) {
        log.error({ error }, `the balancer could not be changed: ${messageOf(error)}`);
      }
    });
    return this.#balancing;
  }

  async #applyUntilQuiet(reason: string, extent: ApplyExtent): Promise<readonly InstanceReport[]> {
    let reports: readonly InstanceReport[] = [];
    try {
      for (let due: ApplyExtent | undefined = extent; due; due = this.#again as ApplyExtent | undefined) {
        this.#again = undefined;
        reports = await this.#applyOnce(reason, due);
      }
    } finally {
      // In the same turn as the last look at #again: what is asked for from now on is a run of its own.
      this.#running = undefined;
    }
    return reports;
  }

  async #applyOnce(reason: string, extent: ApplyExtent): Promise<readonly InstanceReport[]> {
    const state = this.state();
    const rows = state.nodes.map(node => `${node.name}=${node.state}`).join(' ');
    if (rows !== this.#rows && this.#rows !== '') {
      this.#pinArrivalsUntilMs = Number.POSITIVE_INFINITY;
      await Promise.all(this.#options.unanswered().map(({ sipCallId, node }) => this.#pin(sipCallId, node)));
    }
    try {
      const reports = await this.#options.edge.apply(state, extent);
      this.#rows = rows;
      for (const report of reports) this.#note(report, reason);
      return reports;
    } finally {
      this.#pinArrivalsUntilMs = Date.now() + arrivalWindowMs;
      const living = state.nodes.filter(node => node.farm === 'kamailio' && node.state !== 'dead');
      this.#introduced = new Set(living.map(({ name }) => name));
      void this.balance();
    }
  }

  #note(report: InstanceReport, reason: string): void {
    this.#reports.set(report.instance, report);
    this.#options.log.debug(
      { ...report, reason },
      `${report.instance}: ${report.equal ? 'equal' : (report.error ?? 'differs')}`,
    );
  }

  async #pin(sipCallId: string, node: string): Promise<void> {
    this.#pins.set(sipCallId, Date.now());
    await this.#options.edge.pin(sipCallId, node, pinSeconds).catch((error: unknown) => {
      this.#options.log.warn({ sipCallId, node, error }, `could not pin a call in set-up: ${messageOf(error)}`);
    });
  }
}
