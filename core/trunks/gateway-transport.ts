// How a gateway is reached: by UDP, or by a connection (RFC 3261 §18, RFC 3263 §4.1), and what the edge must know of it then.
import { createHash } from 'node:crypto';

export type Transport = 'udp' | 'tcp' | 'tls';

/** What is asked of a gateway's certificate. */
export interface GatewayTls {
  /** The name by which it is asked for, and which its certificate must have. */
  readonly name: string;
  /** False: whoever answers there is believed. */
  readonly verify: boolean;
  /** PEM, of those whose signatures count; undefined: those of the system. */
  readonly authorities?: string;
}

export const defaultPorts: Readonly<Record<Transport, number>> = { udp: 5060, tcp: 5060, tls: 5061 };

/** RFC 3263 §4.1: names whose SRV records are looked for. */
export const srvPrefixes: Readonly<Record<Transport, string>> = {
  udp: '_sip._udp',
  tcp: '_sip._tcp',
  tls: '_sips._tcp',
};

/** `host:port` as it stands in a SIP URI: UDP is what a URI without a word on it means. */
export function withTransport(hostPort: string, transport: Transport): string {
  return transport === 'udp' ? hostPort : `${hostPort};transport=${transport}`;
}

/** The transport of a gateway's address as `withTransport` writes it. */
export function transportOf(address: string): Transport {
  const found = /;transport=(tcp|tls)$/.exec(address)?.[1];
  return found === 'tcp' || found === 'tls' ? found : 'udp';
}

/** Names a gateway to the edge, and in the Route that its own side sees: it says nothing of the config. */
export function gatewayId(trunk: string, written: string): string {
  return createHash('sha256').update(`${trunk}\n${written}`).digest('hex').slice(0, 10);
}
