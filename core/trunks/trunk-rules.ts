// The config's word on trunks and subscribers, as calls ask for it: looked up by name, read once for each config.
import type { TrunkCaller } from '../calls/trunk-caller.js';
import type { HoldfastConfig, SubscriberConfig, TrunkConfig } from '../config/holdfast-config.js';
import type { AdmissionRules } from './admission.js';

type RulesConfig = Pick<HoldfastConfig, 'numbers' | 'subscriberLimits' | 'subscribers' | 'trunks'>;

interface ByName {
  readonly trunks: ReadonlyMap<string, TrunkConfig>;
  readonly subscribers: ReadonlyMap<string, SubscriberConfig>;
}

const read = new WeakMap<RulesConfig, ByName>();

function byName(config: RulesConfig): ByName {
  const known = read.get(config);
  if (known) return known;
  const names: ByName = {
    trunks: new Map(config.trunks.map(one => [one.name, one])),
    subscribers: new Map(config.subscribers.map(one => [one.name, one])),
  };
  read.set(config, names);
  return names;
}

export function admissionRules(config: RulesConfig): AdmissionRules {
  const { trunks, subscribers } = byName(config);
  const { emergency, expensive } = config.numbers;
  return {
    ...{ emergency, expensive },
    limitsOf: owner =>
      owner.kind === 'trunk'
        ? trunks.get(owner.trunk)?.limits
        : (subscribers.get(owner.subscriber)?.limits ?? config.subscriberLimits),
    identitiesOf: trunk => trunks.get(trunk)?.identities ?? [],
    numbersOf: trunk => trunks.get(trunk)?.numbers ?? { format: 'as-is' },
  };
}

/** How numbers and callers are written on a trunk; undefined for one that is not in the config. */
export function trunkCallers(config: RulesConfig): (trunk: string) => TrunkCaller | undefined {
  const { trunks } = byName(config);
  return trunk => {
    const one = trunks.get(trunk);
    return one && { numbers: one.numbers, ...(one.caller === undefined ? {} : { caller: one.caller }) };
  };
}
