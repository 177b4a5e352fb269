// What phones have registered: the bindings, their copies on every registrar, and the ways to phones kept open.
import { hasStreams } from '../../farm/farm-plan.js';
import { movedPhones, trustedPhones } from '../../farm/phone-rows.js';
import { Bindings } from '../../registrations/bindings.js';
import { KeepAlive } from '../../registrations/keep-alive.js';
import { RegistrarCopies } from '../../registrations/registrar-copies.js';
import type { Given, Make } from './graph.js';
import { tokens } from './tokens.js';

export function wireRegistrations({ live, log, store }: Given, make: Make): void {
  make(tokens.bindings, () => new Bindings({ store, log }));
  make(tokens.copies, get => {
    const [bindings, asterisks] = [get(tokens.bindings), get(tokens.asterisks)];
    const subscribers = namesOf(() => live.config.subscribers);
    const presumedSeconds = (): number => live.config.registration.defaultSeconds;
    return new RegistrarCopies({ store, bindings, asterisks, subscribers, presumedSeconds, log });
  });
  make(tokens.trustedPhones, get => trustedPhones(get(tokens.edge), get(tokens.bindings)));
  make(tokens.movedPhones, get => {
    const bindings = get(tokens.bindings);
    // Without connections the Kamailios have no table for them, and a binding of another time may still have one.
    const moved = movedPhones(get(tokens.edge), () => (hasStreams(live.plan) ? bindings.moves() : []));
    bindings.onMove(() => moved.tellSoon());
    return moved;
  });
  make(
    tokens.keepAlive,
    get =>
      new KeepAlive({
        ...{ address: live.plan.daemonAddress, privateVip: live.plan.privateVip, domain: live.config.domain, log },
        bindings: () => get(tokens.bindings).list(),
        everySeconds: () => live.config.registration.keepAliveSeconds,
      }),
  );
}

/** Made once for each config: a registration asks for them, and there may be tens of thousands. */
function namesOf(listed: () => readonly { readonly name: string }[]): () => ReadonlySet<string> {
  let known: { list: readonly { readonly name: string }[]; names: ReadonlySet<string> } = {
    list: [],
    names: new Set(),
  };
  return () => {
    const list = listed();
    if (known.list !== list) known = { list, names: new Set(list.map(({ name }) => name)) };
    return known.names;
  };
}
