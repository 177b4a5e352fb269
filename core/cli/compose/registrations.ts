// What phones have registered: the bindings, their copies on every registrar, and the ways to phones kept open.
import { MovedPhones } from '../../farm/moved-phones.js';
import { PhoneTrust } from '../../farm/phone-trust.js';
import { Bindings } from '../../registrations/bindings.js';
import { KeepAlive } from '../../registrations/keep-alive.js';
import { RegistrarCopies } from '../../registrations/registrar-copies.js';
import { kamailiosUp } from './farm.js';
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
  make(tokens.trust, get => {
    const [edge, bindings] = [get(tokens.edge), get(tokens.bindings)];
    const trust = new PhoneTrust({ edge, instances: kamailiosUp(get), bindings: () => bindings.list() });
    // One that was away has nothing of what it was told before.
    get(tokens.states).onChange('trust in phones', ({ node, to }) => {
      if (node.farm === 'kamailio' && to !== 'up') trust.forget(node.name);
    });
    return trust;
  });
  make(tokens.movedPhones, get => {
    const [edge, bindings] = [get(tokens.edge), get(tokens.bindings)];
    const moved = new MovedPhones({ edge, moves: () => bindings.moves() });
    bindings.onMove(() => void moved.tellAll());
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
