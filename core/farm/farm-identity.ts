// What servers that run were started with and a new daemon cannot change under them: it takes up the same farm or none.
import { z } from 'zod';
import type { HoldfastConfig } from '../config/holdfast-config.js';
import { HoldfastError } from '../errors.js';
import type { Store } from '../store/store.js';

const identity = z.object({ subnet: z.string(), publicVip: z.string(), privateVip: z.string(), domain: z.string() });
type Identity = z.output<typeof identity>;

const key = 'farm';
const writtenAs: Readonly<Record<keyof Identity, string>> = {
  subnet: 'farm.subnet',
  publicVip: 'farm.publicVip',
  privateVip: 'farm.privateVip',
  domain: 'domain',
};

/** Notes what a farm is started with. Where servers run already and were started otherwise, throws CONFIG_INVALID. */
export async function keepIdentity(store: Store, config: HoldfastConfig, serversRun: boolean): Promise<void> {
  const table = store.table('identity', identity);
  const { subnet, plan } = config.farm;
  const now = { subnet, publicVip: plan.publicVip, privateVip: plan.privateVip, domain: config.domain };
  const before = serversRun ? (await table.get(key))?.value : undefined;
  const changed = before === undefined ? [] : changedIn(before, now);
  if (changed.length > 0) {
    throw new HoldfastError('CONFIG_INVALID', `servers run that were started with ${changed.join(', ')}`, {
      remedy:
        'put the old value back, and calls go on; or end the farm, which ends its calls: holdfast down (or systemctl stop holdfast), then start it',
    });
  }
  await table.put(key, now);
}

function changedIn(before: Identity, now: Identity): readonly string[] {
  const names = Object.keys(writtenAs) as (keyof Identity)[];
  return names.filter(name => before[name] !== now[name]).map(name => `${writtenAs[name]} ${before[name]}`);
}
