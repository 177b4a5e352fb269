// Has Asterisks that run take another config's PJSIP objects: registrars its subscribers, call nodes its trunks.
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AsteriskFarm } from '../ports/asterisk.js';
import type { NodeHost, NodeRenderer } from '../ports/node-host.js';
import type { RegistrarKeeper } from '../registrations/registrar-keeper.js';
import type { FarmName, FarmNode } from './farm-plan.js';
import type { NodeStates } from './node-states.js';

export interface EndpointKeeperOptions {
  readonly host: Pick<NodeHost, 'folder' | 'process' | 'readFile' | 'writeFiles'>;
  readonly renderers: Readonly<Record<FarmName, NodeRenderer>>;
  readonly registrars: Pick<RegistrarKeeper, 'provision'>;
  readonly asterisks: AsteriskFarm;
  readonly states: Pick<NodeStates, 'isDead'>;
  readonly log: Logger;
}

export class EndpointKeeper {
  readonly #options: EndpointKeeperOptions;
  /** Those that did not take theirs, and why. */
  readonly #owing = new Map<string, string>();

  constructor(options: EndpointKeeperOptions) {
    this.#options = options;
  }

  /**
   * Calls and bindings stay. `outdated`: only those that have an older file, or did not take their last. Gives who did not take
   * it now; `settle` tries those again.
   */
  async provision(nodes: readonly FarmNode[], which: 'all' | 'outdated'): Promise<string | undefined> {
    const { host, log } = this.#options;
    const failed: string[] = [];
    for (const node of nodes) {
      if (node.farm !== 'registrar' && node.farm !== 'call') continue;
      const owed = this.#owing.delete(node.name);
      // One that does not run has them from its next start.
      if (!host.process(node.name)) continue;
      try {
        if (which === 'outdated' && !owed && !(await this.#isOutdated(node))) continue;
        await this.#provision(node);
        if (owed) log.info({ node: node.name }, `${node.name} has taken its new endpoints`);
      } catch (error) {
        const trouble = `${node.name} did not take its new endpoints: ${messageOf(error)}`;
        this.#owing.set(node.name, trouble);
        failed.push(trouble);
        log.warn({ node: node.name, error }, trouble);
      }
    }
    return failed.length === 0 ? undefined : failed.join('; ');
  }

  /** Who has not taken its endpoints yet, and why. */
  get trouble(): string | undefined {
    return this.#owing.size === 0 ? undefined : [...this.#owing.values()].join('; ');
  }

  /** Called every few seconds. */
  async settle(nodes: readonly FarmNode[]): Promise<void> {
    const there = new Set(nodes.map(({ name }) => name));
    for (const name of this.#owing.keys()) if (!there.has(name)) this.#owing.delete(name);
    await this.provision(
      nodes.filter(({ name }) => this.#owing.has(name)),
      'all',
    );
  }

  async #isOutdated(node: FarmNode): Promise<boolean> {
    const { host, renderers } = this.#options;
    for (const { path, content, encoding, reload } of renderers[node.farm].setup(node, host.folder(node.name)).files) {
      if (reload !== 'endpoint-reload') continue;
      if ((await host.readFile(node.name, path, encoding)) !== content) return true;
    }
    return false;
  }

  async #provision(node: FarmNode): Promise<void> {
    const { host, renderers, registrars, asterisks, states } = this.#options;
    // Its process is there, and answers nobody.
    if (states.isDead(node.name)) throw new Error(`${node.name} is dead`);
    if (node.farm === 'registrar') return registrars.provision(node);
    const { files, process } = renderers[node.farm].setup(node, host.folder(node.name));
    const own = files.filter(file => file.reload === 'endpoint-reload');
    await host.writeFiles(node.name, own, process.user);
    await asterisks.node(node.name).ari.asterisk.reloadModule({ moduleName: 'res_pjsip.so' });
  }
}
