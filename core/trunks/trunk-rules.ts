// The config's word on trunks and subscribers, as calls ask for it: looked up by name, read once for each config.
import type { PassingRules } from '../calls/passed-headers.js';
import type { TrunkCaller } from '../calls/trunk-caller.js';
import type { HoldfastConfig } from '../config/holdfast-config.js';
import type { AdmissionRules } from './admission.js';

type RulesConfig = Pick<HoldfastConfig, 'numbers' | 'subscriberLimits' | 'subscribers' | 'trunks'>;

export const admissionRules = oncePerConfig((config: RulesConfig): AdmissionRules => {
  const trunks = new Map(config.trunks.map(one => [one.name, one]));
  const subscribers = new Map(config.subscribers.map(one => [one.name, one]));
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
});

/** What passes between the legs of a call. */
export const passingRules = oncePerConfig((config: HoldfastConfig): PassingRules => {
  const trusted = new Set(config.trunks.filter(trunk => trunk.trusted).map(trunk => trunk.name));
  const callersOf = trunkCallers(config);
  return { headers: config.passHeaders, domain: config.domain, trusts: trunk => trusted.has(trunk), callersOf };
});

/** How numbers and callers are written on a trunk; undefined for one that is not in the config. */
export function trunkCallers({ trunks }: Pick<RulesConfig, 'trunks'>): (trunk: string) => TrunkCaller | undefined {
  const written = trunks.map(({ name, numbers, caller }): [string, TrunkCaller] => [
    name,
    { numbers, ...(caller === undefined ? {} : { caller }) },
  ]);
  const byName = new Map(written);
  return trunk => byName.get(trunk);
}

/** `read` is asked once for each config, however many calls ask. */
function oncePerConfig<Config extends object, Rules>(read: (config: Config) => Rules): (config: Config) => Rules {
  const known = new WeakMap<Config, Rules>();
  return config => {
    const rules = known.get(config) ?? read(config);
    known.set(config, rules);
    return rules;
  };
}
