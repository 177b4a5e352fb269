// Renders one Kamailio: its config, its lists and tables for the state of the moment, its process, its voices.
import { hasStreams, ports, type FarmNode, type FarmPlan } from '../core/farm/farm-plan.js';
import type { EdgeCertificate, EdgeState } from '../core/ports/edge.js';
import type { NodeRenderer, NodeSetup } from '../core/ports/node-host.js';
import type { Voice } from '../core/ports/voices.js';
import { sipVoice } from '../core/sentinel/sip-voice.js';
import { contentFiles, renderContent } from './edge-content.js';
import { tlsFiles } from './cfg-tls.js';
import type { EdgeSecrets, EdgeStreams } from './edge-model.js';
import { renderKamailioCfg } from './kamailio-cfg.js';

export const kamailioUser = 'holdfast-kamailio';

export interface KamailioRendererOptions {
  readonly plan: () => FarmPlan;
  readonly domain: () => string;
  readonly leastExpiresSeconds: () => number;
  readonly homer: () => string | undefined;
  /** Of phones on TCP and TLS, at one instance. */
  readonly connections: () => Pick<EdgeStreams, 'mostConnections' | 'strangerSilenceSeconds'>;
  /** Asked only where the plan has a port for TLS. */
  readonly certificate: () => EdgeCertificate;
  /** Path of the library of tls-after-fork.c; asked where `certificate` is. */
  readonly tlsAfterFork: () => string;
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
    const { secrets, state, plan, domain, leastExpiresSeconds } = this.#options;
    const { publicVip, privateVip, daemonAddress, streams } = plan();
    const { mostConnections, strangerSilenceSeconds } = this.#options.connections();
    const withStreams = hasStreams(plan());
    const homer = this.#options.homer();
    const cfg = renderKamailioCfg({
      index: node.index,
      external: node.external ?? node.address,
      internal: node.address,
      publicVip,
      privateVip,
      daemonAddress,
      domain: domain(),
      leastExpiresSeconds: leastExpiresSeconds(),
      secrets,
      folder,
      children: 4,
      ...(homer === undefined ? {} : { homer }),
      ...(withStreams ? { streams: { ...streams, mostConnections, strangerSilenceSeconds } } : {}),
    });
    return {
      files: [
        { path: 'kamailio.cfg', content: cfg, mode: 0o600 },
        ...(streams.tls === undefined ? [] : tlsFiles(this.#options.certificate(), state().gateways)),
        ...contentFiles(renderContent(state(), secrets)),
      ],
      folders: ['tables', 'run'],
      process: {
        command: '/usr/sbin/kamailio',
        // -DD: stay in the foreground; -E: log to standard error; shared and private memory in MB.
        args: [
          '-f',
          `${folder}/kamailio.cfg`,
          '-DD',
          '-E',
          '-Y',
          `${folder}/run`,
          '-m',
          `${memoryMegabytes(withStreams ? mostConnections : 0)}`,
          '-M',
          '8',
          ...(streams.tls === undefined ? [] : ['-x', countedMemory]),
        ],
        ...(streams.tls === undefined ? {} : { env: { LD_PRELOAD: this.#options.tlsAfterFork() } }),
        user: kamailioUser,
      },
    };
  }
  /** Each of its sockets has processes of its own, which may be stuck while the others work; RPC has one, which a reload may keep busy. */
  voices(node: FarmNode): readonly Voice[] {
    const { daemonAddress } = this.#options.plan();
    const question = '{"jsonrpc":"2.0","method":"core.echo","params":["{id}"],"id":1}';
    return [
      sipVoice('SIP outside', daemonAddress, node.external ?? node.address, 0.5),
      sipVoice('SIP inside', daemonAddress, node.address, 0.5),
      {
        ...{ name: 'RPC', via: 'udp', address: node.address, port: ports.rpc, everyMs: 200, suspectAfter: Infinity },
        question,
      },
    ];
  }
}

/**
 * The manager of shared memory where OpenSSL uses it. Kamailio's usual one counts what a realloc gives back as used for good (qm_realloc() in core/mem/q_malloc.c), and
 * the tls module takes no new connection where little seems to be free: docs/adr/0099.
 */
const countedMemory = 'tlsf';

/** Shared memory, taken as it is used. A TLS connection needs some 50 kB of it. */
function memoryMegabytes(mostConnections: number): number {
  return 64 + Math.ceil(mostConnections / 16);
}
