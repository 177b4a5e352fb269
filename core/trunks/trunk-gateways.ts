// Keeps what is known of every gateway: whether it answers; and says where a call to a trunk goes.
import type { TrunkConfig } from '../config/holdfast-config.js';
import type { Logger } from '../log.js';
import type { TrunkGateways as Service } from '../plugin-api.js';
import { afterCallFailed, afterProbe, mostMissed, newHealth, type GatewayHealth } from './gateway-health.js';
import { gatewaysOf, orderFor, type Gateway } from './gateway-list.js';
import { transportOf, type GatewayTls, type Transport } from './gateway-transport.js';
import type { HostStatus, TrunkNames } from './trunk-names.js';

export interface TrunkGatewaysOptions {
  readonly trunks: () => readonly TrunkConfig[];
  /** The SIP status that a gateway answers OPTIONS with; null: none in time. */
  readonly ask: (gateway: string, path: readonly string[]) => Promise<number | null>;
  /** To a gateway that has a connection. */
  readonly routeTo: (id: string, transport: Transport) => string;
  /** Why one that has a connection cannot be reached, in words; undefined where it can. */
  readonly trouble: (gateway: string, tls: GatewayTls | undefined) => Promise<string | undefined>;
  readonly names: Pick<TrunkNames, 'srv' | 'host' | 'avoid'>;
  readonly log: Logger;
}

/** Of one gateway, as the command line shows it. */
export interface GatewayStatus extends Gateway {
  readonly health: GatewayHealth;
  /** Of one that has a name. */
  readonly host: HostStatus | undefined;
}

const tickMs = 250;

export class TrunkGateways implements Service {
  readonly #options: TrunkGatewaysOptions;
  readonly #health = new Map<string, GatewayHealth>();
  readonly #asking = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TrunkGatewaysOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.tick(Date.now()), tickMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Those that live, as one call tries them. With none alive all are: a late answer to OPTIONS must not cost a call. */
  gateways(trunk: string): readonly string[] {
    const all = this.list(trunk);
    const alive = all.filter(({ health }) => health.state !== 'down');
    return orderFor(alive.length > 0 ? alive : all, Math.random).map(({ address }) => address);
  }

  /** The Route by which the edge sends a call to one that has a connection; none for others. */
  readonly pathTo = (trunk: string, gateway: string): readonly string[] => {
    const { id, address } = this.list(trunk).find(one => one.address === gateway) ?? {};
    return id === undefined || address === undefined ? [] : [this.#options.routeTo(id, transportOf(address))];
  };

  /** Bound, as it is handed around. */
  readonly list = (trunk: string): readonly GatewayStatus[] => {
    const config = this.#options.trunks().find(({ name }) => name === trunk);
    const { names } = this.#options;
    return gatewaysOf(config?.gateways ?? [], names.srv).map(one => ({
      ...one,
      health: this.#health.get(one.address) ?? newHealth(0),
      host: names.host(one.address),
    }));
  };

  /** A call to this gateway has had no answer, or one that says that it takes none. */
  callFailed(gateway: string): void {
    const health = this.#health.get(gateway);
    if (health) this.#health.set(gateway, afterCallFailed(health, Date.now()));
  }

  /** Asks what is due. */
  tick(nowMs: number): void {
    const known = new Set<string>();
    for (const { name, probeSeconds } of this.#options.trunks()) {
      if (probeSeconds === 0) continue;
      for (const { address, health } of this.list(name)) {
        known.add(address);
        if (!this.#health.has(address)) this.#health.set(address, newHealth(nowMs));
        if (health.nextMs <= nowMs) void this.#ask(name, address, probeSeconds);
      }
    }
    for (const gone of this.#health.keys()) if (!known.has(gone)) this.#health.delete(gone);
  }

  async #ask(trunk: string, gateway: string, everySeconds: number): Promise<void> {
    if (this.#asking.has(gateway)) return;
    this.#asking.add(gateway);
    const sipStatus = await this.#options
      .ask(gateway, this.pathTo(trunk, gateway))
      .finally(() => this.#asking.delete(gateway));
    const before = this.#health.get(gateway);
    if (!before) return;
    const after = afterProbe(before, sipStatus, Date.now(), { everySeconds });
    this.#health.set(gateway, after);
    if (after.missed > 0 && after.missed % mostMissed === 0) this.#options.names.avoid(gateway);
    if (after.state === before.state) return;
    const why = after.state === 'down' ? await this.#why(trunk, gateway, sipStatus) : '';
    const fields = { trunk, gateway, state: after.state, sipStatus };
    if (after.state === 'down') this.#options.log.warn(fields, `gateway ${gateway} of ${trunk} is down: ${why}`);
    else this.#options.log.info(fields, `gateway ${gateway} of ${trunk} is ${after.state}`);
  }

  async #why(trunk: string, gateway: string, sipStatus: number | null): Promise<string> {
    const known = this.list(trunk).find(({ address }) => address === gateway);
    if (known?.host?.address === null) return `nobody knows the address of ${known.host.name}`;
    if (sipStatus !== null) return `it answers OPTIONS with ${sipStatus}`;
    const silence = 'it does not answer OPTIONS';
    if (known?.id === undefined) return silence;
    const at = known.host?.address ? gateway.replace(/^[^:]+/, known.host.address) : gateway;
    return (await this.#options.trouble(at, known.tls)) ?? silence;
  }
}
