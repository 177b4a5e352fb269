// An edge for tests: three real Kamailios behind the real balancer, two real RTPEngines, scripted endpoints for the rest.
import { createSocket, type Socket } from 'node:dgram';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { ownCertificate } from '../../core/farm/edge-certificate.js';
import { digestsOf } from '../../core/farm/edge-settings.js';
import { planFarm, ports, type FarmNode, type FarmPlan, type StreamPorts } from '../../core/farm/farm-plan.js';
import { LocalHost } from '../../core/host/local-host.js';
import { sessionOf, signal } from '../../core/host/process-table.js';
import { NftBalancer } from '../../core/host/nft-balancer.js';
import type { ApplyExtent, EdgeCertificate, EdgeState } from '../../core/ports/edge.js';
import type { NodeRenderer, NodeSetup } from '../../core/ports/node-host.js';
import type { WatchedNode } from '../../core/sentinel/sentinel-protocol.js';
import { decodeHep, type HepPacket } from '../../core/trace/hep-packet.js';
import { KamailioFarm } from '../../kamailio/edge-farm.js';
import type { EdgeSecrets } from '../../kamailio/edge-model.js';
import { KamailioRenderer, type KamailioRendererOptions } from '../../kamailio/kamailio-renderer.js';
import { tlsAfterFork } from '../../kamailio/tls-after-fork.js';
import { EnginePool } from '../../rtpengine/node-pool.js';
import { EngineRenderer } from '../../rtpengine/rtpengine-process.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { plainEdge } from '../harness/plain-edge.js';
import type { IncomingCall } from '../harness/incoming-call.js';
import { SipEndpoint, type EndpointOptions } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

export const labSecrets: EdgeSecrets = {
  routeKeys: {
    current: 'k2',
    keys: { k1: 'a-route-key-about-to-leave-0123456', k2: 'a-route-key-of-the-lab-0123456789' },
  },
  maskKey: 'labMaskKey',
  nonceSecret: 'labNonceSecret',
  lineKey: 'labLineKey',
  hepKey: 'labHepKey',
};
export const labDomain = 'holdfast.test';
/** A server that stands still for a second is asked on. */
const patienceMs = 5_000;

export class EdgeLab {
  readonly plan: FarmPlan;
  readonly host: LocalHost;
  readonly balancer: NftBalancer;
  readonly edge: KamailioFarm;
  readonly media: EnginePool;
  /** Copies of SIP messages that the Kamailios sent to the daemon's address. */
  readonly hep: HepPacket[] = [];
  readonly rendererOptions: KamailioRendererOptions;
  readonly renderer: KamailioRenderer;
  state: EdgeState;
  readonly #folder: string;
  readonly #endpoints: SipEndpoint[] = [];
  #hepSocket: Socket | undefined;
  #certificate: EdgeCertificate = { certificate: '', key: '' };

  private constructor(folder: string, prefix: string, streams: StreamPorts) {
    this.#folder = folder;
    const sizes = { kamailio: 3, call: 2, conference: 1, registrar: 1, rtpengine: 2 };
    this.plan = planFarm(`${prefix}.0/24`, sizes, {}, streams);
    this.host = new LocalHost(folder);
    this.balancer = new NftBalancer(this.plan);
    this.media = new EnginePool(this.plan.nodes, { deadlineMs: patienceMs });
    this.state = this.#firstState();
    this.rendererOptions = {
      plan: () => this.plan,
      domain: () => labDomain,
      leastExpiresSeconds: () => 60,
      homer: () => undefined,
      secrets: labSecrets,
      state: () => this.state,
      connections: () => ({ mostConnections: 200, strangerSilenceSeconds: 2 }),
      certificate: () => this.#certificate,
      tlsAfterFork,
    };
    this.renderer = new KamailioRenderer(this.rendererOptions);
    this.edge = new KamailioFarm({
      instances: () => this.nodes('kamailio'),
      addressOf: name => this.plan.nodes.find(node => node.name === name)?.address,
      daemonAddress: this.plan.daemonAddress,
      secrets: labSecrets,
      writeFiles: (node, files) => this.host.writeFiles(node, files, userInfo().username),
    });
  }

  static async up(streams: StreamPorts = {}): Promise<EdgeLab> {
    const subnet = await freeSubnet();
    const lab = new EdgeLab(
      await mkdtemp(join(tmpdir(), 'holdfast-edge-')),
      subnet.host(0).replace(/\.0$/, ''),
      streams,
    );
    try {
      await lab.#start(streams);
    } catch (error) {
      await lab.down().catch(() => undefined);
      throw error;
    }
    return lab;
  }

  async #start(streams: StreamPorts): Promise<void> {
    await this.#listenForHep();
    if (streams.tls !== undefined) {
      const names = { domain: labDomain, publicVip: this.plan.publicVip };
      this.#certificate = await ownCertificate(join(this.#folder, 'certificate'), names);
    }
    for (const node of this.nodes('rtpengine')) await this.start(node);
    for (const node of this.nodes('kamailio')) await this.start(node);
    await waitFor(
      'every Kamailio to hold its lists and tables',
      async () => {
        const reports = await this.edge.apply(this.state);
        if (reports.every(report => report.equal)) return true;
        throw new Error(JSON.stringify(reports));
      },
      { deadlineMs: 15_000, describe: () => this.logs() },
    );
    await this.balancer.apply(this.nodes('kamailio'));
  }

  async down(): Promise<void> {
    if (process.env['HOLDFAST_KEEP_LOGS'])
      await cp(this.#folder, process.env['HOLDFAST_KEEP_LOGS'], { recursive: true });
    try {
      await this.balancer.remove();
      await Promise.all(this.plan.nodes.map(node => this.host.stop(node.name)));
    } finally {
      this.edge.close();
      this.media.close();
      this.host.close();
      this.#hepSocket?.close();
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  nodes(farm: FarmNode['farm']): FarmNode[] {
    return this.plan.nodes.filter(node => node.farm === farm);
  }

  address(host: number): string {
    return this.plan.daemonAddress.replace(/\d+$/, String(host));
  }

  get publicVip(): { address: string; port: number } {
    return { address: this.plan.publicVip, port: ports.sip };
  }

  get privateVip(): { address: string; port: number } {
    return { address: this.plan.privateVip, port: ports.sip };
  }

  /** An endpoint at this host of the subnet, until `closeEndpoints`. */
  async open({ host, ...options }: Omit<EndpointOptions, 'address'> & { host: number }): Promise<SipEndpoint> {
    const endpoint = await SipEndpoint.open({ ...options, address: this.address(host) });
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  /** Two that stand where the call nodes' Asterisks would: whichever the slots choose takes the call. */
  async openNodes(take?: (call: IncomingCall) => void | Promise<void>): Promise<SipEndpoint[]> {
    const nodes = [await this.open({ host: 31, codecs: ['PCMU'] }), await this.open({ host: 32, codecs: ['PCMU'] })];
    if (take) for (const node of nodes) node.onInvite(take);
    return nodes;
  }

  async closeEndpoints(): Promise<void> {
    await Promise.all(this.#endpoints.splice(0).map(one => one.close()));
  }

  async start(node: FarmNode, renderer = this.#rendererOf(node)): Promise<void> {
    await this.host.start(node.name, asMe(renderer.setup(node, this.host.folder(node.name))));
    // Who calls an RTPEngine that does not listen yet leaves it out for a second.
    if (node.farm === 'rtpengine')
      await this.#patiently(`${node.name} to answer`, () => this.media.statistics(node.name));
  }

  /** To all processes of a node: a Kamailio has many. */
  signal(node: FarmNode, name: NodeJS.Signals): void {
    const leader = this.host.process(node.name);
    for (const { pid } of leader ? sessionOf(leader) : []) signal(pid, name);
  }

  /** As the farm's keeper has the sentinel watch it. */
  watched(node: FarmNode): WatchedNode {
    const process = this.host.process(node.name);
    if (!process) throw new Error(`${node.name} does not run`);
    return { name: node.name, ...process, voices: this.#rendererOf(node).voices(node) };
  }

  /** Changes the state and brings every Kamailio up to date; one that was late is told again, as the farm's keeper does. */
  async apply(change: Partial<EdgeState>, extent?: ApplyExtent): Promise<void> {
    this.state = { ...this.state, ...change };
    await this.#patiently('all Kamailios to be equal', async () => {
      const reports = await this.edge.apply(this.state, extent);
      const bad = reports.filter(report => !report.equal);
      if (bad.length > 0) throw new Error(JSON.stringify(bad));
    });
  }

  async setNodeState(name: string, state: EdgeState['nodes'][number]['state'], extent?: ApplyExtent): Promise<void> {
    const nodes = this.state.nodes.map(node => (node.name === name ? { ...node, state } : node));
    await this.apply({ nodes }, extent);
  }

  /** A counter summed over all instances. */
  async counter(name: string): Promise<number> {
    const ask = (node: FarmNode): Promise<Readonly<Record<string, number>>> =>
      this.#patiently(`the counters of ${node.name}`, () => this.edge.counters(node.name));
    const all = await Promise.all(this.nodes('kamailio').map(ask));
    return all.reduce((sum, counters) => sum + (counters[name] ?? 0), 0);
  }

  async sessions(): Promise<number> {
    const all = await Promise.all(this.nodes('rtpengine').map(node => this.media.statistics(node.name)));
    return all.reduce((sum, { sessions }) => sum + sessions, 0);
  }

  /** What one test leaves behind must not fail the next. */
  async endSessions(): Promise<void> {
    for (const node of this.nodes('rtpengine'))
      for (const callId of await this.media.list(node.name, 100)) await this.media.delete(node.name, callId);
  }

  async logs(): Promise<string> {
    const tails = this.nodes('kamailio').map(async node => `${node.name}:\n${await this.host.logTail(node.name, 15)}`);
    return (await Promise.all(tails)).join('\n');
  }

  async #patiently<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const asked = await waitFor(what, async () => ({ answer: await ask() }), { deadlineMs: patienceMs });
    return asked.answer;
  }

  #rendererOf(node: FarmNode): NodeRenderer {
    return node.farm === 'kamailio' ? this.renderer : new EngineRenderer();
  }

  #firstState(): EdgeState {
    const engines = this.nodes('rtpengine');
    return {
      ...plainEdge,
      nodes: this.plan.nodes.map(({ name, farm, address }) => ({ name, farm, address, state: 'up' })),
      engines: engines.map(({ name, index }) => ({ id: `e${index}-1`, node: name, state: 'up' })),
      emergency: ['112'],
      sources: [200, 201, 208].map(host => ({ address: this.address(host), trunk: 'lab', policy: 'any' })),
      subscribers: [subscriber('1001', 'alice-secret')],
      policies: [
        { id: 'any', codecs: ['opus', 'G722', 'PCMA', 'PCMU'] },
        { id: 'pcma', codecs: ['PCMA'] },
      ],
      fenced: [],
    };
  }

  async #listenForHep(): Promise<void> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
    socket.on('message', data => {
      const decoded = decodeHep(data);
      if (decoded.ok) this.hep.push(decoded.packet);
    });
    await new Promise<void>(resolve => socket.bind(ports.hep, this.plan.daemonAddress, resolve));
    this.#hepSocket = socket;
  }
}

/** Requests that an endpoint had to send again: who answers without state has counted each copy. */
export function sentAgain(by: SipEndpoint): number {
  return by.ladder.rows().filter(row => row.retransmission && row.message.isRequest).length;
}

/** Waits until each copy of a callee's 200 has met its ACK: none is under way any more. */
export async function settled(callee: SipEndpoint, callId: string): Promise<void> {
  const isSettled = (): boolean => {
    const rows = callee.ladder.rows(callId).map(({ message }) => message);
    const answers = rows.filter(({ status, method }) => status === 200 && method === 'INVITE').length;
    return answers > 0 && rows.filter(({ isRequest, method }) => isRequest && method === 'ACK').length >= answers;
  };
  await waitFor('each 200 to be acknowledged', isSettled, { describe: () => callee.ladder.print(callId) });
}

function subscriber(user: string, secret: string): EdgeState['subscribers'][number] {
  return { user, realm: labDomain, ...digestsOf(user, labDomain, secret), identities: [`+49${user}`], policy: 'any' };
}

/** The farm's system users are made by the set-up; a test runs the servers as whoever runs the test. */
function asMe(setup: NodeSetup): NodeSetup {
  return { ...setup, process: { ...setup.process, user: userInfo().username } };
}
