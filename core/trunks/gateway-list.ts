// The gateways of a trunk: which there are after DNS, which live, and in which order a call tries them. Pure.
import { transportOf, withTransport, type GatewayTls } from './gateway-transport.js';

/** As the config has it. */
export interface GatewayConfig {
  /** `host:port`, with `;transport=tcp` or `;transport=tls` behind it. */
  readonly address: string;
  /** By which the edge knows one that is reached by a connection; undefined for UDP. */
  readonly id?: string;
  readonly tls?: GatewayTls;
  /** Lower is tried first (RFC 2782). */
  readonly priority: number;
  /** Share of the calls among those of one priority. */
  readonly weight: number;
  /** Of a name without a port: that of its SRV records (RFC 3263 §4.2), `_sip._udp.NAME`. */
  readonly srv?: string;
}

/** One of them, where SRV records say that a name is several. */
export interface Gateway {
  readonly address: string;
  readonly id?: string;
  readonly tls?: GatewayTls;
  /** Of the config and, within it, of the SRV record. */
  readonly priority: readonly [number, number];
  readonly weight: number;
}

export interface SrvRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** A name without SRV records is a host (RFC 3263 §4.2). */
export function gatewaysOf(
  config: readonly GatewayConfig[],
  recordsOf: (srv: string) => readonly SrvRecord[],
): readonly Gateway[] {
  return config.flatMap(({ address, id, tls, priority, weight, srv }) => {
    const known = { ...(id === undefined ? {} : { id }), ...(tls === undefined ? {} : { tls }) };
    const records = srv === undefined ? [] : recordsOf(srv);
    if (records.length === 0) return [{ address, ...known, priority: [priority, 0] as const, weight }];
    return records.map(one => ({
      address: withTransport(`${one.name}:${one.port}`, transportOf(address)),
      ...known,
      priority: [priority, one.priority] as const,
      weight: one.weight,
    }));
  });
}

/** The order for one call: by priority, those of one priority by chance and weight. `random` gives 0 to below 1. */
export function orderFor<One extends Pick<Gateway, 'priority' | 'weight'>>(
  gateways: readonly One[],
  random: () => number,
): readonly One[] {
  const sorted = [...gateways].sort((a, b) => compare(a.priority, b.priority));
  const order: One[] = [];
  while (sorted.length > 0) {
    const [first] = sorted as [One];
    const equals = sorted.filter(one => compare(one.priority, first.priority) === 0);
    const chosen = chooseOne(equals, random());
    order.push(chosen);
    sorted.splice(sorted.indexOf(chosen), 1);
  }
  return order;
}

function compare(a: Gateway['priority'], b: Gateway['priority']): number {
  return a[0] - b[0] || a[1] - b[1];
}

/** One of weight 0 has a chance where all have none (RFC 2782). */
function chooseOne<One extends Pick<Gateway, 'weight'>>(equals: readonly One[], chance: number): One {
  const sum = equals.reduce((total, { weight }) => total + weight, 0);
  let left = chance * sum;
  const found = equals.find(({ weight }) => (left -= weight) < 0);
  return found ?? (equals[Math.floor(chance * equals.length)] as One);
}
