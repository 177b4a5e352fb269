// Renders one Asterisk of any role: its configs, its folders, its process, its voices.
import { ports, type FarmNode, type FarmPlan } from '../core/farm/farm-plan.js';
import { stasisApp } from '../core/ports/asterisk.js';
import type { NodeFile, NodeRenderer, NodeSetup, ObjectProof } from '../core/ports/node-host.js';
import type { Voice } from '../core/ports/voices.js';
import { sipVoice } from '../core/sentinel/sip-voice.js';
import {
  emptyFiles,
  indicationsConf,
  loggerConf,
  noRecords,
  renderAriConf,
  renderAsteriskConf,
  renderHttpConf,
  rtpConf,
  stasisConf,
} from './asterisk-configs.js';
import { renderMusicOnHold, soundFiles } from './sounds.js';
import { renderModules } from './asterisk-modules.js';
import { callExtensions, conferenceExtensions, registrarExtensions } from './extensions-conf.js';
import {
  renderCallPjsip,
  renderConferencePjsip,
  renderRegistrarPjsip,
  type RegistrarSubscriber,
  type RtpTimeout,
  type RegistrationRules,
  type TrunkCredentials,
} from './pjsip-conf.js';

export const asteriskUser = 'holdfast-asterisk';

export interface AsteriskRendererOptions {
  readonly plan: () => FarmPlan;
  /** Installation prefix of our Asterisk. */
  readonly prefix: string;
  readonly domain: () => string;
  readonly ariPassword: (node: string) => string;
  readonly subscribers: () => readonly RegistrarSubscriber[];
  /** Of phones and trunks; never where it is left out. */
  readonly rtpTimeout?: () => RtpTimeout;
  readonly registration: () => RegistrationRules;
  /** Trunks that challenge our INVITEs; none where it is left out. */
  readonly trunks?: () => readonly TrunkCredentials[];
}

const noTimeout = (): RtpTimeout => ({ seconds: 0, onHoldSeconds: 0 });

const folders = ['run', 'log', 'lib', 'spool', 'spool/recording', 'sounds', 'sounds/music', 'sounds/silence'];

export class AsteriskRenderer implements NodeRenderer {
  readonly #options: AsteriskRendererOptions;

  constructor(options: AsteriskRendererOptions) {
    this.#options = options;
  }

  setup(node: FarmNode, folder: string): NodeSetup {
    const { prefix, ariPassword } = this.#options;
    const { content: pjsip, proof } = this.#pjsip(node);
    const file = (path: string, content: string): NodeFile => ({ path, content, mode: 0o600 });
    return {
      files: [
        file('asterisk.conf', renderAsteriskConf(node, prefix, folder)),
        file('modules.conf', renderModules(node.farm)),
        file('logger.conf', loggerConf),
        file('http.conf', renderHttpConf(node)),
        file('ari.conf', renderAriConf(ariPassword(node.name))),
        file('rtp.conf', rtpConf),
        file('stasis.conf', stasisConf),
        file('indications.conf', indicationsConf),
        file('cdr.conf', noRecords),
        file('cel.conf', noRecords),
        ...emptyFiles.map(path => file(path, '; Nothing to set.\n')),
        { ...file('pjsip.conf', pjsip), reload: 'endpoint-reload' },
        file('extensions.conf', extensionsOf(node)),
        ...(node.farm === 'registrar' ? [] : [file('musiconhold.conf', renderMusicOnHold(folder)), ...soundFiles()]),
      ],
      folders,
      ...(proof === undefined ? {} : { proof }),
      process: {
        command: `${prefix}/sbin/asterisk`,
        args: ['-C', `${folder}/asterisk.conf`, '-f', '-n'],
        user: asteriskUser,
      },
    };
  }

  voices({ name, address }: FarmNode): readonly Voice[] {
    const { plan, ariPassword } = this.#options;
    return [
      {
        ...{ name: 'ARI', via: 'http', address, port: ports.ari, everyMs: 200, suspectAfter: 0.5 },
        ...{ path: '/ari/asterisk/ping', auth: `${stasisApp}:${ariPassword(name)}`, hasStream: true },
      },
      sipVoice('SIP', plan().daemonAddress, address, 1),
    ];
  }

  #pjsip(node: FarmNode): { readonly content: string; readonly proof?: ObjectProof } {
    const { plan, domain, subscribers, registration, trunks, rtpTimeout = noTimeout } = this.#options;
    if (node.farm === 'registrar') return renderRegistrarPjsip(plan(), node, subscribers(), registration());
    if (node.farm === 'conference') return { content: renderConferencePjsip(plan(), node) };
    const facts = { plan: plan(), node, domain: domain(), rtpTimeout: rtpTimeout() };
    return { content: renderCallPjsip(facts, trunks?.() ?? []) };
  }
}

function extensionsOf(node: FarmNode): string {
  if (node.farm === 'registrar') return registrarExtensions;
  return node.farm === 'conference' ? conferenceExtensions : callExtensions;
}
