// What every Kamailio is told of registered phones: from where they send, and which of them came back by another connection.
import type { EdgeFarm } from '../ports/edge.js';
import type { Binding, Bindings } from '../registrations/bindings.js';
import { ToldRows } from './told-rows.js';

/** As long as a Kamailio trusts a phone that it has seen itself; told again after half of it. */
const trustSeconds = 3_600;

/** These addresses are never limited, whichever instance they come by. */
export function trustedPhones(edge: Pick<EdgeFarm, 'trust'>, bindings: Pick<Bindings, 'list'>): ToldRows {
  return new ToldRows({
    wanted: () => new Map(bindings.list().flatMap(addressOf)),
    tell: (instance, address) => edge.trust(instance, address, trustSeconds),
    everyMs: 5_000,
    againAfterMs: (trustSeconds * 1000) / 2,
  });
}

/**
 * What belongs to a phone's calls still names the connection that it had before: an instance that does not know the new one refuses
 * it (430). Told at once, as a phone that has come back may be hung up on a moment later. No flow is ever used again.
 */
export function movedPhones(edge: Pick<EdgeFarm, 'move'>, moves: Bindings['moves']): ToldRows {
  return new ToldRows({
    wanted: () => new Map(moves().map(({ from, to }) => [from, to])),
    tell: (instance, from, to) => edge.move(instance, from, to),
    everyMs: 1_000,
  });
}

/** Where its packets come from. */
function addressOf({ flow, contact }: Binding): readonly (readonly [string, string])[] {
  const address = flow?.replace(/:\d+$/, '') ?? /^sips?:(?:[^@]*@)?(\d+\.\d+\.\d+\.\d+)/i.exec(contact)?.[1];
  return address === undefined ? [] : [[address, '']];
}
