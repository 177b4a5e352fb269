// Keeps what is known of every gateway: its SRV records, and whether it answers; and says where a call to a trunk goes.
import { resolveSrv } from 'node:dns/promises';
import type { TrunkConfig } from '../config/holdfast-config.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { TrunkGateways as Service } from '../plugin-api.js';
import { afterCallFailed, afterProbe, newHealth, type GatewayHealth } from './gateway-health.js';
import { gatewaysOf, orderFor, type Gateway, type SrvRecord } from './gateway-list.js';

export interface TrunkGatewaysOptions {
  readonly trunks: () => readonly TrunkConfig[];
  /** The SIP status that a gateway answers OPTIONS with; null: none in time. */
  readonly ask: (gateway: string) => Promise<number | null>;
  /** Default: the machine's DNS. */
  readonly resolve?: (name: string) => Promise<readonly SrvRecord[]>;
  readonly log: Logger;
}

/** Of one gateway, as the command line shows it. */
export interface GatewayStatus extends Gateway {
  readonly health: GatewayHealth;
}

const tickMs = 250;
/** DNS tells no time to live of SRV records here. */
const resolveEveryMs = 60_000;

export class TrunkGateways implements Service {
  readonly #options: TrunkGatewaysOptions;
  readonly #health = new Map<string, GatewayHealth>();
  readonly #asking = new Set<string>();
  readonly #records = new Map<string, readonly SrvRecord[]>();
  readonly #resolveAtMs = new Map<string, number>();
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

  /** Bound, as it is handed around. */
  readonly list = (trunk: string): readonly GatewayStatus[] => {
    const config = this.#options.trunks().find(({ name }) => name === trunk);
    const gateways = gatewaysOf(config?.gateways ?? [], srv => this.#records.get(srv) ?? []);
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
      for (const { srv } of gateways) if (srv !== undefined) this.#resolve(srv, nowMs);
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
    const sipStatus = await this.#options.ask(gateway).finally(() => this.#asking.delete(gateway));
    const before = this.#health.get(gateway);
    if (!before) return;
    const after = afterProbe(before, sipStatus, Date.now(), { everySeconds });
    this.#health.set(gateway, after);
    if (after.state === before.state) return;
    const why = sipStatus === null ? 'it does not answer OPTIONS' : `it answers OPTIONS with ${sipStatus}`;
    const fields = { trunk, gateway, state: after.state, sipStatus };
    if (after.state === 'down') this.#options.log.warn(fields, `gateway ${gateway} of ${trunk} is down: ${why}`);
    else this.#options.log.info(fields, `gateway ${gateway} of ${trunk} is ${after.state}`);
  }

  /** What was known stays where DNS fails. */
  #resolve(srv: string, nowMs: number): void {
    if ((this.#resolveAtMs.get(srv) ?? 0) > nowMs) return;
    this.#resolveAtMs.set(srv, nowMs + resolveEveryMs);
    const { resolve = resolveSrv, log } = this.#options;
    resolve(`_sip._udp.${srv}`).then(
      records => this.#records.set(srv, records),
      (error: unknown) => {
        if (isNone(error)) this.#records.delete(srv);
        else log.warn({ name: srv, error }, `SRV records of ${srv} are not known: ${messageOf(error)}`);
      },
    );
  }
}

/** The name has none. */
function isNone(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENODATA' || code === 'ENOTFOUND';
}
