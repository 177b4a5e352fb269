// The farm as plain values: which nodes there are, on which addresses, in which state.
import { HoldfastError } from '../errors.js';
import { withTransport, type Transport } from '../trunks/gateway-transport.js';

/** The five kinds of server a farm is made of. */
export type FarmName = 'kamailio' | 'call' | 'conference' | 'registrar' | 'rtpengine';

export const farmNames: readonly FarmName[] = ['kamailio', 'rtpengine', 'registrar', 'call', 'conference'];

/** What the daemon believes of a node. A draining node carries on with its calls and gets no new ones. */
export type NodeState = 'up' | 'suspect' | 'dead' | 'draining';

/** One server of the farm. `name` is `<farm>-<index>`, index from 1. */
export interface FarmNode {
  readonly name: string;
  readonly farm: FarmName;
  readonly index: number;
  /** The inside address: SIP and ARI of an Asterisk, internal side of a Kamailio or RTPEngine. */
  readonly address: string;
  /** The outside address of a Kamailio or RTPEngine. */
  readonly external?: string;
}

/** A farm laid out on its /24 subnet. All addresses are dotted IPv4. */
export interface FarmPlan {
  /** e.g. `127.40.0.0/24` */
  readonly subnet: string;
  /** Where the daemon hears HEP and sends probes from. */
  readonly daemonAddress: string;
  readonly publicVip: string;
  readonly privateVip: string;
  /** What the public VIP takes beside UDP. */
  readonly streams: StreamPorts;
  readonly nodes: readonly FarmNode[];
}

/** Ports of the public VIP; without one there is no such transport. */
export interface StreamPorts {
  readonly tcp?: number;
  readonly tls?: number;
  /** Most connections from one address at a time. */
  readonly perSource?: number;
}

/** How many nodes of each farm; 1 to 9 of Kamailio, registrar and RTPEngine, 1 to 19 of call and conference. */
export type FarmSizes = Readonly<Record<FarmName, number>>;

/** First host octet of each farm, inside and outside: node i sits on base + i. */
const bases: Readonly<Record<FarmName, { inside: number; outside?: number; most: number }>> = {
  kamailio: { outside: 10, inside: 20, most: 9 },
  call: { inside: 30, most: 19 },
  conference: { inside: 50, most: 19 },
  registrar: { inside: 70, most: 9 },
  rtpengine: { outside: 80, inside: 90, most: 9 },
};

/** How many nodes of this farm have an address. */
export function mostNodes(farm: FarmName): number {
  return bases[farm].most;
}

/** `peer`: where a Kamailio takes what another one got for a connection that it does not have. */
export const ports = { sip: 5060, peer: 5062, ari: 8088, rpc: 8060, ng: 2223, hep: 9060 } as const;
export const rtpPorts = { min: 20000, max: 29999 } as const;

/** `10.0.0.0/24` + 7 → `10.0.0.7`. */
export function subnetAddress(subnet: string, host: number): string {
  const match = /^(\d{1,3}\.\d{1,3}\.\d{1,3})\.0\/24$/.exec(subnet);
  if (!match) {
    throw new HoldfastError('CONFIG_INVALID', `farm subnet "${subnet}" is not a /24 network`, {
      remedy: 'write it as a.b.c.0/24, for example 127.40.0.0/24',
    });
  }
  return `${match[1] ?? ''}.${host}`;
}

/** Lays a farm of these sizes out on its subnet. Pure. Throws CONFIG_INVALID for a size out of range. */
export function planFarm(
  subnet: string,
  sizes: FarmSizes,
  vips: { public?: string; private?: string } = {},
  streams: StreamPorts = {},
): FarmPlan {
  const nodes = farmNames.flatMap(farm => {
    const { most } = bases[farm];
    if (sizes[farm] > most) throw new HoldfastError('CONFIG_INVALID', `farm.${farm}: at most ${most} nodes fit`);
    return Array.from({ length: sizes[farm] }, (_, i) => nodeAt(subnet, farm, i + 1));
  });
  return {
    subnet,
    daemonAddress: subnetAddress(subnet, 2),
    publicVip: vips.public ?? subnetAddress(subnet, 100),
    privateVip: vips.private ?? subnetAddress(subnet, 101),
    streams,
    nodes,
  };
}

function nodeAt(subnet: string, farm: FarmName, index: number): FarmNode {
  const { inside, outside } = bases[farm];
  const external = outside === undefined ? {} : { external: subnetAddress(subnet, outside + index) };
  return { name: `${farm}-${index}`, farm, index, address: subnetAddress(subnet, inside + index), ...external };
}

/** The node that a farm on this subnet gives this name, whatever its size; undefined for what is none's. */
export function nodeNamed(subnet: string, name: string): FarmNode | undefined {
  const [farmName, index] = [name.replace(/-\d+$/, ''), Number(/-(\d+)$/.exec(name)?.[1] ?? 0)];
  const farm = farmNames.find(one => one === farmName);
  return farm !== undefined && index >= 1 && index <= bases[farm].most ? nodeAt(subnet, farm, index) : undefined;
}

/** Whether phones may come by a transport that has connections. */
export function hasStreams({ streams }: FarmPlan): boolean {
  return streams.tcp !== undefined || streams.tls !== undefined;
}

/** Where the public VIP takes this transport, as it stands in a SIP URI. */
export function publicAddress(
  { publicVip, streams }: Pick<FarmPlan, 'publicVip' | 'streams'>,
  transport: Transport,
): string {
  const port = transport === 'udp' ? ports.sip : (streams[transport] ?? ports.sip);
  return withTransport(`${publicVip}:${port}`, transport);
}

/** True for the farms whose nodes are Asterisks. */
export function isAsterisk(farm: FarmName): farm is 'call' | 'conference' | 'registrar' {
  return farm === 'call' || farm === 'conference' || farm === 'registrar';
}
