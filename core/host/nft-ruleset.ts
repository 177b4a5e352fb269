// The nftables rules of the local balancer as text: per packet, stateless, no connection tracking. Pure.
import { hasStreams, planFarm, ports, type FarmNode, type FarmPlan } from '../farm/farm-plan.js';

/** `holdfast_127_40_0_0`: farms side by side have a table each. */
export function tableName(subnet: string): string {
  return `holdfast_${subnet.replace(/\/.*$/, '').replaceAll('.', '_')}`;
}

/** The two VIPs, each with the Kamailio addresses behind it. */
export function vipMembers(
  plan: FarmPlan,
  members: readonly FarmNode[],
): readonly { vip: string; addresses: readonly string[] }[] {
  return [
    { vip: plan.publicVip, addresses: members.map(node => node.external ?? node.address) },
    { vip: plan.privateVip, addresses: members.map(node => node.address) },
  ];
}

/** Every address that a Kamailio of this subnet may have, member now or not: one that leaves may still be sending. */
function allKamailios(subnet: string): readonly FarmNode[] {
  return planFarm(subnet, { kamailio: 9, call: 0, conference: 0, registrar: 0, rtpengine: 0 }).nodes;
}

/** A VIP on an interface other than the loopback. */
export interface LanInterface {
  readonly name: string;
  /** Kept with the rules, for whoever removes them. */
  readonly comment: string;
}

/**
 * One nft transaction that replaces the farm's table: no packet meets a half-made one. With `lan`, 127.0.0.0/8 is closed
 * to packets from other interfaces, which route_localnet would let in.
 */
export function formatRuleset(
  plan: FarmPlan,
  members: readonly FarmNode[],
  lan?: LanInterface,
  fenced: readonly string[] = [],
): string {
  const table = tableName(plan.subnet);
  const possible = allKamailios(plan.subnet);
  const all = [
    plan.publicVip,
    plan.privateVip,
    ...possible.flatMap(node => [node.external ?? node.address, node.address]),
  ];
  const untracked = [
    `ip daddr { ${all.join(', ')} } udp dport ${ports.sip} notrack`,
    `ip saddr { ${all.join(', ')} } udp sport ${ports.sip} notrack`,
    // Connections are tracked, which would have the kernel remember every RTP stream too.
    ...(hasStreams(plan) ? ['saddr', 'daddr'].map(field => `ip ${field} ${plan.subnet} meta l4proto udp notrack`) : []),
  ];
  const balance = vipMembers(plan, members).flatMap(({ vip, addresses }) =>
    addresses.length === 0 ? [] : [`ip daddr ${vip} udp dport ${ports.sip} ip daddr set ${choice(addresses)}`],
  );
  // A user agent that answers to a packet's source would tie the transaction to one instance. What an instance sends to
  // the daemon (HEP and answers to probes come from the same port 5060) keeps the instance's address: it says who.
  const masquerade = vipMembers(plan, possible).map(
    ({ vip, addresses }) =>
      `ip saddr { ${addresses.join(', ')} } udp sport ${ports.sip} ip daddr != ${plan.daemonAddress} ip saddr set ${vip}`,
  );
  const guard = lan
    ? ['saddr', 'daddr'].map(field => `iifname "${lan.name}" ip ${field} 127.0.0.0/8 drop comment "${lan.comment}"`)
    : [];
  // Any use of connection tracking makes the kernel put fragments together before this hook: their later parts have no port.
  const defragment = lan ? ['ct state untracked accept'] : [];
  const streams = hasStreams(plan) ? connections(plan, members, possible) : undefined;
  const fence = ['ip saddr @fenced drop', 'ip daddr @fenced drop'];
  return [
    `add table ip ${table}`,
    `delete table ip ${table}`,
    `table ip ${table} {`,
    `  set fenced { type ipv4_addr; ${fenced.length === 0 ? '' : `elements = { ${fenced.join(', ')} }; `}}`,
    ...chain('members', [], balance),
    ...chain(
      'output',
      ['type filter hook output priority raw; policy accept;'],
      [...fence, ...untracked, 'jump members', ...masquerade],
    ),
    ...chain(
      'prerouting',
      ['type filter hook prerouting priority raw; policy accept;'],
      [...fence, ...guard, ...untracked, 'jump members', ...defragment],
    ),
    ...(streams ?? []),
    '}',
    '',
  ].join('\n');
}

/**
 * TCP by connection: the kernel remembers (conntrack) which instance has it, so one that exists stays where it is whatever becomes
 * of the members. What an instance opens itself comes from the VIP too.
 */
function connections(plan: FarmPlan, members: readonly FarmNode[], possible: readonly FarmNode[]): readonly string[] {
  const { publicVip, daemonAddress, streams } = plan;
  const arriving = `ip daddr ${publicVip} tcp dport { ${[streams.tcp, streams.tls].filter(Boolean).join(', ')} }`;
  const addresses = members.map(node => node.external ?? node.address);
  // Whoever has a connection to a fenced instance, that is known by its other end only, is told at its next packet: it would go on waiting for minutes.
  const lost = [
    `${arriving} ct reply ip saddr @fenced reject with tcp reset`,
    `ip daddr ${publicVip} ct original ip saddr @fenced meta l4proto tcp reject with tcp reset`,
  ];
  const spread = addresses.length === 0 ? [] : [`${arriving} dnat to ${choice(addresses)}`];
  const own = possible.map(node => node.external ?? node.address).join(', ');
  return [
    `  set crowd { type ipv4_addr; size 65536; flags dynamic; }`,
    `  set haste { type ipv4_addr; size 65536; flags dynamic, timeout; timeout 1m; }`,
    `  set more { type ipv4_addr; size 65536; flags dynamic, timeout; timeout 1m; }`,
    ...['output', 'prerouting'].flatMap(hook => [
      ...chain(
        `crowd_${hook}`,
        [`type filter hook ${hook} priority mangle; policy accept;`],
        [...lost, ...crowd(arriving, streams.perSource)],
      ),
      ...chain(`connect_${hook}`, [`type nat hook ${hook} priority -100; policy accept;`], spread),
    ]),
    ...chain(
      'connect_out',
      ['type nat hook postrouting priority srcnat; policy accept;'],
      [`ip saddr { ${own} } meta l4proto tcp ip daddr != ${daemonAddress} snat to ${publicVip}`],
    ),
  ];
}

/**
 * How many connections a source may have and begin. Nobody is refused for what somebody else sends in his name, so all is refused where TCP's handshake is done, once for each connection, by its mark.
 * That is where the kernel is assured of it, by an acknowledgement of our own sequence number (nf_conntrack_proto_tcp.c): *established* is whatever the other end sends after our SYN-ACK, a SYN again or an ACK of anything.
 */
function crowd(arriving: string, perSource: number | undefined): readonly string[] {
  if (perSource === undefined) return [];
  const shaken = `${arriving} ct status assured ct direction original ct mark`;
  const tenth = Math.ceil(perSource / 10);
  const over = (set: string, rate: string, burst: number): string =>
    `update @${set} { ip saddr limit rate over ${rate} burst ${burst} packets } reject with tcp reset`;
  return [
    // Linux 6.18 counts a connection by its first packet or not at all (nf_conncount.c), hence those that only somebody has begun in its name too: who seems to have too many is not refused, but slowed down.
    `${arriving} ct state new add @crowd { ip saddr ct count over ${perSource} } ct mark set 2`,
    `${shaken} 2 ${over('more', `${tenth}/minute`, tenth)}`,
    // A TLS handshake costs a Kamailio more than whoever asks for it. A whole office that has lost its connections is not in haste.
    `${shaken} { 0, 2 } ${over('haste', `${tenth}/second`, perSource)}`,
    `${shaken} { 0, 2 } ct mark set 1`,
  ];
}

/** Round robin by packet, or by connection; numgen refuses nothing, but one address needs no counter. */
function choice(addresses: readonly string[]): string {
  if (addresses.length === 1) return addresses[0] ?? '';
  return `numgen inc mod ${addresses.length} map { ${addresses.map((address, i) => `${i} : ${address}`).join(', ')} }`;
}

function chain(name: string, head: readonly string[], rules: readonly string[]): readonly string[] {
  return [`  chain ${name} {`, ...[...head, ...rules].map(line => `    ${line}`), '  }'];
}
