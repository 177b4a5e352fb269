// The gateways of a trunk in a config file, and its registrar: where they are, by what they are reached, and what their certificates must be.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { messageOf } from '../errors.js';
import { authoritiesProblem } from '../farm/edge-certificate.js';
import type { GatewayConfig } from '../trunks/gateway-list.js';
import { gatewayId, srvPrefixes, type GatewayTls } from '../trunks/gateway-transport.js';
import { formatProblem, type ConfigPath } from './config-problem.js';
import type { ConfigReading } from './config-reading.js';
import type { ConfigFile } from './config-schema.js';
import { readGatewayAddress } from './gateway-address.js';

type TrunkFile = ConfigFile['trunks'][string];

export function readGateways(reading: ConfigReading, name: string, trunk: TrunkFile): readonly GatewayConfig[] {
  return trunk.gateways.flatMap((entry, i) => {
    const path = ['trunks', name, 'gateways', i];
    const { address, priority = i + 1, weight } = typeof entry === 'string' ? { address: entry, weight: 1 } : entry;
    const at = typeof entry === 'string' ? path : [...path, 'address'];
    return readGateway(reading, name, trunk, at, address).map(one => ({ ...one, priority, weight }));
  });
}

/** None where it is wrong. */
export function readGateway(
  reading: ConfigReading,
  name: string,
  trunk: TrunkFile,
  path: ConfigPath,
  text: string,
): readonly GatewayConfig[] {
  const read = reading.read(path, text, (one, subnet) => readGatewayAddress(one, subnet, trunk.transport));
  if (read === undefined) return [];
  const { address, transport, host, isDomain } = read;
  const srv = isDomain ? { srv: `${srvPrefixes[transport]}.${host}` } : {};
  const plain = { address, priority: 1, weight: 1, ...srv };
  if (transport === 'udp') return [plain];
  // Its own requests come to us by the same transport (RFC 3261 §8.1.1.8).
  if (reading.file.edge[transport] === undefined) {
    const wrong = `is reached by ${transport.toUpperCase()}, which the edge does not take`;
    reading.problem(path, wrong, `add edge: { ${transport}: {} }`);
  }
  const connected = { ...plain, id: gatewayId(name, address) };
  return [transport === 'tls' ? { ...connected, tls: readTls(reading, name, trunk, host) } : connected];
}

function readTls(reading: ConfigReading, trunk: string, { tls }: TrunkFile, host: string): GatewayTls {
  const { verify, authorities: file, name = host } = tls;
  const plain = { name, verify };
  if (file === undefined) return plain;
  const path = ['trunks', trunk, 'tls', 'authorities'];
  if (!verify) reading.problem(path, 'is named, and nothing is verified', 'leave out one of the two');
  const at = resolve(dirname(reading.source.file), file);
  const read = readAuthorities(at);
  if (typeof read === 'string') return { ...plain, authorities: (reading.authorities[at] = read) };
  const problem = reading.source.problem(path, `${file} ${read.wrong}`, read.hint);
  const last = reading.lastAuthorities(at);
  if (last === undefined) reading.problems.push(problem);
  else reading.faults.push(`what it held when it was right is used: ${formatProblem(problem)}`);
  return last === undefined ? plain : { ...plain, authorities: last };
}

function readAuthorities(file: string): string | { readonly wrong: string; readonly hint: string } {
  try {
    const authorities = readFileSync(file, 'utf8');
    const wrong = authoritiesProblem(authorities);
    const hint = 'PEM is wanted: the certificates of those who sign for this trunk';
    return wrong === undefined ? authorities : { wrong, hint };
  } catch (error) {
    return { wrong: `cannot be read: ${messageOf(error)}`, hint: 'name a file that the daemon may read' };
  }
}
