// Which registrars may have traffic: those that answer, and were read back to hold every subscriber and every binding.
import { HoldfastError, messageOf } from '../errors.js';
import type { FarmNode } from '../farm/farm-plan.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Logger } from '../log.js';
import type { AriClient, AsteriskFarm } from '../ports/asterisk.js';
import type { NodeHost, NodeRenderer, ObjectProof } from '../ports/node-host.js';
import type { Verdict } from '../sentinel/verdict.js';

export interface RegistrarKeeperOptions {
  readonly host: Pick<NodeHost, 'folder' | 'writeFiles' | 'process'>;
  readonly renderer: NodeRenderer;
  readonly asterisks: AsteriskFarm;
  readonly states: NodeStates;
  /** Whether a registrar holds every binding. */
  readonly isSynced: (name: string) => boolean;
  readonly log: Logger;
}

/** How long one that has traffic may take over a change of the subscribers, if another one has it. */
const slowChangeMs = 15_000;
/** Between two readings, and between two attempts to have it read its files. */
const againMs = 250;
const reloadAgainMs = 5_000;

interface Kept {
  /** Last time that it held all it should, 0 for never. */
  heldMs: number;
  /** What it was last read back to hold. */
  proven: string | undefined;
  /** Why it was not, in words. */
  trouble: string;
  checkedMs: number;
  reloadedMs: number;
  answers: boolean;
}

export class RegistrarKeeper {
  readonly #options: RegistrarKeeperOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #proofs = new Map<string, ObjectProof>();
  #tending: Promise<void> | undefined;

  constructor(options: RegistrarKeeperOptions) {
    this.#options = options;
  }

  /** What the sentinel hears of one that is not dead. */
  heard(name: string, { health, reason }: Verdict): void {
    const kept = this.#keep(name);
    kept.answers = health === 'up';
    if (kept.answers) void this.tend();
    else this.#options.states.setHealth(name, 'suspect', reason);
  }

  /** Its next process has to be read back before it gets traffic. */
  forget(name: string): void {
    this.#kept.delete(name);
  }

  /** Has a running one take the config's subscribers; bindings stay. */
  async provision(node: FarmNode): Promise<void> {
    this.#proofs.delete(node.name);
    await this.#reload(node);
    await this.tend();
  }

  /** Reads back those that have not proven yet, and says of each what it is. Called again and again; one run at a time. */
  tend(): Promise<void> {
    this.#tending ??= this.#tend().finally(() => (this.#tending = undefined));
    return this.#tending;
  }

  async #tend(): Promise<void> {
    for (const node of this.#options.states.nodes('registrar')) {
      const kept = this.#kept.get(node.name);
      if (!kept?.answers) continue;
      const proof = this.#proofOf(node);
      if (kept.proven !== proof.id && Date.now() - kept.checkedMs > againMs) await this.#prove(node, kept, proof);
      if (this.#isHeard(node.name, kept)) this.#say(node.name, kept, this.#missing(node.name, kept, proof));
    }
  }

  /** It may have died while it was asked, or fallen silent: then it is what its watchers say. */
  #isHeard(name: string, kept: Kept): boolean {
    return this.#kept.get(name) === kept && kept.answers;
  }

  async #reload(node: FarmNode): Promise<void> {
    const { host, renderer, asterisks } = this.#options;
    const { files, process } = renderer.setup(node, host.folder(node.name));
    const own = files.filter(file => file.reload === 'endpoint-reload');
    await host.writeFiles(node.name, own, process.user);
    await asterisks.node(node.name).ari.asterisk.reloadModule({ moduleName: 'res_pjsip.so' });
  }

  async #prove(node: FarmNode, kept: Kept, proof: ObjectProof): Promise<void> {
    const { asterisks, log } = this.#options;
    const { ari } = asterisks.node(node.name);
    kept.checkedMs = Date.now();
    try {
      for (const objectType of proof.objectTypes) {
        await ari.asterisk.getObject({ configClass: 'res_pjsip', objectType, id: proof.id });
      }
      const { held, missing } = await this.#endpoints(ari, proof);
      if (missing.length === 0 && held === proof.endpoints.length) kept.proven = proof.id;
      else {
        kept.trouble = `it holds ${held} endpoints, not ${proof.endpoints.length}`;
        log.warn({ node: node.name, missing: missing.slice(0, 10) }, `${node.name}: ${kept.trouble}`);
      }
    } catch (error) {
      kept.trouble = messageOf(error);
      log.debug({ node: node.name, error }, `${node.name} does not hold its subscribers yet: ${messageOf(error)}`);
    }
    if (kept.proven === proof.id || !this.#isHeard(node.name, kept) || Date.now() - kept.reloadedMs < reloadAgainMs)
      return;
    kept.reloadedMs = Date.now();
    await this.#reload(node).catch((error: unknown) =>
      log.warn({ node: node.name, error }, `${node.name} did not read its subscribers: ${messageOf(error)}`),
    );
  }

  /**
   * How many endpoints it holds, and which it does not that it should. Who was taken out of the config stays in ARI's list until the process ends
   * (endpoint_deleted_observer of res_pjsip/pjsip_configuration.c is not called by a reload), so strangers are asked for by name.
   */
  async #endpoints(ari: AriClient, proof: ObjectProof): Promise<{ held: number; missing: readonly string[] }> {
    const listed = new Set((await ari.endpoints.listByTech({ tech: 'PJSIP' })).map(({ resource }) => resource));
    const missing = proof.endpoints.filter(name => !listed.has(name));
    const wanted = new Set(proof.endpoints);
    const strangers = await Promise.all(
      [...listed].filter(name => !wanted.has(name)).map(async name => ((await isThere(ari, name)) ? [name] : [])),
    );
    return { held: proof.endpoints.length - missing.length + strangers.flat().length, missing };
  }

  /** What a registrar does not hold that it should, in words. */
  #missing(name: string, kept: Kept, proof: ObjectProof): string | undefined {
    if (kept.proven !== proof.id) return `every subscriber yet: ${kept.trouble}`;
    return this.#options.isSynced(name) ? undefined : 'every binding yet';
  }

  #say(name: string, kept: Kept, missing: string | undefined): void {
    const { states } = this.#options;
    if (missing === undefined) {
      kept.heldMs = Date.now();
      states.setHealth(name, 'up', 'it answers and holds every subscriber and binding');
      return;
    }
    // With no other one, old subscribers are better than none.
    const others = states.up('registrar').filter(node => node.name !== name);
    const mayStay = states.state(name) === 'up' && (others.length === 0 || Date.now() - kept.heldMs < slowChangeMs);
    if (!mayStay) states.setHealth(name, 'suspect', `it answers and does not hold ${missing}`);
  }

  #proofOf(node: FarmNode): ObjectProof {
    const { renderer, host } = this.#options;
    const known = this.#proofs.get(node.name);
    if (known) return known;
    const { proof } = renderer.setup(node, host.folder(node.name));
    const made = proof ?? { id: '', objectTypes: [], endpoints: [] };
    this.#proofs.set(node.name, made);
    return made;
  }

  #keep(name: string): Kept {
    const known = this.#kept.get(name);
    if (known) return known;
    const kept = {
      heldMs: 0,
      proven: undefined,
      trouble: 'not read back',
      checkedMs: 0,
      reloadedMs: Date.now(),
      answers: false,
    };
    this.#kept.set(name, kept);
    return kept;
  }
}

async function isThere(ari: AriClient, id: string): Promise<boolean> {
  try {
    await ari.asterisk.getObject({ configClass: 'res_pjsip', objectType: 'endpoint', id });
    return true;
  } catch (error) {
    if (HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === 404) return false;
    throw error;
  }
}
