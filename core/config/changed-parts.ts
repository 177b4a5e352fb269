// Which parts of a config a reload would change, and which of them only a restart of the farm can change.
import { isDeepStrictEqual } from 'node:util';
import type { HoldfastConfig } from './holdfast-config.js';

export interface ChangedPart {
  /** As the config file writes it, e.g. `farm.subnet`, `trunks`, `plugins.routing`. */
  readonly part: string;
  /** live: takes effect at the reload. restart: keeps its old value until the farm is started again. */
  readonly effect: 'live' | 'restart';
}

/** Pure. An empty list: the two mean the same. */
export function changedParts(before: HoldfastConfig, after: HoldfastConfig): readonly ChangedPart[] {
  const changes = parts.filter(({ of }) => !isDeepStrictEqual(of(before), of(after)));
  return [...changes.map(({ part, effect }) => ({ part, effect })), ...changedPlugins(before, after)];
}

interface Part extends ChangedPart {
  readonly of: (config: HoldfastConfig) => unknown;
}

const parts: readonly Part[] = [
  { part: 'farm.subnet', effect: 'restart', of: config => config.farm.subnet },
  { part: 'farm.publicVip', effect: 'restart', of: config => config.farm.plan.publicVip },
  { part: 'farm.privateVip', effect: 'restart', of: config => config.farm.plan.privateVip },
  { part: 'farm.state', effect: 'restart', of: config => config.farm.state },
  { part: 'farm.homer', effect: 'restart', of: config => config.farm.homer },
  { part: 'farm.kamailio', effect: 'live', of: config => config.farm.sizes.kamailio },
  { part: 'farm.call', effect: 'live', of: config => config.farm.sizes.call },
  { part: 'farm.conference', effect: 'live', of: config => config.farm.sizes.conference },
  { part: 'farm.registrar', effect: 'live', of: config => config.farm.sizes.registrar },
  { part: 'farm.rtpengine', effect: 'live', of: config => config.farm.sizes.rtpengine },
  { part: 'domain', effect: 'restart', of: config => config.domain },
  { part: 'log.level', effect: 'live', of: config => config.log.level },
  { part: 'log.file', effect: 'restart', of: config => config.log.file },
  { part: 'cdr.file', effect: 'live', of: config => config.cdr.file },
  { part: 'cdr.webhook', effect: 'live', of: config => config.cdr.webhook },
  { part: 'subscribers', effect: 'live', of: config => config.subscribers },
  { part: 'trunks', effect: 'live', of: config => config.trunks },
];

function changedPlugins(before: HoldfastConfig, after: HoldfastConfig): readonly ChangedPart[] {
  const values = (config: HoldfastConfig): ReadonlyMap<string, unknown> =>
    new Map(config.plugins.map(({ name, from, config }) => [name, { from, config }]));
  const [old, now] = [values(before), values(after)];
  const names = [...new Set([...old.keys(), ...now.keys()])];
  const changed = names
    .filter(name => !isDeepStrictEqual(old.get(name), now.get(name)))
    .map((name): ChangedPart => ({ part: `plugins.${name}`, effect: 'live' }));
  const reordered = !isDeepStrictEqual([...old.keys()], [...now.keys()]) && changed.length === 0;
  return reordered ? [{ part: 'plugins', effect: 'live' }] : changed;
}
