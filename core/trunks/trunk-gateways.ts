// Keeps what is known of every gateway: its SRV records, and whether it answers; and says where a call to a trunk goes.
import type { TrunkConfig } from '../config/holdfast-config.js';
import type { Logger } from '../log.js';
import type { TrunkGateways as Service } from '../plugin-api.js';
import { afterCallFailed, afterProbe, newHealth, type GatewayHealth } from './gateway-health.js';
import { gatewaysOf, orderFor, type Gateway } from './gateway-list.js';
import { transportOf, type GatewayTls, type Transport } from './gateway-transport.js';
import type { SrvRecords } from './srv-records.js';

export interface TrunkGatewaysOptions {
  readonly trunks: () => readonly TrunkConfig[];
  /** The SIP status that a gateway answers OPTIONS with; null: none in time. */
  readonly ask: (gateway: string, path: readonly string[]) => Promise<number | null>;
  /** To a gateway that has a connection. */
  readonly routeTo: (id: string, transport: Transport) => string;
  /** Why one that has a connection cannot be reached, in words; undefined where it can. */
  readonly trouble: (gateway: string, tls: GatewayTls | undefined) => Promise<string | undefined>;
  readonly srv: SrvRecords;
  readonly log: Logger;
}

/** Of one gateway, as the command line shows it. */
export interface GatewayStatus extends Gateway {
  readonly health: GatewayHealth;
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
    const gateways = gatewaysOf(config?.gateways ?? [], this.#options.srv.of);
    return gateways.map(one => ({ ...one, health: this.#health.get(one.address) ?? newHealth(0) }));
  };

  /** A call to this gateway has had no answer, or one that says that it takes none. */
  callFailed(gateway: string): void {
    const health = this.#health.get(gateway);
    if (health) this.#health.set(gateway, afterCallFailed(health, Date.now()));
  }

  /** Asks and resolves what is due. */
  tick(nowMs: number): void {
    const known = new Set<string>();
    for (const { name, gateways, probeSeconds } of this.#options.trunks()) {
      for (const { srv } of gateways) if (srv !== undefined) void this.#options.srv.refresh(srv, nowMs);
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
    if (after.state === before.state) return;
    const why = after.state === 'down' ? await this.#why(trunk, gateway, sipStatus) : '';
    const fields = { trunk, gateway, state: after.state, sipStatus };
    if (after.state === 'down') this.#options.log.warn(fields, `gateway ${gateway} of ${trunk} is down: ${why}`);
    else this.#options.log.info(fields, `gateway ${gateway} of ${trunk} is ${after.state}`);
  }

  async #why(trunk: string, gateway: string, sipStatus: number | null): Promise<string> {
    if (sipStatus !== null) return `it answers OPTIONS with ${sipStatus}`;
    const silence = 'it does not answer OPTIONS';
    const known = this.list(trunk).find(({ address }) => address === gateway);
    if (known?.id === undefined) return silence;
    return (await this.#options.trouble(gateway, known.tls)) ?? silence;
  }
}
