// Which parts of a config differ from another's, and what each change asks of the farm. Pure.
import { isDeepStrictEqual } from 'node:util';
import type { FarmName } from '../farm/farm-plan.js';
import { formatPath } from './config-problem.js';
import type { HoldfastConfig } from './holdfast-config.js';

/**
 * What a change asks for beyond the daemon's taking it, mildest first. A reload does the first five, and calls go on:
 * Kamailios take new lists and tables, and another certificate, Asterisks new PJSIP objects; servers are added, or go when their calls have ended.
 * `rolling-restart`: each server has it from its next start. `daemon-restart`: the daemon's next start has it, calls go on.
 * `full-restart`: the farm goes down and up.
 */
export const needs = [
  'list-reload',
  'certificate-reload',
  'endpoint-reload',
  'node-start',
  'node-leave',
  'rolling-restart',
  'daemon-restart',
  'full-restart',
] as const;
export type Need = (typeof needs)[number];

export interface ChangedPart {
  /** As the config file writes it, e.g. `farm.subnet`, `trunks.lab.sources`, `plugins.routing`. */
  readonly part: string;
  /** Empty: the daemon takes it by itself. */
  readonly needs: readonly Need[];
}

/** An empty list: the two mean the same. */
export function changedParts(before: HoldfastConfig, after: HoldfastConfig): readonly ChangedPart[] {
  const changes = plainParts.filter(({ of }) => !isDeepStrictEqual(of(before), of(after)));
  return [
    ...changes.map(({ part, needs }) => ({ part, needs })),
    ...farms.flatMap(farm => changedSize(farm, before, after)),
    ...changedEntries('subscribers', subscriberNeeds, before.subscribers, after.subscribers),
    ...changedEntries('trunks', trunkNeeds, before.trunks, after.trunks),
    ...changedPlugins(before, after),
  ];
}

/** Those that a reload cannot do anything for: it refuses all of a config that has one. */
export function beyondReload(changes: readonly ChangedPart[]): readonly ChangedPart[] {
  return changes.filter(({ needs }) => needs.includes('daemon-restart') || needs.includes('full-restart'));
}

/** Every need of these, each once, mildest first. */
export function allNeeds(changes: readonly { readonly needs: readonly Need[] }[]): readonly Need[] {
  return needs.filter(need => changes.some(change => change.needs.includes(need)));
}

interface PlainPart extends ChangedPart {
  readonly of: (config: HoldfastConfig) => unknown;
}

const plainParts: readonly PlainPart[] = [
  { part: 'farm.subnet', needs: ['full-restart'], of: config => config.farm.subnet },
  { part: 'farm.publicVip', needs: ['full-restart'], of: config => config.farm.plan.publicVip },
  { part: 'farm.privateVip', needs: ['full-restart'], of: config => config.farm.plan.privateVip },
  { part: 'farm.state', needs: ['full-restart'], of: config => config.farm.state },
  { part: 'farm.homer', needs: ['rolling-restart'], of: config => config.farm.homer },
  { part: 'domain', needs: ['full-restart'], of: config => config.domain },
  { part: 'log.level', needs: [], of: config => config.log.level },
  { part: 'log.file', needs: ['daemon-restart'], of: config => config.log.file },
  { part: 'cdr.file', needs: [], of: config => config.cdr.file },
  { part: 'cdr.webhook', needs: [], of: config => config.cdr.webhook },
  { part: 'recordings', needs: [], of: config => config.recordings },
  { part: 'metrics', needs: [], of: config => config.metrics },
  { part: 'limits.maxSetupSeconds', needs: [], of: config => config.limits.maxSetupSeconds },
  { part: 'limits.maxCallSeconds', needs: [], of: config => config.limits.maxCallSeconds },
  { part: 'limits.rtpTimeoutSeconds', needs: ['endpoint-reload'], of: config => config.limits.rtpTimeoutSeconds },
  {
    part: 'limits.rtpTimeoutOnHoldSeconds',
    needs: ['endpoint-reload'],
    of: config => config.limits.rtpTimeoutOnHoldSeconds,
  },
  { part: 'limits.strayGraceSeconds', needs: [], of: config => config.limits.strayGraceSeconds },
  { part: 'trace', needs: ['daemon-restart'], of: config => config.trace },
  ...registrationParts(),
  { part: 'webhooks', needs: [], of: config => config.webhooks },
  { part: 'sounds', needs: [], of: config => config.sounds },
  { part: 'flows', needs: [], of: config => config.flows.map(({ name, written }) => ({ name, written })) },
  { part: 'passHeaders', needs: [], of: config => config.passHeaders },
  { part: 'overload', needs: [], of: config => config.overload },
  { part: 'edge', needs: ['list-reload'], of: ({ edge }) => [edge.allow, edge.defence] },
  { part: 'edge.tcp', needs: ['rolling-restart', 'daemon-restart'], of: config => config.farm.plan.streams.tcp },
  { part: 'edge.tls', needs: ['rolling-restart', 'daemon-restart'], of: config => config.farm.plan.streams.tls },
  {
    part: 'edge.tls.certificate',
    needs: ['certificate-reload'],
    of: ({ edge }) => [edge.certificate?.certificate, edge.certificate?.key],
  },
  { part: 'edge.mostConnections', needs: ['rolling-restart'], of: config => config.edge.mostConnections },
  {
    part: 'edge.strangerSilenceSeconds',
    needs: ['rolling-restart'],
    of: config => config.edge.strangerSilenceSeconds,
  },
  {
    part: 'edge.connectionsPerSource',
    needs: ['daemon-restart'],
    of: config => config.farm.plan.streams.perSource,
  },
  { part: 'numbers', needs: [], of: ({ numbers }) => [numbers.country, numbers.expensive] },
  { part: 'numbers.emergency', needs: ['list-reload'], of: config => config.numbers.emergency },
  { part: 'subscriberLimits', needs: [], of: config => config.subscriberLimits },
];

/** A Kamailio refuses what is too short, from its next start by the new measure; the rest is the registrars'. */
function registrationParts(): PlainPart[] {
  const own: readonly (readonly [keyof HoldfastConfig['registration'], readonly Need[]])[] = [
    ['digests', ['endpoint-reload']],
    ['minSeconds', ['endpoint-reload', 'rolling-restart']],
    ['maxSeconds', ['endpoint-reload']],
    ['defaultSeconds', ['endpoint-reload']],
    ['maxContacts', ['endpoint-reload']],
    ['keepAliveSeconds', []],
  ];
  return own.map(([key, needs]) => ({
    part: `registration.${key}`,
    needs,
    of: config => config.registration[key],
  }));
}

const farms: readonly FarmName[] = ['kamailio', 'call', 'conference', 'registrar', 'rtpengine'];

/** Every key of a config that is compared; a test has it complete. */
export const knownParts: readonly string[] = [
  ...plainParts.map(({ part }) => part),
  ...farms.map(farm => `farm.${farm}`),
  ...['subscribers', 'trunks', 'plugins'],
];

/** A Kamailio that leaves stays in the others' tables until it is gone: it may have connections of phones. */
function changedSize(farm: FarmName, before: HoldfastConfig, after: HoldfastConfig): readonly ChangedPart[] {
  const [old, now] = [before.farm.sizes[farm], after.farm.sizes[farm]];
  if (old === now) return [];
  const own = now > old ? 'node-start' : 'node-leave';
  return [{ part: `farm.${farm}`, needs: farm === 'kamailio' && own === 'node-leave' ? [own] : ['list-reload', own] }];
}

type EntryNeeds = Readonly<Record<string, readonly Need[]>>;

/** By the entry's key in the config file; one that is not here is the daemon's own. */
const subscriberNeeds: EntryNeeds = { secret: ['list-reload', 'endpoint-reload'], identities: ['list-reload'] };
const trunkNeeds: EntryNeeds = {
  sources: ['list-reload'],
  gateways: ['list-reload'],
  credentials: ['endpoint-reload'],
  login: ['list-reload'],
  register: ['list-reload', 'endpoint-reload'],
};

/** With more changed entries than this, their section is named instead of each. */
const mostNamed = 10;

function changedEntries(
  section: string,
  needsOf: EntryNeeds,
  before: readonly { readonly name: string }[],
  after: readonly { readonly name: string }[],
): readonly ChangedPart[] {
  const [old, now] = [byName(before), byName(after)];
  const names = [...new Set([...old.keys(), ...now.keys()])];
  const changed = names.filter(name => !isDeepStrictEqual(old.get(name), now.get(name)));
  const parts = changed.flatMap(name => changedEntry([section, name], needsOf, old.get(name), now.get(name)));
  return changed.length > mostNamed ? [{ part: section, needs: allNeeds(parts) }] : parts;
}

type Entry = Readonly<Record<string, unknown>>;

function byName(entries: readonly { readonly name: string }[]): ReadonlyMap<string, Entry> {
  return new Map(entries.map(({ name, ...entry }) => [name, entry]));
}

/** One part per key that differs; an entry that came or went is one part. */
function changedEntry(
  path: readonly string[],
  needsOf: EntryNeeds,
  old: Entry | undefined,
  now: Entry | undefined,
): readonly ChangedPart[] {
  const keys = Object.keys({ ...old, ...now }).filter(key => !isDeepStrictEqual(old?.[key], now?.[key]));
  const parts = keys
    .filter(key => !isEmpty(old?.[key]) || !isEmpty(now?.[key]))
    .map(key => ({ part: formatPath([...path, writtenAs[key] ?? key]), needs: needsOf[key] ?? [] }));
  return old && now ? parts : [{ part: formatPath(path), needs: allNeeds(parts) }];
}

const writtenAs: Readonly<Record<string, string>> = { displayName: 'name' };

function isEmpty(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}

function changedPlugins(before: HoldfastConfig, after: HoldfastConfig): readonly ChangedPart[] {
  const values = (config: HoldfastConfig): ReadonlyMap<string, unknown> =>
    new Map(config.plugins.map(({ name, from, config }) => [name, { from, config }]));
  const [old, now] = [values(before), values(after)];
  const names = [...new Set([...old.keys(), ...now.keys()])];
  const changed = names
    .filter(name => !isDeepStrictEqual(old.get(name), now.get(name)))
    .map((name): ChangedPart => ({ part: `plugins.${name}`, needs: [] }));
  const reordered = !isDeepStrictEqual([...old.keys()], [...now.keys()]) && changed.length === 0;
  return reordered ? [{ part: 'plugins', needs: [] }] : changed;
}
