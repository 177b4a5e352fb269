// The tables of the edge: what every Kamailio must know, as db_text files that a restart reads and a reload swaps in.
import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { ports } from '../core/farm/farm-plan.js';
import { isAsterisk } from '../core/farm/farm-plan.js';
import {
  lineParameter,
  type EdgeGateway,
  type EdgeHost,
  type EdgeSource,
  type EdgeState,
  type EngineIncarnation,
  type TranscodingPolicy,
} from '../core/ports/edge.js';
import { lineToken } from '../core/trunks/line-token.js';
import { certificatePattern } from './certificate-pattern.js';
import { tlsProfile } from './cfg-tls.js';
import type { EdgeSecrets } from './edge-model.js';

/** Names of the htables, in the order in which they are reloaded. */
export const edgeTables = [
  'nodes',
  'edges',
  'fenced',
  'sources',
  'allowed',
  'users',
  'gateways',
  'policies',
  'engines',
  'engineslots',
  'routekeys',
  'settings',
] as const;
export type EdgeTable = (typeof edgeTables)[number];

/** A table's rows; numbers are stored as Kamailio integers. */
export type EdgeRows = Readonly<Record<string, string | number>>;

/** Key of the row that names a table's content: read back, it tells which content an instance holds. */
export const generationKey = '#generation';

const engineSlots = 64;

/** All tables for a state, each with its generation row. Pure. */
export function renderTables(state: EdgeState, secrets: EdgeSecrets): Readonly<Record<EdgeTable, EdgeRows>> {
  const asterisks = state.nodes.filter(node => isAsterisk(node.farm));
  const tables: Record<EdgeTable, EdgeRows> = {
    nodes: Object.fromEntries(
      asterisks.flatMap(({ address, name, state: health }): [string, string][] => [
        [address, name],
        ...(health === 'dead' ? ([[`dead-${address}`, name]] as [string, string][]) : []),
      ]),
    ),
    edges: Object.fromEntries(
      state.nodes
        .filter(({ farm, state: health }) => farm === 'kamailio' && health !== 'dead')
        .flatMap(({ name, address }) => [
          [indexOf(name), address],
          [address, indexOf(name)],
        ]),
    ),
    fenced: Object.fromEntries(
      asterisks.filter(node => state.fenced.includes(node.name)).map(node => [node.address, node.name]),
    ),
    sources: sourceRows(state, secrets.lineKey),
    allowed: Object.fromEntries(state.allowed.map(address => [address, 1])),
    users: Object.fromEntries([
      ...state.subscribers.map(one => [one.user, `${one.ha1}|${one.policy}|${one.identities.join(',')}|`] as const),
      ...state.logins.map(one => [one.user, `${one.ha1}|${one.policy}||${one.trunk}`] as const),
    ]),
    gateways: Object.fromEntries([...state.gateways.flatMap(gatewayRows), ...(state.hosts ?? []).map(hostRow)]),
    policies: Object.fromEntries([...(state.formerPolicies ?? []), ...state.policies].flatMap(policyRows)),
    engines: engineRows(state),
    engineslots: engineSlotRows(state.engines),
    routekeys: secrets.routeKeys.keys,
    settings: {
      defaultPolicy: state.defaultPolicy,
      routeKey: secrets.routeKeys.current,
      ...state.defence,
      emergency: emergencyPattern(state.emergency),
      transfers: state.transfers ? 1 : 0,
    },
  };
  for (const name of edgeTables) tables[name] = { ...tables[name], [generationKey]: generationOf(tables[name]) };
  return tables;
}

/** POSIX: one of them as it is, or after so much as an outside line's prefix has: where a call goes that is not routed yet, the edge cannot know. */
function emergencyPattern(numbers: readonly string[]): string {
  const plain = numbers.filter(number => /^[0-9]+$/.test(number));
  return plain.length === 0 ? '^-$' : `^[+*#0-9]{0,3}(${plain.join('|')})$`;
}

/** Trunks by their addresses, and by the token in our Contact; with the user part of that, which is what they call where they name no number. */
function sourceRows({ sources, lines, gateways }: EdgeState, lineKey: string): EdgeRows {
  // By which gateway of the trunk a call that came by a connection is gone on with, when that has ended.
  const gatewayOf = (trunk: string): string => gateways.find(one => one.trunk === trunk && one.tls)?.id ?? '-';
  const row = ({ trunk, policy, contactUser = '' }: Omit<EdgeSource, 'address'>): string =>
    [trunk, policy, contactUser, gatewayOf(trunk)].join('|');
  const bySource = sources.map(one => [one.address, row(one)] as const);
  const byLine = lines.map(one => [`${lineParameter}-${lineToken(lineKey, one.trunk)}`, row(one)] as const);
  return Object.fromEntries([...bySource, ...byLine]);
}

/** What a gateway on TLS is asked by, the profile of tls.cfg, and a POSIX expression for its certificate where that is looked at. */
function gatewayRows({ id, tls }: EdgeGateway): [string, string][] {
  if (!tls) return [];
  const { name, verify } = tls;
  // RFC 6066 section 3: an address is no server name.
  const serverName = isIPv4(name) ? '' : name;
  const row: [string, string] = [id, [serverName, tlsProfile(tls)].join('|')];
  return verify ? [row, [`${id}-names`, certificatePattern(name)]] : [row];
}

/** Where a host of a gateway is, and where a name without a port is. */
function hostRow({ name, address, port }: EdgeHost): [string, string] {
  if (port === undefined) return [`host-${name}`, address ?? '-'];
  return [`service-${name}`, address === undefined ? '-' : `${address}:${port}`];
}

/** What RTPEngine decodes (`rtpengine --codecs`): of these a policy's own are left in an offer; what it cannot decode it drops. */
const decodable = [
  ...['PCMA', 'PCMU', 'G722', 'opus', 'G723', 'G729', 'G729a', 'speex', 'GSM', 'iLBC', 'AMR', 'AMR-WB', 'QCELP'],
  ...['EVRC', 'EVRC0', 'EVRC1', 'ATRAC3', 'ATRAC-X', 'CN'],
];

/**
 * Codec flags of ng for both directions, and the names that an offer from outside must have one of. PCMU is the only codec
 * inside. `codec-except` would put a codec back into the offer to the inside, so the others are struck by name.
 */
function policyRows(policy: TranscodingPolicy): [string, string][] {
  const named = new Set(policy.codecs.map(codec => codec.toLowerCase()));
  const struck = decodable.filter(codec => !named.has(codec.toLowerCase())).map(codec => `codec-strip-${codec}`);
  const offered = policy.codecs.map(codec => `codec-transcode-${codec}`);
  return [
    [`${policy.id}-names`, policy.codecs.join(',')],
    [`${policy.id}-srtp`, policy.srtp ?? 'off'],
    [`${policy.id}-in`, [...struck, 'codec-mask-all', 'codec-transcode-PCMU', 'codec-offer-telephone-event'].join(' ')],
    // A codec that was offered, is masked and transcoded to, is put back at the place named here (ng, `transcode`).
    [`${policy.id}-out`, ['codec-mask-all', 'codec-except-telephone-event', ...offered].join(' ')],
  ];
}

/**
 * Incarnation → number of its engine's set, or of its successor's. One set per engine: its node's number. `moved-X`: a dialog of X
 * is with another engine, which does not know what versions of `o=` the phone has seen.
 */
function engineRows(state: EdgeState): EdgeRows {
  const setOf = (id: string | undefined): number | undefined => {
    const engine = state.engines.find(one => one.id === id);
    if (!engine) return undefined;
    return engine.state === 'dead' && engine.successor !== undefined ? setOf(engine.successor) : setNumber(engine.node);
  };
  return Object.fromEntries(
    state.engines.flatMap((engine): [string, number][] => {
      const moved = engine.state === 'dead' && engine.successor !== undefined;
      return [[engine.id, setOf(engine.id) ?? 0], ...(moved ? [[`moved-${engine.id}`, 1] as [string, number]] : [])];
    }),
  );
}

/** New calls by hash of Call-ID over the engines that take any; `other-X`: who stands in where X does not answer. */
function engineSlotRows(engines: readonly EngineIncarnation[]): EdgeRows {
  const up = engines.filter(engine => engine.state === 'up');
  const chosen = up.length > 0 ? up : engines.filter(engine => engine.state !== 'dead');
  if (chosen.length === 0) return {};
  const rows: Record<string, string> = {};
  for (let slot = 0; slot < engineSlots; slot++)
    rows[String(slot)] = rendezvous(
      String(slot),
      chosen.map(one => one.id),
    );
  for (const { id } of chosen) {
    const others = chosen.map(one => one.id).filter(other => other !== id);
    if (others.length > 0) rows[`other-${id}`] = rendezvous(id, others);
  }
  return rows;
}

export interface EngineSet {
  readonly set: number;
  readonly address: string;
  readonly isUp: boolean;
}

/** Rows of the rtpengine module's table: every engine of the farm, each in a set of its own. */
export function engineSets(state: EdgeState): readonly EngineSet[] {
  return state.nodes
    .filter(node => node.farm === 'rtpengine')
    .map(node => ({ set: setNumber(node.name), address: node.address, isUp: node.state === 'up' }));
}

function setNumber(node: string): number {
  return Number(indexOf(node));
}

function indexOf(node: string): string {
  return node.replace(/^.*-/, '');
}

/** Highest random weight: when a candidate comes or goes, only the keys that it wins or loses move. */
export function rendezvous(key: string, candidates: readonly string[]): string {
  const weight = (candidate: string): string => createHash('sha256').update(`${key} ${candidate}`).digest('hex');
  const [best = ''] = [...candidates].sort((a, b) => (weight(a) < weight(b) ? 1 : -1));
  return best;
}

function generationOf(rows: EdgeRows): string {
  const text = Object.keys(rows)
    .sort()
    .map(key => `${key}\n${rows[key] ?? ''}\n`)
    .join('');
  return createHash('sha256').update(text).digest('hex').slice(0, 24);
}

/** One table as a db_text file for the htable module. */
export function formatTable(rows: EdgeRows): string {
  const lines = Object.entries(rows).map(([key, value]) => {
    const type = typeof value === 'number' ? 1 : 0;
    return `${escape(key)}:0:${type}:${escape(String(value))}`;
  });
  return `key_name(string) key_type(int) value_type(int) key_value(string)\n${lines.join('\n')}\n`;
}

/** The rtpengine module's table as a db_text file. */
export function formatEngineSets(sets: readonly EngineSet[]): string {
  const lines = sets.map(({ set, address }) => `${set}:${escape(`udp:${address}:${ports.ng}`)}:1:0`);
  return `setid(int) url(string) weight(int) disabled(int)\n${lines.join('\n')}\n`;
}

/** db_text's own table of table versions. */
export function formatVersions(): string {
  const rows = [...edgeTables.map(name => `${name}:2`), 'rtpengine:1'];
  return `table_name(string) table_version(int)\n${rows.join('\n')}\n`;
}

/** db_text reads `:` as the end of a column. */
function escape(text: string): string {
  return text.replace(/[\\:]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t');
}
