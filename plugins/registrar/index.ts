// Registrar: the location service, which says where a subscriber can be rung now.
import {
  bindings,
  definePlugin,
  directory,
  location,
  pluginApiVersion,
  z,
  type Contact,
} from '../../core/plugin-api.js';
import { staticLocation } from './static-location.js';

const contact = z.string().regex(/^sips?:[^\s<>"@]+@[^\s<>"@]+$/, 'must be a SIP URI, sip:user@host');

export default definePlugin({
  name: 'registrar',
  apiVersion: pluginApiVersion,
  config: z
    .strictObject({
      contacts: z
        .record(z.string(), z.array(contact).min(1))
        .default({})
        .describe('Contacts that need no REGISTER, by subscriber, best first.'),
    })
    .describe('Where a subscriber can be rung: registered contacts, and these.'),
  needs: [directory],
  wants: [bindings],
  provides: [location],
  check({ contacts }, { subscribers }) {
    const names = subscribers.map(({ name }) => name);
    return Object.keys(contacts)
      .filter(name => !names.includes(name))
      .map(name => ({ path: ['contacts', name], message: `there is no subscriber "${name}"` }));
  },
  setup({ config, provide, use, find }) {
    const fixed = staticLocation(config.contacts, use(directory));
    const registered = find(bindings);
    const bound = (subscriber: string): readonly Contact[] => {
      const phones = registered?.bound?.(subscriber) ?? [];
      const others = fixed.contacts(subscriber).filter(uri => !phones.some(phone => phone.uri === uri));
      return [...phones, ...others.map(uri => ({ uri }))];
    };
    provide(location, { bound, contacts: subscriber => bound(subscriber).map(({ uri }) => uri) });
  },
});
