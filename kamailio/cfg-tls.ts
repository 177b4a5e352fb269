// The files of Kamailio's tls module: what phones see of us, and by whom a gateway's certificate must be signed.
import { createHash } from 'node:crypto';
import type { EdgeCertificate, EdgeGateway } from '../core/ports/edge.js';
import type { NodeFile } from '../core/ports/node-host.js';
import type { GatewayTls } from '../core/trunks/gateway-transport.js';

const [anybody, system] = ['anybody', 'system'] as const;

/** What is read anew by `tls.reload`, and beside kamailio.cfg: paths in tls.cfg count from there. */
export function tlsFiles(certificate: EdgeCertificate, gateways: readonly EdgeGateway[]): readonly NodeFile[] {
  return [...certificateFiles(certificate), ...authorityFiles(gateways)];
}

export function certificateFiles({ certificate, key }: EdgeCertificate): readonly NodeFile[] {
  return [file('certificate.pem', certificate), file('key.pem', key)];
}

/** tls.cfg, and the authorities that trunks name. Only what is used: Kamailio makes each profile once for each of its processes. */
export function authorityFiles(gateways: readonly EdgeGateway[]): readonly NodeFile[] {
  const used = new Map(gateways.flatMap(({ tls }) => (tls === undefined ? [] : [[tlsProfile(tls), tls] as const])));
  const files = [...used].flatMap(([profile, { authorities }]) =>
    authorities === undefined ? [] : [file(`${profile}.pem`, authorities)],
  );
  return [...files, file('tls.cfg', tlsCfg([...used.keys()].sort()))];
}

/** The client profile of tls.cfg that a gateway is connected to by: one for each file of authorities, and two for all others. */
export function tlsProfile({ verify, authorities }: GatewayTls): string {
  if (!verify) return anybody;
  if (authorities === undefined) return system;
  return `authorities-${createHash('sha256').update(authorities).digest('hex').slice(0, 10)}`;
}

function file(path: string, content: string): NodeFile {
  return { path, content, mode: 0o600, reload: 'certificate-reload' };
}

/** Looked up when they are needed: all of them in the memory of each process would take long to load. */
const systemAuthorities = '/etc/ssl/certs';

function tlsCfg(profiles: readonly string[]): string {
  const named = profiles.flatMap(profile => client(profile));
  return ['[server:default]', ...usual('no'), '[client:default]', ...usual('yes'), ...named, ''].join('\n');
}

/** A gateway may want to see ours too. */
function usual(verified: 'yes' | 'no'): readonly string[] {
  return [
    'method = TLSv1.2+',
    'certificate = certificate.pem',
    'private_key = key.pem',
    `verify_certificate = ${verified}`,
    `require_certificate = ${verified}`,
    '',
  ];
}

/** Found by its `server_id`; a profile for any address must have a name too, which nobody asks for. */
function client(id: string): readonly string[] {
  const head = ['[client:any]', `server_name = ${id}.invalid`, `server_id = ${id}`];
  if (id === anybody) return [...head, ...usual('no')];
  return [...head, id === system ? `ca_path = ${systemAuthorities}` : `ca_list = ${id}.pem`, ...usual('yes')];
}
