// One Kamailio that is started again and again as another variant, and calls through it from SIPp to SIPp in an Asterisk's place.
import { cpus } from 'node:os';
import type { FarmNode } from '../../../core/farm/farm-plan.js';
import type { EdgeState, TranscodingPolicy } from '../../../core/ports/edge.js';
import type { NodeRenderer, NodeSetup } from '../../../core/ports/node-host.js';
import { KamailioRenderer } from '../../../kamailio/kamailio-renderer.js';
import { Sipp, type SippUacOptions } from '../../harness/sipp.js';
import { waitFor } from '../../harness/wait-for.js';
import { EdgeLab, labDomain } from '../../integration/kamailio-lab.js';
import { cpuMsOf, familyOf } from '../calls/process-cost.js';
import type { Load } from '../calls/load.js';
import { callee, caller } from './parties.js';
import { TlsBridge } from './tls-bridge.js';
import { bareCfg, has, pruned, type Variant } from './variants.js';

const streams = { tcp: 5060, tls: 5061, perSource: 8_000 };
const [trunkHost, phoneHost, calleeHost, homerHost] = [200, 210, 31, 220];
/** How long the callee rings, and each call is up: no part of what is measured. */
const ringMs = 50;
const holdMs = 500;
const secure: TranscodingPolicy = { id: 'secure', codecs: ['PCMA', 'PCMU'], srtp: 'required' };

/** CPU so far, ms: of the Kamailio, of the RTPEngines, and of the whole machine. */
export interface Spent {
  readonly kamailio: number;
  readonly rtpengine: number;
  readonly machine: number;
}

export class EdgeUnderTest {
  readonly #lab: EdgeLab;
  readonly #node: FarmNode;
  readonly #first: EdgeState;
  #variant: Variant | undefined;
  #callee: Sipp | undefined;
  #bridge: TlsBridge | undefined;

  private constructor(lab: EdgeLab, node: FarmNode) {
    this.#lab = lab;
    this.#node = node;
    this.#first = lab.state;
  }

  static async up(): Promise<EdgeUnderTest> {
    const lab = await EdgeLab.up(streams);
    const [node] = lab.nodes('kamailio');
    if (!node) throw new Error('the edge has no Kamailio');
    await lab.balancer.apply([node]);
    // One callee is enough.
    await lab.setNodeState('call-2', 'dead');
    return new EdgeUnderTest(lab, node);
  }

  async down(): Promise<void> {
    await this.#close();
    await this.#lab.down();
  }

  /** Puts the variant in the place of the one before. */
  async become(variant: Variant): Promise<void> {
    await this.#close();
    const lab = this.#lab;
    const policy = has(variant, 'srtp') ? secure.id : 'any';
    lab.state = {
      ...lab.state,
      policies: [...this.#first.policies, secure],
      sources: this.#first.sources.map(source => ({ ...source, policy })),
      subscribers: this.#first.subscribers.map(subscriber => ({ ...subscriber, policy })),
    };
    await lab.host.stop(this.#node.name);
    await lab.start(this.#node, this.#rendererOf(variant));
    this.#callee = await Sipp.uas({
      ...{ address: lab.address(calleeHost), scenario: callee(has(variant, 'audio'), ringMs) },
      deadlineMs: 3_600_000,
    });
    if (has(variant, 'tls'))
      this.#bridge = await TlsBridge.open(lab.address(callerHost(variant)), {
        ...lab.publicVip,
        port: streams.tls,
      });
    this.#variant = variant;
    const takesCalls = async (): Promise<boolean> => {
      const { calls, failed } = await this.offer(10, 1);
      return calls > 0 && failed === 0;
    };
    await waitFor(`${variant.name} to take calls`, takesCalls, { deadlineMs: 60_000, describe: () => lab.logs() });
  }

  /** Resolves when the last call is over. */
  async offer(rate: number, seconds: number): Promise<Load> {
    const variant = this.#variant;
    if (!variant) throw new Error('no variant runs');
    const sipp = await Sipp.uac({
      ...this.#callerOf(variant),
      ...{ rate, calls: Math.round(rate * seconds), times: true, lenient: true },
      deadlineMs: seconds * 1_000 + 40_000,
    });
    const { total, successful, ringingMs, answeredMs } = await sipp.finished();
    this.#lab.hep.length = 0;
    return {
      ...{ rate, calls: total, failed: total - successful, postDialMs: ringingMs },
      setUpMs: answeredMs.map(ms => ms - ringMs),
    };
  }

  async spent(): Promise<Spent> {
    const engines = this.#lab.nodes('rtpengine').map(({ name }) => this.#pid(name));
    return {
      kamailio: await cpuMsOf(await familyOf(this.#pid(this.#node.name))),
      rtpengine: await cpuMsOf(engines),
      machine: cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0),
    };
  }

  #pid(name: string): number {
    const running = this.#lab.host.process(name);
    if (!running) throw new Error(`${name} does not run`);
    return running.pid;
  }

  #callerOf(variant: Variant): Pick<SippUacOptions, 'address' | 'target' | 'service' | 'scenario' | 'transport'> {
    const isPhone = has(variant, 'password');
    const transport = has(variant, 'tls') ? 'TLS' : has(variant, 'tcp') ? 'TCP' : 'UDP';
    const audio = has(variant, 'srtp') ? 'RTP/SAVP' : has(variant, 'audio') ? 'RTP/AVP' : 'none';
    return {
      address: this.#lab.address(callerHost(variant)),
      target: this.#bridge?.address ?? this.#lab.publicVip,
      service: '70001',
      scenario: caller({
        ...{ transport, audio, holdMs, domain: labDomain, user: '1001' },
        ...(isPhone ? { password: 'alice-secret' } : {}),
      }),
      transport: transport === 'UDP' ? 'udp' : has(variant, 'handshakes') ? 'tcp-each' : 'tcp',
    };
  }

  #rendererOf(variant: Variant): NodeRenderer {
    const lab = this.#lab;
    const withStreams = has(variant, 'tcp') || has(variant, 'tls');
    const generated = new KamailioRenderer({
      ...lab.rendererOptions,
      plan: () => ({ ...lab.plan, streams: withStreams ? streams : {} }),
      homer: () => (has(variant, 'homer') ? `${lab.address(homerHost)}:9060` : undefined),
      connections: () => ({ mostConnections: 8_000, strangerSilenceSeconds: 30 }),
    });
    const edit = (cfg: string): string =>
      variant.on === 'bare'
        ? bareCfg(
            { external: this.#node.external ?? '', publicVip: lab.plan.publicVip, children: 4 },
            lab.address(calleeHost),
          )
        : pruned(cfg, variant);
    return {
      setup: (node, folder) => edited(generated.setup(node, folder), edit),
      voices: node => generated.voices(node),
    };
  }

  async #close(): Promise<void> {
    await this.#callee?.stop(1_000);
    await this.#bridge?.close();
    await this.#lab.endSessions();
    [this.#callee, this.#bridge] = [undefined, undefined];
  }
}

function callerHost(variant: Variant): number {
  return has(variant, 'password') ? phoneHost : trunkHost;
}

function edited(setup: NodeSetup, edit: (cfg: string) => string): NodeSetup {
  const files = setup.files.map(file =>
    file.path === 'kamailio.cfg' ? { ...file, content: edit(file.content) } : file,
  );
  return { ...setup, files };
}
