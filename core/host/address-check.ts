// Finds out before a start which of the farm's addresses others hold: some servers bind over each other without an error.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { HoldfastError } from '../errors.js';
import { isAsterisk, ports, type FarmNode, type FarmPlan, type StreamPorts } from '../farm/farm-plan.js';
import { commandOf } from './process-table.js';

export interface NeededAddress {
  readonly protocol: 'udp' | 'tcp';
  readonly address: string;
  readonly port: number;
  /** Who needs it, for the message: a node's name, `daemon`, `public VIP`. */
  readonly owner: string;
}

/** A socket that another process is bound to, as /proc/net has it. */
interface BoundSocket {
  readonly protocol: 'udp' | 'tcp';
  /** `0.0.0.0` for one bound to every address. */
  readonly address: string;
  readonly port: number;
  readonly inode: string;
}

/** The addresses that these nodes (the ones about to be started) will bind. RTP ports are left out: there are thousands. */
export function nodeAddresses(nodes: readonly FarmNode[], streams: StreamPorts = {}): readonly NeededAddress[] {
  return nodes.flatMap((node): NeededAddress[] => {
    const needs = (protocol: 'udp' | 'tcp', address: string, port: number): NeededAddress => ({
      protocol,
      address,
      port,
      owner: node.name,
    });
    if (isAsterisk(node.farm)) return [needs('udp', node.address, ports.sip), needs('tcp', node.address, ports.ari)];
    if (node.farm === 'rtpengine') return [needs('udp', node.address, ports.ng)];
    return [
      needs('udp', node.external ?? node.address, ports.sip),
      needs('udp', node.address, ports.sip),
      needs('udp', node.address, ports.rpc),
      ...[streams.tcp, streams.tls].flatMap(port =>
        port === undefined ? [] : [needs('tcp', node.external ?? node.address, port)],
      ),
    ];
  });
}

/** What the farm needs besides its nodes: the daemon's HEP receiver, and VIPs that nobody listens on. */
export function planAddresses(plan: FarmPlan): readonly NeededAddress[] {
  return [
    { protocol: 'udp', address: plan.daemonAddress, port: ports.hep, owner: 'daemon' },
    { protocol: 'udp', address: plan.publicVip, port: ports.sip, owner: 'public VIP' },
    { protocol: 'udp', address: plan.privateVip, port: ports.sip, owner: 'private VIP' },
    ...[plan.streams.tcp, plan.streams.tls].flatMap((port): NeededAddress[] =>
      port === undefined ? [] : [{ protocol: 'tcp', address: plan.publicVip, port, owner: 'public VIP' }],
    ),
  ];
}

/** Throws ADDRESS_TAKEN for the first address that somebody holds, naming the process where it can be found. */
export function checkAddresses(needed: readonly NeededAddress[]): void {
  const bound = [...boundSockets('udp'), ...boundSockets('tcp')];
  for (const need of needed) {
    const holder = bound.find(
      socket =>
        socket.protocol === need.protocol &&
        socket.port === need.port &&
        (socket.address === need.address || socket.address === '0.0.0.0'),
    );
    if (holder) throw addressTaken(need, holder);
  }
}

function addressTaken(need: NeededAddress, holder: BoundSocket): HoldfastError {
  const pid = processOfInode(holder.inode);
  const command = pid === undefined ? '' : commandOf(pid);
  const who = pid === undefined ? 'another process' : `process ${pid} (${command})`;
  const everywhere = holder.address === '0.0.0.0' ? ', which listens on every address' : '';
  const at = `${need.address}:${need.port}/${need.protocol}`;
  return new HoldfastError('ADDRESS_TAKEN', `${need.owner} needs ${at}, but ${who} has it${everywhere}`, {
    details: { owner: need.owner, address: need.address, port: need.port, protocol: need.protocol, pid, command },
    remedy:
      pid === undefined
        ? `find it with: ss -lpn 'sport = :${need.port}'; end it, or choose another subnet with --subnet`
        : `end it (kill ${pid}), or choose another subnet with --subnet`,
  });
}

/** Bound UDP sockets, listening TCP sockets. */
function boundSockets(protocol: 'udp' | 'tcp'): readonly BoundSocket[] {
  return [`/proc/net/${protocol}`, `/proc/net/${protocol}6`].flatMap(path =>
    readText(path)
      .split('\n')
      .slice(1)
      .map(line => line.trim().split(/\s+/))
      .flatMap((fields): BoundSocket[] => {
        const [local, state, inode] = [fields[1], fields[3], fields[9]];
        // 0A is TCP_LISTEN (include/net/tcp_states.h).
        if (local === undefined || inode === undefined || (protocol === 'tcp' && state !== '0A')) return [];
        const address = ipv4Of(local.split(':')[0] ?? '');
        if (address === undefined) return [];
        return [{ protocol, address, port: parseInt(local.split(':')[1] ?? '', 16), inode }];
      }),
  );
}

/**
 * The IPv4 address of /proc/net's hexadecimal words (little-endian each on the machines Node runs on). `::` counts as every
 * address: it takes IPv4 too unless IPV6_V6ONLY is set, which /proc does not tell. Other IPv6 addresses are undefined.
 */
function ipv4Of(hex: string): string | undefined {
  if (/^0+$/.test(hex)) return '0.0.0.0';
  const mapped = /^0{16}FFFF0000/.test(hex);
  if (hex.length !== 8 && !mapped) return undefined;
  return [...Buffer.from(hex.slice(-8), 'hex').reverse()].join('.');
}

function processOfInode(inode: string): number | undefined {
  const pids = readdirSync('/proc').filter(name => /^\d+$/.test(name));
  const pid = pids.find(candidate => {
    try {
      const folder = `/proc/${candidate}/fd`;
      return readdirSync(folder).some(fd => linkOf(`${folder}/${fd}`) === `socket:[${inode}]`);
    } catch {
      return false;
    }
  });
  return pid === undefined ? undefined : Number(pid);
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
