// The Kamailio farm as core sees it: one state, held equal by every instance.
import { setTimeout as delay } from 'node:timers/promises';
import { HoldfastError, messageOf } from '../core/errors.js';
import { ports, type FarmNode } from '../core/farm/farm-plan.js';
import type {
  ApplyExtent,
  DispatcherReport,
  EdgeBan,
  EdgeCertificate,
  EdgeFarm,
  EdgeState,
  InstanceReport,
  OfferedCalls,
  ShedShare,
} from '../core/ports/edge.js';
import type { NodeFile } from '../core/ports/node-host.js';
import { certificateFiles } from './cfg-tls.js';
import { renderContent, type EdgeContent } from './edge-content.js';
import { EdgeInstance } from './edge-instance.js';
import type { EdgeSecrets } from './edge-model.js';
import { JsonrpcClient } from './jsonrpc-client.js';
import { checkShown } from './shown-certificate.js';
import { kamailioUser } from './kamailio-renderer.js';

export interface KamailioFarmOptions {
  /** The instances there are now. */
  readonly instances: () => readonly FarmNode[];
  /** Address of a node by name, for pins. */
  readonly addressOf: (node: string) => string | undefined;
  readonly daemonAddress: string;
  readonly secrets: EdgeSecrets;
  /** Where the instances take TLS. */
  readonly tlsPort?: number;
  readonly writeFiles: (node: string, files: readonly NodeFile[], user: string) => Promise<void>;
}

/** How much longer than those that are up an instance that is not may take over a change, ms, before nobody waits for it any more. */
const lateMs = 50;

export class KamailioFarm implements EdgeFarm {
  readonly #options: KamailioFarmOptions;
  readonly #instances = new Map<string, EdgeInstance>();
  readonly #pins = new Map<string, { readonly destination: string; readonly untilMs: number }>();
  /** Instances that were equal at their last apply: the others lack the pins too. */
  readonly #equal = new Set<string>();
  /** Instances that are still at an earlier change. */
  readonly #busy = new Set<string>();
  #content: EdgeContent | undefined;

  constructor(options: KamailioFarmOptions) {
    this.#options = options;
  }

  async apply(state: EdgeState, extent: ApplyExtent = 'all'): Promise<readonly InstanceReport[]> {
    const content = renderContent(state, this.#options.secrets);
    this.#content = content;
    const up = new Set(state.nodes.filter(isServing).map(({ name }) => name));
    const isUp = ({ name }: EdgeInstance): boolean => up.has(name);
    const applied = new Map<EdgeInstance, Promise<InstanceReport>>();
    for (const instance of this.#all()) {
      if (!isUp(instance)) this.#equal.delete(instance.name);
      if (isUp(instance) || !this.#busy.has(instance.name))
        applied.set(instance, this.#applyOne(instance, content, state.fenced.includes(instance.name), extent));
    }
    const waitedFor = [...applied].filter(([instance]) => up.size === 0 || isUp(instance)).map(([, report]) => report);
    const late = Promise.all(waitedFor).then(() => delay(lateMs, undefined));
    return Promise.all(
      this.#all().map(async (instance): Promise<InstanceReport> => {
        const report = applied.get(instance);
        const inTime = report && (waitedFor.includes(report) ? report : Promise.race([report, late]));
        const { name } = instance;
        return (await inTime) ?? { instance: name, equal: false, error: `${name} has not answered to a change yet` };
      }),
    );
  }

  async dispatcher(): Promise<readonly DispatcherReport[]> {
    return Promise.all(
      this.#all().map(async (instance): Promise<DispatcherReport> => {
        try {
          const rows = await instance.list();
          const drift = this.#content ? await instance.diff(this.#content) : [];
          return { instance: instance.name, reachable: true, rows, drift };
        } catch (error) {
          return { instance: instance.name, reachable: false, rows: [], drift: [messageOf(error)] };
        }
      }),
    );
  }

  async ready(instance: string): Promise<boolean> {
    const content = this.#content;
    if (!content) return false;
    const drift = await this.#instance(instance)
      .diff(content)
      .catch((error: unknown) => [messageOf(error)]);
    return drift.length === 0;
  }

  async pin(callId: string, node: string, seconds: number): Promise<void> {
    const address = this.#options.addressOf(node);
    if (address === undefined) return;
    const destination = `sip:${address}:${ports.sip}`;
    this.#pins.set(callId, { destination, untilMs: Date.now() + seconds * 1000 });
    await this.#onEqual(instance => instance.traffic.pin(callId, destination, seconds));
  }

  async unpin(callId: string): Promise<void> {
    if (!this.#pins.delete(callId)) return;
    await this.#onEqual(instance => instance.traffic.unpin(callId));
  }

  bans(instance: string): Promise<readonly EdgeBan[]> {
    return this.#instance(instance).traffic.bans();
  }

  ban(instance: string, ban: EdgeBan): Promise<void> {
    return this.#instance(instance).traffic.ban(ban);
  }

  unban(instance: string, source: string): Promise<void> {
    return this.#instance(instance).traffic.unban(source);
  }

  trust(instance: string, address: string, seconds: number): Promise<void> {
    return this.#instance(instance).traffic.trust(address, seconds);
  }

  move(instance: string, from: string, to: string): Promise<void> {
    return this.#instance(instance).traffic.move(from, to);
  }

  offeredCalls(instance: string, nodes: readonly string[]): Promise<OfferedCalls> {
    return this.#instance(instance).traffic.offeredCalls(nodes);
  }

  shed(instance: string, share: ShedShare, seconds: number): Promise<void> {
    return this.#instance(instance).traffic.shed(share, seconds);
  }

  async certify(certificate: EdgeCertificate): Promise<void> {
    const files = certificateFiles(certificate);
    const results = await Promise.allSettled(
      this.#options.instances().map(async ({ name, address, external = address }) => {
        await this.#instance(name).certify(files);
        const { tlsPort: port = 0, daemonAddress: from } = this.#options;
        await checkShown(name, certificate, { address: external, port, from });
      }),
    );
    const failed = results.find(result => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  counters(instance: string): Promise<Readonly<Record<string, number>>> {
    return this.#instance(instance).traffic.counters();
  }

  close(): void {
    for (const instance of this.#instances.values()) instance.close();
    this.#instances.clear();
  }

  async #applyOne(
    instance: EdgeInstance,
    content: EdgeContent,
    isFenced: boolean,
    extent: ApplyExtent,
  ): Promise<InstanceReport> {
    this.#busy.add(instance.name);
    try {
      // Nobody waits for what cannot arrive.
      if (isFenced) throw new HoldfastError('RPC_TIMEOUT', `${instance.name} is fenced`);
      // One that was not equal may have lost all that it held.
      if (extent === 'changes' && this.#equal.has(instance.name)) await instance.applyChanges(content);
      else await instance.apply(content);
      if (!this.#equal.has(instance.name)) await this.#pushPins(instance);
      this.#equal.add(instance.name);
      return { instance: instance.name, equal: true };
    } catch (error) {
      this.#equal.delete(instance.name);
      return { instance: instance.name, equal: false, error: messageOf(error) };
    } finally {
      this.#busy.delete(instance.name);
    }
  }

  async #pushPins(instance: EdgeInstance): Promise<void> {
    const now = Date.now();
    for (const [callId, { destination, untilMs }] of this.#pins) {
      if (untilMs > now) await instance.traffic.pin(callId, destination, Math.ceil((untilMs - now) / 1000));
      else this.#pins.delete(callId);
    }
  }

  /** On every instance that takes traffic; one that is down gets its pins when it is equal again. */
  async #onEqual(work: (instance: EdgeInstance) => Promise<unknown>): Promise<void> {
    const equal = this.#all().filter(instance => this.#equal.has(instance.name));
    await Promise.allSettled(equal.map(work));
  }

  #all(): EdgeInstance[] {
    return this.#options.instances().map(node => this.#instance(node.name));
  }

  #instance(name: string): EdgeInstance {
    const known = this.#instances.get(name);
    if (known) return known;
    const node = this.#options.instances().find(one => one.name === name);
    if (!node) throw new HoldfastError('RPC_TIMEOUT', `there is no Kamailio named ${name}`);
    const instance = new EdgeInstance({
      name,
      client: new JsonrpcClient({
        address: node.address,
        port: ports.rpc,
        localAddress: this.#options.daemonAddress,
      }),
      writeFiles: files => this.#options.writeFiles(name, files, kamailioUser),
    });
    this.#instances.set(name, instance);
    return instance;
  }
}

function isServing({ farm, state }: EdgeState['nodes'][number]): boolean {
  return farm === 'kamailio' && (state === 'up' || state === 'draining');
}
