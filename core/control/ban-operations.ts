// What an operator sees and says of the bans at the edge.
import { HoldfastError } from '../errors.js';
import type { Bans } from '../farm/bans.js';
import type { EdgeBan } from '../ports/edge.js';
import type { Operations } from './operations.js';
import type { BanStatus } from './views.js';

/** `isExempt`: an address that no Kamailio bans, as it is a trunk's or allowed. */
export function banOperations(
  bans: Bans,
  isExempt: (address: string) => boolean,
): Pick<Operations, 'bans' | 'banAdd' | 'banLift'> {
  return {
    bans: async () => bans.list().map(banStatus),
    banAdd: async ({ address, seconds, reason }) => {
      if (isExempt(address)) {
        throw new HoldfastError('BAN_REFUSED', `${address} is a trunk's, or in edge.allow: it is never banned`, {
          remedy: 'take it out of the config first',
        });
      }
      return banStatus(await bans.add(address, reason, seconds));
    },
    banLift: async ({ source }) => {
      if (await bans.lift(source)) return { source };
      throw new HoldfastError('BAN_REFUSED', `${source} is not banned`, {
        remedy: '`holdfast bans list` shows who is',
      });
    },
  };
}

function banStatus({ source, reason, untilSeconds }: EdgeBan): BanStatus {
  return { source, reason, until: new Date(untilSeconds * 1000).toISOString() };
}
