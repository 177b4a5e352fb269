// Renders one Kamailio: its config, its lists and tables for the state of the moment, and its process.
import type { FarmNode, FarmPlan } from '../core/farm/farm-plan.js';
import type { EdgeState } from '../core/ports/edge.js';
import type { NodeRenderer, NodeSetup } from '../core/ports/node-host.js';
import { contentFiles, renderContent } from './edge-content.js';
import type { EdgeSecrets } from './edge-model.js';
import { renderKamailioCfg } from './kamailio-cfg.js';

export const kamailioUser = 'holdfast-kamailio';

export interface KamailioRendererOptions {
  readonly plan: () => FarmPlan;
  readonly domain: () => string;
  readonly homer: () => string | undefined;
  readonly secrets: EdgeSecrets;
  /** What the instance is to hold when it starts. */
  readonly state: () => EdgeState;
}

export class KamailioRenderer implements NodeRenderer {
  readonly #options: KamailioRendererOptions;

  constructor(options: KamailioRendererOptions) {
    this.#options = options;
  }

  setup(node: FarmNode, folder: string): NodeSetup {
    const { secrets, state, plan, domain } = this.#options;
    const { publicVip, privateVip, daemonAddress } = plan();
    const homer = this.#options.homer();
    const cfg = renderKamailioCfg({
      index: node.index,
      external: node.external ?? node.address,
      internal: node.address,
      publicVip,
      privateVip,
      daemonAddress,
      domain: domain(),
      secrets,
      folder,
      children: 4,
      ...(homer === undefined ? {} : { homer }),
    });
    return {
      files: [{ path: 'kamailio.cfg', content: cfg, mode: 0o600 }, ...contentFiles(renderContent(state(), secrets))],
      folders: ['tables', 'run'],
      process: {
        command: '/usr/sbin/kamailio',
        // -DD: stay in the foreground; -E: log to standard error; shared and private memory in MB.
        args: ['-f', `${folder}/kamailio.cfg`, '-DD', '-E', '-Y', `${folder}/run`, '-m', '64', '-M', '8'],
        user: kamailioUser,
      },
    };
  }
}
